//go:build http3clients

package lb

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm/config"
	"github.com/holdfast-lb/holdfast/internal/certtest"
)

// The tests of this file run with clients that others have written: gtlsclient of ngtcp2, with nghttp3, Chromium, and curl. A client that is not there fails the test: see make test-http3.

func runClient(t *testing.T, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		t.Logf("%s: %v", name, err)
	}
	return string(out)
}

// TestClientOfNgtcp2: a client without a line in common with ours gets its answer, twice on one connection.
func TestClientOfNgtcp2(t *testing.T) {
	a := newApp(t, "i1", func(w http.ResponseWriter, r *http.Request) { w.Write([]byte("served to " + r.URL.Path)) })
	r, _ := http3Rig(t, http3Conf(of(a)...))
	host, port, err := net.SplitHostPort(r.addr())
	if err != nil {
		t.Fatal(err)
	}
	out := runClient(t, "gtlsclient", "--exit-on-all-streams-close", "--timeout=20s", host, port, "https://site.example:"+port+"/one", "https://site.example:"+port+"/two")
	if strings.Count(out, "[:status: 200]") != 2 || a.count() != 2 {
		t.Errorf("%d requests at the instance\n%s", a.count(), out)
	}
	r.wait("the access log", func() bool { return strings.Count(r.access.String(), `"HTTP/3.0"`) == 2 })
}

// TestCurlChangesItsProtocol: each session of a curl stays at its instance, whichever protocol it began with and goes on with, as a user with a cookie jar sees it.
func TestCurlChangesItsProtocol(t *testing.T) {
	a, b, c := newApp(t, "i1", nil), newApp(t, "i2", nil), newApp(t, "i3", nil)
	r, ca := http3Rig(t, http3Conf(of(a, b, c)...))
	_, port, err := net.SplitHostPort(r.addr())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	authority := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(authority, ca.PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	protocols := []struct{ flag, version string }{{"--http1.1", "1.1"}, {"--http2", "2"}, {"--http3-only", "3"}}
	used := map[string]bool{}
	for round := range 2 {
		for first := range protocols {
			jar := filepath.Join(dir, fmt.Sprint("jar", round, first))
			on := ""
			for i := range 2 * len(protocols) {
				p := protocols[(first+i)%len(protocols)]
				out := runClient(t, os.Getenv("HOLDFAST_CURL"), "-sS", p.flag, "--max-time", "20", "--cacert", authority, "--resolve", "site.example:"+port+":127.0.0.1",
					"--cookie", jar, "--cookie-jar", jar, "--write-out", " %{http_code} %{http_version}", "https://site.example:"+port+"/")
				instance, rest, _ := strings.Cut(out, " ")
				if i == 0 {
					on = instance
					used[on] = true
				}
				if rest != "200 "+p.version || instance != on || !strings.HasPrefix(on, "i") {
					t.Fatalf("the session that began by HTTP/%s on %q: with %s %q", protocols[first].version, on, p.flag, out)
				}
			}
		}
	}
	if len(used) < 2 {
		t.Errorf("six sessions are all on one instance of three: %v", used)
	}
}

// TestChromiumSpeaksHTTP3: a page and what it fetches stay at one instance, by HTTP/3.
func TestChromiumSpeaksHTTP3(t *testing.T) {
	page := func(name string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/" {
				w.Write([]byte(name))
				return
			}
			w.Header().Set("Content-Type", "text/html")
			w.Write([]byte(`<p id=p>waits<script>fetch("/again").then(r=>r.text()).then(t=>{document.getElementById("p").textContent="` + name + ` then "+t})</script>`))
		}
	}
	a, b := newApp(t, "i1", page("i1")), newApp(t, "i2", page("i2"))
	r, ca := http3Rig(t, http3Conf(of(a, b)...))
	_, port, err := net.SplitHostPort(r.addr())
	if err != nil {
		t.Fatal(err)
	}
	pin := sha256.Sum256(r.shown(clientOf(ca)).RawSubjectPublicKeyInfo)
	out := runClient(t, "chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--user-data-dir="+t.TempDir(), "--enable-quic", "--origin-to-force-quic-on=site.example:"+port,
		"--host-resolver-rules=MAP site.example 127.0.0.1", "--ignore-certificate-errors-spki-list="+base64.StdEncoding.EncodeToString(pin[:]),
		"--virtual-time-budget=10000", "--dump-dom", "https://site.example:"+port+"/")
	if !strings.Contains(out, ">i1 then i1<") && !strings.Contains(out, ">i2 then i2<") {
		t.Error(out)
	}
	r.wait("the access log", func() bool { return strings.Count(r.access.String(), `"HTTP/3.0"`) >= 2 })
}

// browsed is a page that tells, after it has loaded itself anew twice, which instances have served it and what it fetched, and by which protocols the fetches went.
// It fetches until one has gone by the protocol that is wanted, for a browser that changes to another one does so when it likes.
const browsed = `<p id=p>waits<script>
(async () => {
	const seen = JSON.parse(sessionStorage.seen || '{"on": [], "by": []}'), p = document.getElementById("p")
	try {
		seen.on.push("NAME")
		for (let i = 0; i < 40; i++) {
			const at = "/again/" + seen.by.length
			seen.on.push(await (await fetch(at, {cache: "no-store"})).text())
			seen.by.push(performance.getEntriesByName(location.origin + at)[0].nextHopProtocol)
			if (seen.by.at(-1) == "WANTED") break
		}
		seen.loads = (seen.loads || 0) + 1
		sessionStorage.seen = JSON.stringify(seen)
		if (seen.loads < 3) location.reload()
		else p.textContent = [...new Set(seen.on)] + " by " + [...new Set(seen.by)] + " in " + seen.loads
	} catch (e) { p.textContent = e }
})()
</script>`

// TestChromiumKeepsItsInstance: whichever protocol a browser speaks, over reloads of a page and what the page fetches; also when it goes on to HTTP/3 by itself, because Alt-Svc says so.
func TestChromiumKeepsItsInstance(t *testing.T) {
	for name, c := range map[string]struct {
		conf    func(...config.Instance) *config.Config
		rig     func(testing.TB, *config.Config) (*rig, *certtest.CA)
		want    string   // the protocol of the fetches, as browsers name it
		may     string   // what they may go by before
		logged  []string // protocols in the access log
		options []string
	}{
		"HTTP/1.1 in clear text": {conf: conf, rig: func(t testing.TB, c *config.Config) (*rig, *certtest.CA) { return newRig(t, c), nil }, want: "http/1.1", logged: []string{"HTTP/1.1"}},
		"HTTP/1.1 over TLS":      {conf: func(in ...config.Instance) *config.Config { return overTLS(conf(in...), "site") }, rig: overTLSRig, want: "http/1.1", logged: []string{"HTTP/1.1"}},
		"HTTP/2":                 {conf: func(in ...config.Instance) *config.Config { return overTLS(http2Conf(in...), "site") }, rig: overTLSRig, want: "h2", logged: []string{"HTTP/2.0"}},
		// Only authorities that come with the browser may vouch for HTTP/3, unless it is forced to it at some port of the host; here that is not the one that is asked.
		"HTTP/3 by Alt-Svc": {conf: http3Conf, rig: http3Rig, want: "h3", may: "h2,", logged: []string{"HTTP/2.0", "HTTP/3.0"}, options: []string{"--enable-quic", "--origin-to-force-quic-on=site.example:1"}},
	} {
		t.Run(name, func(t *testing.T) {
			var all []*app
			for _, name := range []string{"i1", "i2", "i3"} {
				all = append(all, newApp(t, name, func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Path != "/" {
						w.Write([]byte(name))
						return
					}
					w.Header().Set("Content-Type", "text/html")
					w.Write([]byte(strings.NewReplacer("NAME", name, "WANTED", c.want).Replace(browsed)))
				}))
			}
			r, ca := c.rig(t, c.conf(of(all...)...))
			_, port, err := net.SplitHostPort(r.addr())
			if err != nil {
				t.Fatal(err)
			}
			options := append([]string{"--headless=new", "--no-sandbox", "--disable-gpu", "--user-data-dir=" + t.TempDir(), "--host-resolver-rules=MAP site.example 127.0.0.1", "--virtual-time-budget=20000", "--dump-dom"}, c.options...)
			scheme := "http"
			if ca != nil {
				scheme = "https"
				pin := sha256.Sum256(r.shown(clientOf(ca)).RawSubjectPublicKeyInfo)
				options = append(options, "--ignore-certificate-errors-spki-list="+base64.StdEncoding.EncodeToString(pin[:]))
			}
			out := runClient(t, "chromium", append(options, scheme+"://site.example:"+port+"/")...)
			_, told, _ := strings.Cut(out, `<p id="p">`)
			told, _, _ = strings.Cut(told, "<")
			if on, by, _ := strings.Cut(told, " by "); len(on) != 2 || by != c.want+" in 3" && by != c.may+c.want+" in 3" {
				t.Errorf("%q\n%s", told, out)
			}
			for _, proto := range c.logged {
				r.wait(proto+" in the access log", func() bool { return strings.Contains(r.access.String(), `"`+proto+`"`) })
			}
		})
	}
}

func overTLSRig(t testing.TB, c *config.Config) (*rig, *certtest.CA) { return secureRig(t, c) }

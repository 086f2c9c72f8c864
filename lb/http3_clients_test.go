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

package lb

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
	"github.com/holdfast-lb/holdfast/internal/certtest"
)

// askClients has the listener ask for certificates that bundles vouch for.
func askClients(c *config.Config, mode string, authorities ...string) *config.Config {
	c.Listeners[0].TLS.ClientCertificates = config.ClientCertificates{Mode: mode, Authorities: authorities}
	return c
}

func showing(ca *certtest.CA, leaf *certtest.Leaf) *tls.Config {
	c := clientOf(ca)
	if leaf != nil { // also when the listener has not said that it believes its authority
		show := leaf.TLS()
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &show, nil }
	}
	return c
}

// TestClientCertificates: off asks nobody, request verifies what is shown, require lets nobody else in; and the instance hears who it is.
func TestClientCertificates(t *testing.T) {
	clients, others := certtest.NewCA(t, "clients"), certtest.NewCA(t, "others")
	joe, eve := clients.Intermediate("team").Client("Joe Ö"), others.Client("Joe Ö")
	old := clients.Leaf(func(c *x509.Certificate) {
		c.ExtKeyUsage, c.NotAfter = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, time.Now().Add(-time.Minute)
	}, "old")
	server := clients.Server("server")
	a := newApp(t, "i1", nil)
	cc := askClients(overTLS(bare(of(a)...), "site"), "off")
	r, ca := secureRig(t, cc, fsm.Certificate{Name: "team", Chain: [][]byte{clients.Cert.Raw}})
	for _, c := range []struct {
		mode   string
		leaf   *certtest.Leaf
		status int // 0: no connection
		known  bool
	}{
		{"off", nil, 200, false}, {"off", joe, 200, false}, {"off", eve, 200, false},
		{"request", nil, 200, false}, {"request", joe, 200, true}, {"request", eve, 0, false}, {"request", old, 0, false}, {"request", server, 0, false},
		{"require", nil, 0, false}, {"require", joe, 200, true}, {"require", eve, 0, false}, {"require", old, 0, false},
	} {
		next := askClients(clone(cc), c.mode)
		if c.mode != "off" {
			askClients(next, c.mode, "team")
		}
		r.apply(next)
		cl := secureClient(t, showing(ca, c.leaf))
		q, _ := http.NewRequest("GET", r.secureURL("/"), nil)
		for _, forged := range []string{"Client-Cert", "Client-Cert-Chain", "X-Client-Cert-Subject", "client-cert"} {
			q.Header.Add(forged, "CN=admin")
		}
		resp, err := cl.Do(q)
		if err != nil {
			if c.status != 0 {
				t.Errorf("%+v: %v", c, err)
			}
			continue
		}
		resp.Body.Close()
		h := a.header()
		subject := ""
		if c.known {
			subject = `CN=Joe \C3\96`
		}
		if resp.StatusCode != c.status || h.Get("X-Client-Cert-Subject") != subject || len(h["Client-Cert-Chain"]) > 0 {
			t.Errorf("%s: %d, %v", c.mode, resp.StatusCode, h)
		}
		if cert := h.Get("Client-Cert"); c.known && cert != ":"+base64.StdEncoding.EncodeToString(joe.Cert.Raw)+":" || !c.known && cert != "" {
			t.Errorf("%s: Client-Cert %q", c.mode, cert)
		}
	}
	r.wait("refusals are counted", func() bool {
		return metric(t, r, "holdfast_tls_handshakes_total", "result=client") == 6
	})
}

// TestIdentityCannotBeForgedInClear: on a listener without TLS the fields go away on both engines; a trusted proxy in front may say who it is.
func TestIdentityCannotBeForgedInClear(t *testing.T) {
	a := newApp(t, "i1", nil)
	r := newRig(t, bare(of(a)...))
	for range 3 { // also when a loop has it
		send(t, r, "/", "Client-Cert: :forged:", "CLIENT-CERT-chain: x", "X-Client-Cert-Subject: CN=admin", "Connection: X-Client-Cert-Subject")
		if h := a.header(); h.Get("Client-Cert")+h.Get("Client-Cert-Chain")+h.Get("X-Client-Cert-Subject") != "" {
			t.Errorf("%v", h)
		}
	}
	cc := clone(r.node.Revision().Config)
	cc.Proxy.TrustedProxies = []string{"127.0.0.1/32"}
	r.apply(cc)
	send(t, r, "/", "Client-Cert: :proven:")
	if h := a.header(); h.Get("Client-Cert") != ":proven:" {
		t.Errorf("%v", h)
	}
}

// TestIDsOfRequestsAreNoIdentity: an earlier version took any field for the ids of requests, so that a revision of its time may have one that only Holdfast sends.
func TestIDsOfRequestsAreNoIdentity(t *testing.T) {
	for _, field := range []string{"X-Client-Cert-Subject", "X-Forwarded_for"} {
		a := newApp(t, "i1", nil)
		cc := bare(of(a)...)
		cc.Proxy.RequestID = config.RequestID{Header: field, Trust: "all"}
		r := newRig(t, cc)
		send(t, r, "/", field+": CN=admin")
		if got := a.header()[http.CanonicalHeaderKey(field)]; len(got) > 0 {
			t.Errorf("%s: %q", field, got)
		}
	}
}

// TestTicketsCarryNoIdentityAlong: a session of a listener that asks nobody, or believes other authorities, is not resumed where certificates are required.
func TestTicketsCarryNoIdentityAlong(t *testing.T) {
	team, others := certtest.NewCA(t, "team"), certtest.NewCA(t, "others")
	cc := askClients(overTLS(bare(of(newApp(t, "i1", nil))...), "site"), "require", "others")
	second := cc.Listeners[0]
	second.Name, second.TLS = "strict", new(config.TLS)
	*second.TLS = *cc.Listeners[0].TLS
	second.TLS.ClientCertificates.Authorities = []string{"team"}
	second.Address = "127.0.0.1:" + freePort(t)
	cc.Listeners = append(cc.Listeners, second)
	r, ca := secureRig(t, cc, fsm.Certificate{Name: "team", Chain: [][]byte{team.Cert.Raw}}, fsm.Certificate{Name: "others", Chain: [][]byte{others.Cert.Raw}})
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		kept := &keptSession{}
		c := showing(ca, others.Client("eve"))
		c.MinVersion, c.MaxVersion, c.ClientSessionCache = version, version, kept
		if _, err := r.shake(c); err != nil {
			t.Fatal(err)
		}
		if s, err := r.shake(c); err != nil || !s.DidResume {
			t.Fatalf("%s: %v", tls.VersionName(version), err)
		}
		conn := dialTCP(t, second.Address)
		secured := tls.Client(conn, c)
		if secured.Handshake() == nil {
			secured.Write([]byte("GET / HTTP/1.1\r\nHost: h\r\n\r\n"))
			if _, err := secured.Read(make([]byte, 1)); err == nil {
				t.Errorf("%s: let in, resumed %v", tls.VersionName(version), secured.ConnectionState().DidResume)
			}
		}
		// Another bundle under the same name ends the sessions of the one before.
		r.g.putCert(fsm.Certificate{Name: "others", Chain: [][]byte{team.Cert.Raw}})
		want := r.node.Operating().Index
		r.wait("in force", func() bool { _, index, _ := r.b.InForce(); return index == want })
		if s, err := r.shake(c); err == nil {
			t.Errorf("%s: let in by a ticket of another bundle, resumed %v", tls.VersionName(version), s.DidResume)
		}
		r.g.putCert(fsm.Certificate{Name: "others", Chain: [][]byte{others.Cert.Raw}})
		want = r.node.Operating().Index
		r.wait("in force", func() bool { _, index, _ := r.b.InForce(); return index == want })
	}
}

func TestVisible(t *testing.T) {
	for name, want := range map[string]string{"CN=a": "CN=a", "CN=a\r\nX: y": `CN=a\0D\0AX: y`, " é\x00\x7f ": `\C3\A9\00\7F`, "": ""} {
		if got := visible(name); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
	if n := len(visible(strings.Repeat("ö", 5000))); n > maxSubject {
		t.Errorf("%d bytes", n)
	}
}

// TestRedirectToHTTPS: everything goes to https with its host and target, but for clients that came to a trusted proxy by https.
func TestRedirectToHTTPS(t *testing.T) {
	a := newApp(t, "i1", nil)
	cc := bare(of(a)...)
	cc.Listeners[0].HTTPSRedirect = &config.HTTPSRedirect{Port: 443, Status: 308}
	r := newRig(t, cc)
	for _, c := range []struct{ target, host, want string }{
		{"/", "shop.example", "https://shop.example/"}, {"/a%2Fb;c=d?x=1&y", "shop.example:8080", "https://shop.example/a%2Fb;c=d?x=1&y"},
		{"/", "[2001:db8::1]:80", "https://[2001:db8::1]/"}, {"//evil.example/x", "shop.example", "https://shop.example//evil.example/x"},
	} {
		conn := dialRaw(t, r)
		conn.write("GET " + c.target + " HTTP/1.1\r\nHost: " + c.host + "\r\n\r\n")
		if resp := conn.response(); resp.StatusCode != 308 || resp.Header.Get("Location") != c.want || resp.ContentLength != 0 {
			t.Errorf("%+v: %d %v", c, resp.StatusCode, resp.Header)
		}
		conn.write("POST /form HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc") // on the same connection
		if resp := conn.response(); resp.StatusCode != 308 || resp.Header.Get("Location") != "https://h/form" {
			t.Errorf("%d %v", resp.StatusCode, resp.Header)
		}
		conn.Close()
	}
	old := dialRaw(t, r)
	old.write("GET / HTTP/1.0\r\n\r\n")
	if resp := old.response(); resp.StatusCode != 400 {
		t.Errorf("no host: %d", resp.StatusCode)
	}
	old.Close()
	if a.count() != 0 {
		t.Errorf("%d requests got through", a.count())
	}
	cc = clone(cc)
	cc.Listeners[0].HTTPSRedirect.Port, cc.Listeners[0].HTTPSRedirect.Status, cc.Proxy.TrustedProxies = 8443, 302, []string{"127.0.0.1/32"}
	r.apply(cc)
	if got := send(t, r, "/x"); got.StatusCode != 302 || got.Header.Get("Location") != "https://127.0.0.1:8443/x" {
		t.Errorf("%d %v", got.StatusCode, got.Header)
	}
	if got := send(t, r, "/x", "X-Forwarded-Proto: https"); got.StatusCode != 200 {
		t.Errorf("%d", got.StatusCode)
	}
	r.wait("log line", func() bool { return strings.Contains(r.accessLog(), `"status":308`) })
}

// TestRedirectsCount as requests of their client and of the listener.
func TestRedirectsCount(t *testing.T) {
	for _, limits := range []config.ListenerLimits{{RequestsPerSecond: 1, Burst: 2}, {PerClient: config.Rates{RequestsPerSecond: 1, Burst: 2}}} {
		cc := bare(of(newApp(t, "i1", nil))...)
		cc.Listeners[0].HTTPSRedirect, cc.Listeners[0].Limits = &config.HTTPSRedirect{Port: 443, Status: 308}, limits
		r := newRig(t, cc)
		conn, got := dialRaw(t, r), map[int]int{}
		for range 20 {
			conn.write("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
			resp := conn.response()
			if _, err := io.Copy(io.Discard, resp.Body); err != nil {
				t.Fatal(err)
			}
			if got[resp.StatusCode]++; resp.StatusCode != 308 && (resp.Header.Get("Retry-After") == "" || resp.Header.Get("Location") != "") {
				t.Errorf("%d %v", resp.StatusCode, resp.Header)
			}
		}
		refusal := http.StatusTooManyRequests
		if limits.PerClient.RequestsPerSecond == 0 {
			refusal = http.StatusServiceUnavailable
		}
		if got[308] < 2 || got[refusal] == 0 || got[308]+got[refusal] != 20 {
			t.Errorf("%+v: %v", limits, got)
		}
	}
}

// TestHSTS: browsers are told on answers of instances and on Holdfast's own, over TLS alone; what an instance says itself counts more.
func TestHSTS(t *testing.T) {
	cc := overTLS(bare(of(newApp(t, "i1", func(w http.ResponseWriter, q *http.Request) {
		if q.URL.Path == "/own" {
			w.Header().Set("Strict-Transport-Security", "max-age=1")
		}
	}))...), "site")
	cc.Listeners[0].TLS.HSTS = config.HSTS{MaxAge: config.Duration(time.Hour), IncludeSubDomains: true}
	cc.Clusters[0].Modules[0].ContextRoot = "/"
	r, ca := secureRig(t, cc)
	cl := secureClient(t, clientOf(ca))
	for path, want := range map[string]string{"/": "max-age=3600; includeSubDomains", "/own": "max-age=1"} {
		if got := cl.get(r.secureURL(path)).Header["Strict-Transport-Security"]; len(got) != 1 || got[0] != want {
			t.Errorf("%s: %v", path, got)
		}
	}
	cc = clone(cc)
	cc.Clusters[0].Modules[0].ContextRoot = "/shop"
	r.apply(cc)
	if got := cl.get(r.secureURL("/")); got.StatusCode != 404 || got.Header.Get("Strict-Transport-Security") == "" {
		t.Errorf("%d %v", got.StatusCode, got.Header)
	}
	if line := hstsLine(&config.TLS{HSTS: config.HSTS{MaxAge: config.Duration(time.Second), Preload: true}}); line != "max-age=1; preload" {
		t.Error(line)
	}
}

// TestTwinsOfOwnFields: applications that get fields as variables take _ for -, so that a client could say by the one what it may not by the other.
func TestTwinsOfOwnFields(t *testing.T) {
	a := newApp(t, "i1", func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) })
	r := newRig(t, bare(of(a)...))
	var odd strings.Builder
	for _, mark := range "!#$%&'*+.^_`|~" { // what a token may have besides
		fmt.Fprintf(&odd, "Client%cCert: forged\r\nx%[1]cclient-cert-Subject: forged\r\nX-FORWARDED%[1]cFor: forged\r\nX%[1]cForwarded%[1]cFox: forged\r\nX%[1]cHoldfast%[1]cSession: forged\r\nForwarded%[1]c: stays\r\n", mark)
	}
	for _, path := range []string{"/a", "/%61"} { // a loop's, and net/http's
		c := dialRaw(t, r)
		c.write("GET " + path + " HTTP/1.1\r\nHost: h\r\nX_Client_Cert_Subject: CN=Root\r\nx-client_cert-subject: CN=Root\r\nClient_Cert: :AA==:\r\nCLIENT_CERT_CHAIN: :AA==:\r\n" +
			"X_Forwarded_For: 6.6.6.6\r\nX-Forwarded_Proto: https\r\nX_HOLDFAST_SESSION: lost\r\nX_Client: stays\r\n" +
			odd.String() + "\r\n")
		if got := c.response(); got.StatusCode != 200 {
			t.Fatal(got.StatusCode)
		}
		left := 0
		for name, values := range a.header() {
			if strings.ContainsAny(name, "!#$%&'*+.^_`|~") {
				if left++; values[0] != "stays" {
					t.Errorf("%s: %s: %q", path, name, values)
				}
			}
		}
		if left != 1+14 {
			t.Errorf("%s: %d fields that are nobody's concern: %v", path, left, a.header())
		}
	}
	for _, path := range []string{"/a", "/%61"} {
		for _, field := range []string{"X_Forwarded_For", "x-forwarded_for", "X-Forwarded-Port", "X-Forwarded-Server", "X-Forwarded-Prefix", "X-Forwarded-Ssl", "FORWARDED", "Client_Cert", "Client-Cert-Chain", "X-Client-Cert-Serial",
			"X_Client_Cert_Subject", "X-Holdfast-Session", "X_Holdfast_Activation", "X-Holdfast-Of-Any-Length-At-All", "Content_Length", "X.Forwarded.For", "client~cert", "X^Holdfast-Session", "Transfer|Encoding", "_Cookie"} {
			want := 400
			if field == "_Cookie" {
				want = 200 // nobody's concern
			}
			for _, announced := range []string{"", "Trailer: " + field + "\r\n"} {
				c := dialRaw(t, r)
				c.write("POST " + path + " HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n" + announced + "\r\n1\r\nx\r\n0\r\n" + field + ": CN=Root\r\n\r\n")
				if got := c.response(); got.StatusCode != want {
					t.Errorf("%s with the trailer %s: %d, want %d", path, field, got.StatusCode, want)
				}
				c.Close()
			}
		}
	}
	for _, c := range [][2]string{{"Xa", "X-"}, {"X", "X-"}, {"X9", "X-"}, {"X-", "Xa"}, {"X~", "X1"}, {"Xb", "Xa"}} {
		if sameVariable(c[0], c[1]) {
			t.Errorf("%q is taken for %q", c[0], c[1])
		}
	}
}

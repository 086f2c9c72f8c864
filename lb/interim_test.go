package lb

import (
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// interim103 is an instance that sends early hints before its answer.
var interim103 = answer("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nX-Holdfast-Session: lost\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

// RFC 9110, 15.2: a client of HTTP/1.0 does not know interim responses.
func TestInterimResponsesAreNotForOldClients(t *testing.T) {
	r := newRig(t, bare(inst("i1", newOrigin(t, interim103).url)))
	c := dialRaw(t, r)
	c.write("GET / HTTP/1.0\r\nHost: h\r\n\r\n")
	all, err := io.ReadAll(c.Conn)
	if err != nil || strings.Contains(string(all), "103") || !strings.HasPrefix(string(all), "HTTP/1.") || !strings.Contains(string(all), " 200 OK\r\n") {
		t.Errorf("%q %v", all, err)
	}
}

// Only Holdfast says that a session is lost, in interim responses too.
func TestInterimResponsesDoNotSpeakForHoldfast(t *testing.T) {
	r := newRig(t, bare(inst("i1", newOrigin(t, interim103).url)))
	c := dialRaw(t, r)
	c.write("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
	all, err := io.ReadAll(c.Conn)
	if err != nil || !strings.Contains(string(all), "103") || !strings.Contains(string(all), "</a>") || strings.Contains(string(all), lostHeader) {
		t.Errorf("%q %v", all, err)
	}
}

// Nor does a trailer speak for Holdfast, announced or not; others pass.
func TestTrailersDoNotSpeakForHoldfast(t *testing.T) {
	for _, announced := range []string{"Trailer: X-Holdfast-Session, X-Sum\r\n", "Trailer: X-Sum\r\n", ""} {
		o := newOrigin(t, answer("HTTP/1.1 200 OK\r\n"+announced+"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Holdfast-Session: lost\r\nX-Sum: 7\r\n\r\n"))
		r := newRig(t, bare(inst("i1", o.url)))
		got := newClient(t).get(r.url("/"))
		if got.body != "ok" || len(got.Trailer) != 1 || got.Trailer.Get("X-Sum") != "7" || got.Header.Get(lostHeader) != "" {
			t.Errorf("%q: %q, trailer %v", announced, got.body, got.Trailer)
		}
	}
}

// ownAddress is a head of a response whose fields lead to the instance at that address.
func ownAddress(status, address string) string {
	return fmt.Sprintf("HTTP/1.1 %s\r\nLink: <http://%[2]s/a.css>; rel=preload, </b>; rel=next\r\nLocation: http://%[2]s/x\r\nSet-Cookie: a=1; Domain=127.0.0.1; Path=/\r\n"+
		"Refresh: 1; url=http://%[2]s/r\r\nAlt-Svc: h2=\"127.0.0.1:8443\"\r\nX-Plain: kept\r\n", status, address)
}

// wantDisguised wants what ownAddress says for a client of www.example.com.
func wantDisguised(t *testing.T, what, scheme string, h http.Header) {
	t.Helper()
	for name, want := range map[string]string{
		"Link": "<" + scheme + "://www.example.com/a.css>; rel=preload, </b>; rel=next", "Location": scheme + "://www.example.com/x", "Set-Cookie": "a=1; Path=/",
		"Refresh": "1; url=" + scheme + "://www.example.com/r", "Alt-Svc": "", "X-Plain": "kept",
	} {
		if got := h.Get(name); got != want {
			t.Errorf("%s: %s %q, want %q", what, name, got, want)
		}
	}
}

// earlyHints asks for a path and gives the fields of the interim responses.
func earlyHints(t *testing.T, c *client, url string) http.Header {
	t.Helper()
	early, _ := heads(t, c, url)
	return early
}

// heads asks for a path and gives the fields of the interim responses, and those of the final one.
func heads(t *testing.T, c *client, url string) (early, final http.Header) {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "www.example.com"
	early = http.Header{}
	trace := &httptrace.ClientTrace{Got1xxResponse: func(_ int, h textproto.MIMEHeader) error {
		for name, values := range h {
			early[name] = append(early[name], values...)
		}
		return nil
	}}
	got := c.do(req.WithContext(httptrace.WithClientTrace(req.Context(), trace)))
	if got.body != "ok" {
		t.Errorf("%s: %d %q", url, got.StatusCode, got.body)
	}
	return early, got.Header
}

// TestInterimResponsesOfOneHop: what an instance says of its connection is not the client's, in interim responses as in final ones, on any engine, in any
// protocol of either side.
func TestInterimResponsesOfOneHop(t *testing.T) {
	const hop = "Connection: keep-alive, X-Hop, Set-Cookie\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nProxy-Authenticate: Basic\r\n" +
		"Proxy-Authorization: Basic eA==\r\nTE: trailers\r\nTrailer: X-Sum\r\nUpgrade: h2c\r\nSet-Cookie: a=1\r\nLink: </a>\r\n"
	o := newOrigin(t, answer("HTTP/1.1 103 Early Hints\r\n"+hop+"\r\nHTTP/1.1 200 OK\r\n"+hop+"Content-Length: 2\r\n\r\nok"))
	cc := bare(inst("i1", o.url))
	cc.Listeners[0].HTTP2 = true
	r := newRig(t, cc)
	three := http3Conf(inst("i1", o.url))
	three.Clusters = clone(cc).Clusters
	secured, ca := http3Rig(t, three)
	h2 := newRig(t, untouchedConf(inst("i1", newRefuser(t, func(f *http2.Framer, stream uint32) {
		fields := []string{"connection", "keep-alive", "keep-alive", "timeout=5", "proxy-connection", "keep-alive", "proxy-authenticate", "Basic", "te", "trailers",
			"upgrade", "h2c", "transfer-encoding", "chunked", "set-cookie", "a=1", "link", "</a>"}
		f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: plainBlock(append([]string{":status", "103"}, fields...)...), EndHeaders: true})
		f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: plainBlock(append([]string{":status", "200"}, fields...)...), EndHeaders: true})
		f.WriteData(stream, true, []byte("ok"))
	}).url)))
	for _, way := range []struct {
		name string
		c    *client
		url  string
	}{
		{"HTTP/1.1, loops", newClient(t), r.url("/a")}, {"HTTP/1.1, net", newClient(t), r.url("/%61")},
		{"HTTP/2, loops", newHTTP2Client(t), r.url("/a")}, {"HTTP/2, net", newHTTP2Client(t), r.url("/%61")},
		{"HTTP/3", http3Client(t, ca), secured.secureURL("/a")},
		{"an instance of HTTP/2", newClient(t), h2.url("/a")},
	} {
		early, final := heads(t, way.c, way.url)
		for which, h := range map[string]http.Header{"interim": early, "final": final} {
			for _, name := range append([]string{"X-Hop"}, hopByHop...) {
				if values, ok := h[name]; ok {
					t.Errorf("%s, %s: %s: %q", way.name, which, name, values)
				}
			}
			if h.Get("Set-Cookie") == "" || h.Get("Link") != "</a>" {
				t.Errorf("%s, %s: %v", way.name, which, h)
			}
		}
	}
	for _, path := range []string{"/a", "/%61"} { // the bytes: clients in Go take fields away
		c := dialRaw(t, r)
		c.write("GET " + path + " HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
		all, err := io.ReadAll(c.in)
		interim, _, _ := strings.Cut(string(all), "\r\n\r\n")
		if err != nil || strings.Count(interim, "\r\n") != 2 || !strings.HasPrefix(interim, "HTTP/1.1 103 ") {
			t.Errorf("%s: %q %v", path, interim, err)
		}
	}
}

// TestInterimResponsesDoNotNameAnotherHTTP3: what an instance says in Alt-Svc gives way to the listener's own HTTP/3, in every kind of head.
func TestInterimResponsesDoNotNameAnotherHTTP3(t *testing.T) {
	o := newOrigin(t, answer("HTTP/1.1 103 Early Hints\r\nAlt-Svc: h3=\":9443\"\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nAlt-Svc: h3=\":9443\"\r\nContent-Length: 2\r\n\r\nok"))
	cc := http3Conf(inst("i1", o.url))
	cc.Clusters = bare(inst("i1", o.url)).Clusters
	r, ca := http3Rig(t, cc)
	for name, c := range map[string]*client{"HTTP/1.1": tcpClient(t, ca, false), "HTTP/2": tcpClient(t, ca, true), "HTTP/3": http3Client(t, ca)} {
		for _, path := range []string{"/a", "/%61"} {
			early, final := heads(t, c, r.secureURL(path))
			if got := early["Alt-Svc"]; len(got) != 0 || early.Get("Link") == "" {
				t.Errorf("%s %s: interim %q", name, path, got)
			}
			got := strings.Join(final["Alt-Svc"], " and ")
			if strings.Contains(got, "9443") || strings.HasPrefix(got, "h3=") != (name != "HTTP/3") {
				t.Errorf("%s %s: final %q", name, path, got)
			}
		}
	}
}

// TestResponsesThatNoClientCouldRead: names of fields that are none, in a head or in trailers, and a length of what has no content, cost the client nothing but themselves.
func TestResponsesThatNoClientCouldRead(t *testing.T) {
	for name, text := range map[string]string{
		"a name":           "HTTP/1.1 200 OK\r\nX-Odd : 1\r\nX-Plain: 1\r\nContent-Length: 2\r\n\r\nok",
		"a trailer":        "HTTP/1.1 200 OK\r\nX-Plain: 1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Odd : 1\r\n\r\n",
		"a length of 204":  "HTTP/1.1 204 No Content\r\nX-Plain: 1\r\nContent-Length: 2\r\n\r\n",
		"a length of zero": "HTTP/1.1 204 No Content\r\nX-Plain: 1\r\nContent-Length: 0\r\n\r\n",
	} {
		o := newOrigin(t, answer(text))
		cc := bare(inst("i1", o.url))
		cc.Listeners[0].HTTP2 = true
		r := newRig(t, cc)
		three := http3Conf(inst("i1", o.url))
		three.Clusters = clone(cc).Clusters
		secured, ca := http3Rig(t, three)
		for _, way := range []struct {
			name string
			c    *client
			url  string
		}{
			{"HTTP/1.1", newClient(t), r.url("/%61")}, {"HTTP/2", newHTTP2Client(t), r.url("/%61")}, {"HTTP/3", http3Client(t, ca), secured.secureURL("/a")}, // net/http's; the loops refuse some
		} {
			got := way.c.get(way.url)
			body := "ok"
			if got.StatusCode == 204 {
				body = ""
			}
			if got.body != body || got.Header.Get("X-Plain") != "1" || len(got.Trailer) != 0 {
				t.Errorf("%s, %s: %d %q %v", name, way.name, got.StatusCode, got.body, got.Trailer)
			}
		}
	}
}

// TestInterimResponsesDoNotShowInstances on any engine and in any protocol.
func TestInterimResponsesDoNotShowInstances(t *testing.T) {
	o := newOrigin(t, func(c *net.TCPConn, q *http.Request, _ int64) bool {
		io.Copy(io.Discard, q.Body)
		io.WriteString(c, ownAddress("103 Early Hints", c.LocalAddr().String())+"\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		return true
	})
	cc := bare(inst("i1", o.url))
	cc.Listeners[0].HTTP2 = true
	r := newRig(t, cc)
	for name, c := range map[string]*client{"HTTP/1.1": newClient(t), "HTTP/2": newHTTP2Client(t)} {
		for _, path := range []string{"/a", "/%61"} { // a loop's, and net/http's
			for range 2 { // also when its connection to the instance is there
				wantDisguised(t, name+" "+path, "http", earlyHints(t, c, r.url(path)))
			}
		}
	}
	three := http3Conf(inst("i1", o.url))
	three.Clusters = clone(cc).Clusters
	secured, ca := http3Rig(t, three)
	wantDisguised(t, "HTTP/3", "https", earlyHints(t, http3Client(t, ca), secured.secureURL("/a")))
}

// switching is an instance that takes WebSockets; head gives the first lines of its answer, for its own address.
func switching(head func(address string) string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		conn, rw, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		sum := sha1.Sum([]byte(r.Header.Get("Sec-Websocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
		io.WriteString(conn, head(conn.LocalAddr().String())+
			"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: "+base64.StdEncoding.EncodeToString(sum[:])+"\r\n\r\n")
		io.Copy(conn, rw)
	}
}

// TestSwitchesDoNotShowInstances: 101, and what stands for it in HTTP/2.
func TestSwitchesDoNotShowInstances(t *testing.T) {
	a := newApp(t, "i1", switching(func(address string) string { return ownAddress("101 Switching Protocols", address) }))
	cc := bare(of(a)...)
	cc.Listeners[0].HTTP2 = true
	r := newRig(t, cc)
	c := dialRaw(t, r)
	c.write(strings.Replace(wsRequest, "Host: h", "Host: www.example.com", 1))
	got := c.response()
	if got.StatusCode != 101 {
		t.Fatal(got.Status)
	}
	wantDisguised(t, "HTTP/1.1", "http", got.Header)

	fields := connectFields()
	for i := range fields {
		if fields[i] == ":authority" {
			fields[i+1] = "www.example.com"
		}
	}
	h := http.Header{}
	for name, value := range dialFramed(t, r).open(t, 1, fields...).head {
		h.Set(name, value)
	}
	wantDisguised(t, "HTTP/2", "http", h)
}

// TestSwitchesSayWhatOtherResponsesSay: HSTS and the listener's own HTTP/3, in 101 and in what stands for it.
func TestSwitchesSayWhatOtherResponsesSay(t *testing.T) {
	a := newApp(t, "i1", switching(func(string) string { return "HTTP/1.1 101 Switching Protocols\r\nAlt-Svc: h3=\":9443\"\r\n" }))
	cc := http3Conf(of(a)...)
	cc.Listeners[0].TLS.HSTS.MaxAge = config.Duration(time.Hour)
	r, ca := http3Rig(t, cc)
	c := dialTLS(t, r, ca)
	defer c.Close()
	io.WriteString(c, wsRequest)
	got, err := http.ReadResponse(c.in, nil)
	if err != nil || got.StatusCode != 101 || got.Header.Get("Strict-Transport-Security") != "max-age=3600" || !strings.HasPrefix(strings.Join(got.Header["Alt-Svc"], ","), "h3=") || strings.Contains(got.Header.Get("Alt-Svc"), "9443") {
		t.Errorf("%v %v", got, err)
	}
	if h := openH3(t, dialQUIC(t, r, ca), connectH3()).head(t); h[":status"] != "200" || h["strict-transport-security"] != "max-age=3600" || h["alt-svc"] != "" {
		t.Errorf("HTTP/3: %v", h)
	}
}

// lateInterim is a client's connection on which an interim response of the instance comes up while Holdfast writes its own answer. Header maps are not
// made for that.
type lateInterim struct {
	httptest.ResponseRecorder
	x     *exchange
	codes []int
}

func (w *lateInterim) WriteHeader(code int) {
	if w.codes = append(w.codes, code); len(w.codes) == 1 {
		w.x.info.got(http.StatusEarlyHints, textproto.MIMEHeader{"Link": {"</a>"}})
	}
}

func TestNoInterimResponseDuringHoldfastsAnswer(t *testing.T) {
	r := newRig(t, bare(inst("i1", newOrigin(t, echo("i1")).url)))
	w := &lateInterim{ResponseRecorder: *httptest.NewRecorder()}
	x := exchangeOf(r.b, httptest.NewRequest("GET", "/", nil))
	x.w = w
	w.x, x.info.x = x, x
	x.fail(errors.New("broken"))
	if len(w.codes) != 1 || w.codes[0] != http.StatusBadGateway {
		t.Errorf("written: %v", w.codes)
	}
}

package lb

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// noAff is a rig without affinity around one instance.
func noAff(t testing.TB, handler http.HandlerFunc) (*rig, *app) {
	a := newApp(t, "i1", handler)
	c := conf(of(a)...)
	c.Clusters[0].Affinity.Type = "none"
	return newRig(t, c), a
}

func TestRequestHeaders(t *testing.T) {
	var host, target string
	r, a := noAff(t, func(w http.ResponseWriter, r *http.Request) { host, target = r.Host, r.RequestURI })
	c := dialRaw(t, r)
	c.write("GET /a%2Fb/;x=1/%7e?q=%zz&&r HTTP/1.1\r\nHost: www.example.com:81\r\nConnection: close, X-Hop, Cookie\r\nX-Hop: 1\r\n" +
		"Keep-Alive: 5\r\nTE: trailers, deflate\r\nProxy-Connection: x\r\nX-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\n" +
		"X-Forwarded-Host: evil\r\nX-Forwarded-Port: 1\r\nForwarded: for=6.6.6.6\r\nUpgrade: h2c\r\nCookie: keep=me\r\nX-Two: 1\r\nX-Two: 2\r\n\r\n")
	resp := c.response()
	if resp.StatusCode != 200 {
		t.Fatal(resp.StatusCode)
	}
	if host != "www.example.com:81" || target != "/a%2Fb/;x=1/%7e?q=%zz&&r" {
		t.Errorf("host %q, target %q", host, target)
	}
	h := a.header()
	for name, want := range map[string]string{"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "http", "X-Forwarded-Host": "www.example.com:81",
		"Forwarded": "", "X-Forwarded-Port": "", "X-Hop": "", "Keep-Alive": "", "Proxy-Connection": "", "Upgrade": "", "Connection": "", "Te": "trailers",
		"Cookie": "keep=me", "User-Agent": "", "Accept-Encoding": ""} {
		if got := h.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if got := h.Values("X-Two"); len(got) != 2 {
		t.Errorf("X-Two: %v", got)
	}
}

func TestResponseHeaders(t *testing.T) {
	r, _ := noAff(t, func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h["Content-Type"] = nil
		h.Set("Connection", "X-Hop")
		h.Set("X-Hop", "1")
		h.Set("Keep-Alive", "5")
		h.Add("Set-Cookie", "a=1")
		h.Add("Set-Cookie", "b=2")
		h.Set("Server", "app")
		w.WriteHeader(418)
		io.WriteString(w, "<html>not to be guessed")
	})
	got := newClient(t).get(r.url("/"))
	if got.StatusCode != 418 || got.body != "<html>not to be guessed" || len(got.Header["Set-Cookie"]) != 2 || got.Header.Get("Server") != "app" {
		t.Errorf("%d %q %v", got.StatusCode, got.body, got.Header)
	}
	for _, name := range []string{"X-Hop", "Keep-Alive", "Connection", "Content-Type"} {
		if v, ok := got.Header[name]; ok {
			t.Errorf("%s: %v", name, v)
		}
	}
}

func TestMethodsAndBodilessResponses(t *testing.T) {
	r, _ := noAff(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/204":
			w.WriteHeader(204)
		case "/304":
			w.Header().Set("Etag", `"x"`)
			w.WriteHeader(304)
		case "/head":
			w.Header().Set("Content-Length", "12345")
		default:
			fmt.Fprint(w, r.Method)
		}
	})
	c := dialRaw(t, r) // all on one connection: framing errors would show
	for _, m := range []string{"GET", "PUT", "DELETE", "PATCH", "OPTIONS", "QUERY"} {
		c.write(m + " / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n")
		resp := c.response()
		if body, _ := io.ReadAll(resp.Body); resp.StatusCode != 200 || string(body) != m {
			t.Errorf("%s: %d %q", m, resp.StatusCode, body)
		}
	}
	c.write("HEAD /head HTTP/1.1\r\nHost: h\r\n\r\n")
	resp, err := http.ReadResponse(c.in, &http.Request{Method: "HEAD"})
	if err != nil || resp.ContentLength != 12345 {
		t.Errorf("HEAD: %v %+v", err, resp)
	}
	for _, path := range []string{"/204", "/304", "/"} {
		c.write("GET " + path + " HTTP/1.1\r\nHost: h\r\n\r\n")
		if resp := c.response(); resp.StatusCode == 200 {
			io.Copy(io.Discard, resp.Body)
		}
	}
}

func TestTrailersBothWays(t *testing.T) {
	r, _ := noAff(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		body, _ := io.ReadAll(r.Body)
		w.Write(body)
		w.Header().Set("X-Sum", r.Trailer.Get("X-Client"))
		w.Header().Set(http.TrailerPrefix+"X-Late", "late")
	})
	req, _ := http.NewRequest("POST", r.url("/"), io.MultiReader(strings.NewReader("body")))
	req.Trailer = http.Header{"X-Client": {"from the client"}}
	got := newClient(t).do(req)
	if got.body != "body" || got.Trailer.Get("X-Sum") != "from the client" || got.Trailer.Get("X-Late") != "late" {
		t.Errorf("%q %v", got.body, got.Trailer)
	}
}

func TestInterimResponses(t *testing.T) {
	r, _ := noAff(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</a.css>; rel=preload")
		w.WriteHeader(103)
		w.Header().Del("Link")
		w.Header().Set("X-Final", "1")
		w.WriteHeader(200)
	})
	c := dialRaw(t, r)
	c.write("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	early := c.response()
	if early.StatusCode != 103 || early.Header.Get("Link") == "" {
		t.Fatalf("%d %v", early.StatusCode, early.Header)
	}
	final := c.response()
	if final.StatusCode != 200 || final.Header.Get("X-Final") != "1" || final.Header.Get("Link") != "" {
		t.Fatalf("%d %v", final.StatusCode, final.Header)
	}
}

func TestExpectContinue(t *testing.T) {
	r, _ := noAff(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/refuse" {
			w.WriteHeader(413)
			return
		}
		body, _ := io.ReadAll(r.Body)
		w.Write(body)
	})
	c := dialRaw(t, r)
	c.write("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
	if got := c.response(); got.StatusCode != 100 {
		t.Fatalf("interim %d", got.StatusCode)
	}
	c.write("body")
	resp := c.response()
	if body, _ := io.ReadAll(resp.Body); resp.StatusCode != 200 || string(body) != "body" {
		t.Fatalf("%d %q", resp.StatusCode, body)
	}
	c = dialRaw(t, r)
	c.write("POST /refuse HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
	if got := c.response(); got.StatusCode != 413 {
		t.Fatalf("the instance refused, the client got %d", got.StatusCode)
	}
}

func TestStreamLeavesPieceByPiece(t *testing.T) {
	next := make(chan struct{})
	for name, head := range map[string]func(http.Header){
		"sse":             func(h http.Header) { h.Set("Content-Type", "text/event-stream") },
		"of known length": func(h http.Header) { h.Set("Content-Length", "24") },
	} {
		t.Run(name, func(t *testing.T) {
			r, _ := noAff(t, func(w http.ResponseWriter, _ *http.Request) {
				head(w.Header())
				w.WriteHeader(200)
				w.(http.Flusher).Flush()
				for i := range 3 {
					<-next
					fmt.Fprintf(w, "data: %d\n", i)
					w.(http.Flusher).Flush()
				}
			})
			c := dialRaw(t, r)
			c.write("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
			resp := c.response() // the head alone, while the instance waits
			in := bufio.NewReader(resp.Body)
			for i := range 3 {
				next <- struct{}{}
				if line, err := in.ReadString('\n'); err != nil || line != fmt.Sprintf("data: %d\n", i) {
					t.Fatalf("%q %v", line, err)
				}
			}
		})
	}
}

func TestFullDuplex(t *testing.T) {
	r, _ := noAff(t, func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).EnableFullDuplex()
		in := bufio.NewReader(r.Body)
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				return
			}
			io.WriteString(w, "echo "+line)
			w.(http.Flusher).Flush()
		}
	})
	c := dialRaw(t, r)
	c.write("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n0!\n\r\n")
	in := bufio.NewReader(c.response().Body)
	for i := range 3 {
		if line, err := in.ReadString('\n'); err != nil || line != fmt.Sprintf("echo %d!\n", i) {
			t.Fatalf("%q %v", line, err)
		}
		if i < 2 {
			c.write(fmt.Sprintf("3\r\n%d!\n\r\n", i+1))
		}
	}
	c.write("0\r\n\r\n")
	if rest, err := io.ReadAll(in); err != nil || len(rest) != 0 {
		t.Fatalf("%q %v", rest, err)
	}
}

// zeros is n bytes of a fixed pattern that are made as they are read.
type pattern struct {
	rand *rand.ChaCha8
	left int64
}

func newPattern(n int64) *pattern { return &pattern{rand.NewChaCha8([32]byte{1}), n} }

func (p *pattern) Read(b []byte) (int, error) {
	if p.left == 0 {
		return 0, io.EOF
	}
	n := min(int64(len(b)), p.left)
	p.rand.Read(b[:n])
	p.left -= n
	return int(n), nil
}

func TestLargeBodiesBothWaysInBoundedMemory(t *testing.T) {
	const size = 64 << 20
	want := sha256.New()
	io.Copy(want, newPattern(size))
	r, _ := noAff(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			io.Copy(w, newPattern(size))
			return
		}
		got := sha256.New()
		io.Copy(got, r.Body)
		w.Write(got.Sum(nil))
	})
	var peak atomic.Uint64
	var before runtime.MemStats
	runtime.GC() // what the tests before this one have left is not the bodies'
	runtime.ReadMemStats(&before)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				peak.Store(max(peak.Load(), m.HeapAlloc))
			case <-stop:
				return
			}
		}
	}()
	for _, length := range []int64{size, -1} {
		req, _ := http.NewRequest(http.MethodPost, r.url("/"), io.NopCloser(newPattern(size)))
		req.ContentLength = length
		if got := newClient(t).do(req); got.StatusCode != 200 || got.body != string(want.Sum(nil)) {
			t.Errorf("up, length %d: %d", length, got.StatusCode)
		}
	}
	resp, err := newClient(t).Get(r.url("/"))
	if err != nil {
		t.Fatal(err)
	}
	got := sha256.New()
	if n, err := io.Copy(got, resp.Body); n != size || err != nil || !bytes.Equal(got.Sum(nil), want.Sum(nil)) {
		t.Errorf("down: %d bytes, %v", n, err)
	}
	resp.Body.Close()
	close(stop)
	<-stopped
	if peak.Load() > before.HeapAlloc+40<<20 {
		t.Errorf("%d MiB of heap, %d before, for bodies of 64 MiB", peak.Load()>>20, before.HeapAlloc>>20)
	}
}

func TestClientThatGoesAwayStopsTheInstance(t *testing.T) {
	begun, ended := make(chan struct{}), make(chan struct{})
	r, _ := noAff(t, func(w http.ResponseWriter, r *http.Request) {
		close(begun)
		<-r.Context().Done()
		close(ended)
	})
	c := dialRaw(t, r)
	c.write("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	<-begun
	c.Close()
	<-ended
	r.wait("nothing in flight", func() bool { return r.status("c1", "i1").InFlight == 0 })
	if s := r.status("c1", "i1"); s.Health != "up" {
		t.Errorf("the instance is blamed: %+v", s)
	}
}

// TestClientThatGoesAwayIsNoFault: an instance that hears of it and answers that it has given up has not failed, and no other one gets the request.
func TestClientThatGoesAwayIsNoFault(t *testing.T) {
	var asked atomic.Int64
	gone := func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		<-r.Context().Done()
		w.WriteHeader(http.StatusBadGateway)
	}
	c := conf(of(newApp(t, "i1", gone), newApp(t, "i2", gone))...)
	c.Clusters[0].Affinity.Type = "none"
	c.Clusters[0].Health.Passive, c.Clusters[0].Health.PassiveFails = []string{"connect", "reset", "timeout", "5xx"}, 1
	r := newRig(t, c)
	for _, close := range []func(*rawConn){func(c *rawConn) { c.Close() }, func(c *rawConn) { closeWrite(c.Conn) }} {
		asked.Store(0)
		c := dialRaw(t, r)
		c.write("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
		r.wait("it is asked", func() bool { return asked.Load() == 1 })
		close(c)
		if _, err := io.Copy(io.Discard, c.Conn); err != nil && !errors.Is(err, net.ErrClosed) && !errors.Is(err, syscall.ECONNRESET) {
			t.Error(err)
		}
		r.wait("nothing in flight", func() bool { return r.status("c1", "i1").InFlight+r.status("c1", "i2").InFlight == 0 })
		if asked.Load() != 1 {
			t.Errorf("%d instances had the request", asked.Load())
		}
	}
	for _, i := range []string{"i1", "i2"} {
		if s := r.status("c1", i); s.Health != "up" {
			t.Errorf("blamed: %+v", s)
		}
	}
}

func TestInstanceThatBreaksOffBreaksTheClientsResponse(t *testing.T) {
	r, _ := noAff(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "100")
		io.WriteString(w, "half")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})
	c := dialRaw(t, r)
	c.write("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	if body, err := io.ReadAll(c.response().Body); !errors.Is(err, io.ErrUnexpectedEOF) || string(body) != "half" {
		t.Fatalf("%q %v", body, err)
	}
}

func TestBadBodyIsTheClientsFault(t *testing.T) {
	r, _ := noAff(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
	})
	for _, bad := range []string{"zz\r\n", "5\r\nhelloX\r\n", "-1\r\n", "fffffffffffffffff\r\n"} {
		c := dialRaw(t, r)
		c.write("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n" + bad)
		if got := c.response(); got.StatusCode != 400 {
			t.Errorf("%q: %d", bad, got.StatusCode)
		}
	}
	if s := r.status("c1", "i1"); s.Health != "up" {
		t.Errorf("the instance is blamed: %+v", s)
	}
}

func TestEarlyAnswerToAnUnreadBodyIsNotFollowedByIt(t *testing.T) {
	url, count := rawInstance(t, "HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n")
	cc := conf(inst("i1", url))
	cc.Clusters[0].Affinity.Type, cc.Clusters[0].Health.Type = "none", "none"
	r := newRig(t, cc)
	for i, framing := range []string{"Content-Length: 100000\r\n\r\nabc", "Content-Length: 10000000\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\nff\r\nabc"} {
		c := dialRaw(t, r)
		c.write("POST / HTTP/1.1\r\nHost: h\r\n" + framing)
		if got := c.response(); got.StatusCode != 413 {
			t.Fatal(got.StatusCode)
		}
		// the rest of the body looks like a request: it must never be taken for one
		c.Conn.Write([]byte(strings.Repeat("GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n", 20)))
		if rest, _ := io.ReadAll(c.in); strings.Contains(string(rest), "HTTP/1.1") {
			t.Fatalf("a second response: %q", rest)
		}
		if count.Load() != int64(i+1) {
			t.Fatalf("%d requests reached the instance", count.Load())
		}
	}
}

func TestUnreadBodyDoesNotCostTheConnection(t *testing.T) {
	cc := conf(inst("i1", deadURL(t)))
	cc.Clusters[0].Health.Type = "none"
	r := newRig(t, cc)
	c := dialRaw(t, r)
	for range 5 { // nobody takes the body, and yet the connection stays usable
		c.write("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello")
		resp := c.response()
		if body, err := io.ReadAll(resp.Body); resp.StatusCode != 503 || err != nil || len(body) == 0 {
			t.Fatalf("%d %q %v", resp.StatusCode, body, err)
		}
	}
	if strings.Contains(r.logs.String(), "panic") {
		t.Error(r.logs.String())
	}
}

func TestErrorAnswers(t *testing.T) {
	garbage, _ := rawInstance(t, "HTTP/1.1 042 secret-session-id\r\nContent-Length: 0\r\n\r\n")
	hang := newApp(t, "hang", func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	c := conf()
	base := c.Clusters[0]
	c.Clusters = nil
	for name, url := range map[string]string{"bad": garbage, "down": deadURL(t), "hang": hang.URL} {
		cl := clone(conf()).Clusters[0]
		cl.Name, cl.Health.Type, cl.Affinity = name, "none", base.Affinity
		if name == "hang" {
			cl.ResponseTimeout = config.Duration(100 * time.Millisecond)
		}
		cl.Modules[0].ContextRoot = "/" + name
		cl.Instances = of(&app{Server: hang.Server, name: name})
		cl.Instances[0].Listeners = []string{url}
		c.Clusters = append(c.Clusters, cl)
	}
	r := newRigOn(t, newFakeGroup(c), Options{})
	for _, want := range []struct {
		path       string
		status     int
		retryAfter bool
	}{{"/nothing", 404, false}, {"/bad", 502, false}, {"/down", 503, true}, {"/hang", 504, false}} {
		for _, accept := range []string{"", "text/html,*/*;q=0.8"} {
			req, _ := http.NewRequest("GET", r.url(want.path), nil)
			req.Header.Set("Accept", accept)
			got := newClient(t).do(req)
			if got.StatusCode != want.status || (got.Header.Get("Retry-After") != "") != want.retryAfter {
				t.Errorf("%s: %d %v", want.path, got.StatusCode, got.Header)
			}
			isHTML := strings.HasPrefix(got.Header.Get("Content-Type"), "text/html") && strings.Contains(got.body, "<h1>")
			if isHTML != (accept != "") || strings.Contains(got.body, "127.0.0.1") || len(got.Cookies()) != 0 {
				t.Errorf("%s: %v %q", want.path, got.Header, got.body)
			}
		}
	}
	if strings.Contains(r.accessLog()+r.logs.String(), "secret-session-id") {
		t.Error("what the instance sent is in a log")
	}
	if s := r.status("hang", "hang"); s.Health != "up" {
		t.Error("a slow instance was taken out")
	}
}

func TestAccessLog(t *testing.T) {
	r, _ := noAff(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "hello") })
	send(t, r, "/a;jsessionid=topsecret/b?token=topsecret", "Cookie: HOLDFAST=topsecret; JSESSIONID=topsecret", "Referer: http://x/;jsessionid=topsecret")
	r.wait("log line", func() bool { return strings.Contains(r.accessLog(), "\n") })
	line := r.accessLog()
	for _, want := range []string{`"node":"node1"`, `"method":"GET"`, `"path":"/a/b"`, `"status":200`, `"bytes":5`, `"cluster":"c1"`, `"instance":"i1"`,
		`"assigned":false`, `"client":"127.0.0.1"`} {
		if !strings.Contains(line, want) {
			t.Errorf("no %s in %s", want, line)
		}
	}
	if strings.Contains(line, "topsecret") {
		t.Error("a secret is in " + line)
	}
}

func TestStaleIdleConnectionCostsNoRequest(t *testing.T) {
	r, a := noAff(t, func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) })
	cl := newClient(t)
	for i := range 20 {
		if got := cl.get(r.url("/")); got.StatusCode != 200 {
			t.Fatalf("request %d: %d", i, got.StatusCode)
		}
		a.CloseClientConnections()
	}
}

func TestShutdownLetsRequestsFinish(t *testing.T) {
	begun, finish := make(chan struct{}), make(chan struct{})
	r, _ := noAff(t, func(w http.ResponseWriter, r *http.Request) {
		close(begun)
		<-finish
		fmt.Fprint(w, "done")
	})
	c := dialRaw(t, r)
	c.write("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	<-begun
	ended := make(chan error, 1)
	go func() { ended <- r.b.Shutdown(context.Background()) }()
	r.wait("listener closed", func() bool {
		conn, err := net.Dial("tcp", c.RemoteAddr().String())
		if err == nil {
			conn.Close()
		}
		return err != nil
	})
	close(finish)
	if body, err := io.ReadAll(c.response().Body); err != nil || string(body) != "done" {
		t.Fatalf("%q %v", body, err)
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if r.b.Ready() == nil {
		t.Error("ready after Shutdown")
	}
}

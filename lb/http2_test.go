package lb

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// TestHTTP2KeepsSessions: a session stays with its instance, whichever protocol its requests come in.
func TestHTTP2KeepsSessions(t *testing.T) {
	a, b := newApp(t, "i1", nil), newApp(t, "i2", nil)
	r := newRig(t, http2Conf(of(a, b)...))
	for range 4 {
		two, one := newHTTP2Client(t), newClient(t)
		one.Jar = two.Jar
		first := two.get(r.url("/"))
		if first.ProtoMajor != 2 || first.StatusCode != 200 || cookieNamed(first, "HOLDFAST") == nil {
			t.Fatal(first.Proto, first.Status, first.Header)
		}
		for i := range 6 {
			c, major := two, 2
			if i%2 == 0 {
				c, major = one, 1
			}
			if got := c.get(r.url("/x?y=z")); got.body != first.body || got.ProtoMajor != major {
				t.Fatalf("request %d: %s %s, want %s", i, got.Proto, got.body, first.body)
			}
		}
	}
	if a.count() == 0 || b.count() == 0 {
		t.Error("one instance has had all sessions")
	}
	r.wait("log lines", func() bool {
		return strings.Contains(r.accessLog(), `"HTTP/2.0"`) && strings.Contains(r.accessLog(), `"HTTP/1.1"`)
	})
	if got := a.header(); got.Get("X-Forwarded-For") != "127.0.0.1" || got.Get("X-Forwarded-Proto") != "http" || got.Get("X-Forwarded-Host") != r.addr() {
		t.Errorf("%v", got)
	}
}

func TestHTTP2IsOffWhereItIsNotWanted(t *testing.T) {
	a := newApp(t, "i1", nil)
	r := newRig(t, conf(of(a)...))
	c := dialRaw(t, r)
	c.write(http2.ClientPreface)
	if got := c.response(); got.StatusCode != http.StatusHTTPVersionNotSupported {
		t.Fatal(got.Status)
	}
}

// TestInvalidPrefaceOfHTTP2: a first line that is of no HTTP ends the connection as RFC 9113 says, by frames; whatever looks like HTTP/1 is answered so.
func TestInvalidPrefaceOfHTTP2(t *testing.T) {
	a := newApp(t, "i1", nil)
	served := newRig(t, http2Conf(of(a)...))
	off := newRig(t, conf(of(a)...))
	for _, pieces := range [][]string{{"INVALID CONNECTION PREFACE\r\n\r\n"}, {"INVALID CONN", "ECTION PREFACE\r\n\r\n"}, {"\r\nHELLO mail.example NOW\r\n"}} {
		conn, err := net.Dial("tcp", served.addr())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		for i, piece := range pieces {
			if i > 0 {
				newClient(t).get(served.url("/")) // once it is answered, what came before it has been read
			}
			io.WriteString(conn, piece)
		}
		conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		frames := http2.NewFramer(nil, conn)
		if f, err := frames.ReadFrame(); err != nil || f.Header().Type != http2.FrameSettings {
			t.Fatal(pieces, f, err)
		}
		f, err := frames.ReadFrame()
		if bye, ok := f.(*http2.GoAwayFrame); !ok || bye.ErrCode != http2.ErrCodeProtocol || bye.LastStreamID != 0 || !strings.Contains(string(bye.DebugData()), "HTTP/1.1") {
			t.Fatal(pieces, f, err)
		}
		if f, err := frames.ReadFrame(); err != io.EOF {
			t.Fatal(pieces, f, err)
		}
	}
	for _, line := range []string{"GET / FOO", "GARBAGE", "INVALID CONNECTION HTTX/1.1", "GET /", "PROPFIND /my file HTTP/1.1", "FOO /x ", "FOO x ", "FOO http://x/ y"} {
		c := dialRaw(t, served)
		c.write(line + "\r\nHost: h\r\n\r\n")
		if got := c.response(); got.StatusCode != http.StatusBadRequest {
			t.Error(line, got.Status)
		}
	}
	for _, r := range []*rig{served, off} {
		c := dialRaw(t, r)
		if r == served { // not at the beginning
			c.write("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
			got := c.response()
			io.Copy(io.Discard, got.Body)
		}
		c.write("INVALID CONNECTION PREFACE\r\n\r\n")
		if got := c.response(); got.StatusCode != http.StatusBadRequest {
			t.Error(got.Status)
		}
	}
}

// TestHTTP2OnlyAtTheBeginning: what has been a connection of HTTP/1.1 stays one.
func TestHTTP2OnlyAtTheBeginning(t *testing.T) {
	a := newApp(t, "i1", nil)
	r := newRig(t, http2Conf(of(a)...))
	for _, path := range []string{"/", "/%61"} { // by the loop, and by net/http
		c := dialRaw(t, r)
		c.write("GET " + path + " HTTP/1.1\r\nHost: h\r\n\r\n" + http2.ClientPreface)
		if got := c.response(); got.StatusCode != 200 {
			t.Fatal(got.Status)
		} else if body, err := io.ReadAll(got.Body); err != nil || string(body) != "i1" {
			t.Fatal(string(body), err)
		}
		if got := c.response(); got.StatusCode != http.StatusHTTPVersionNotSupported {
			t.Fatal(got.Status)
		}
	}
}

// TestHTTP2PrefaceInPieces: it may come in any pieces, with or without what follows it.
func TestHTTP2PrefaceInPieces(t *testing.T) {
	a := newApp(t, "i1", nil)
	r := newRig(t, http2Conf(of(a)...))
	f := dialFramed(t, r) // for its encoder alone
	var all strings.Builder
	all.WriteString(http2.ClientPreface)
	w := http2.NewFramer(&all, nil)
	w.WriteSettings()
	w.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: f.block(get("/")...), EndHeaders: true, EndStream: true})
	text := all.String()
	for cut := 1; cut < len(text); cut += 3 {
		c := dialRaw(t, r)
		c.write(text[:cut])
		if cut%2 == 0 {
			<-time.After(time.Millisecond)
		}
		c.write(text[cut:])
		got := &framed{t: t, Conn: c.Conn, Framer: http2.NewFramer(c.Conn, c.Conn)}
		got.ReadMetaHeaders = f.ReadMetaHeaders
		if s := got.outcomeOf(1); s != "200" {
			t.Fatalf("cut at %d: %s", cut, s)
		}
		c.Close()
	}
}

// TestHTTP2HostileRequests: what could not be said in HTTP/1.1 in one way reaches no instance.
func TestHTTP2HostileRequests(t *testing.T) {
	a := newApp(t, "i1", nil)
	r := newRig(t, http2Conf(of(a)...))
	with := func(fields ...string) []string { return fields }
	for name, c := range map[string]struct {
		fields []string
		open   bool
		want   string
	}{
		"target with a fragment":         {fields: get("/a#b"), want: "400"},
		"target with a blank":            {fields: get("/a b"), want: "400"},
		"target with a version":          {fields: get("/ HTTP/1.1\r\nX: y"), want: "400|reset PROTOCOL_ERROR"},
		"target with half an escape":     {fields: get("/%a"), want: "400|reset PROTOCOL_ERROR"},
		"target beyond ASCII":            {fields: get("/\xff"), want: "400"},
		"target that is absolute":        {fields: get("http://other/"), want: "reset PROTOCOL_ERROR"},
		"target that is no path":         {fields: get("a"), want: "reset PROTOCOL_ERROR"},
		"asterisk for GET":               {fields: get("*"), want: "400"},
		"target that is too long":        {fields: get("/" + strings.Repeat("a", 9000)), want: "414"},
		"no target":                      {fields: with(":method", "GET", ":scheme", "http", ":authority", "h"), want: "reset PROTOCOL_ERROR"},
		"two targets":                    {fields: get("/", ":path", "/b"), want: "reset PROTOCOL_ERROR"},
		"unknown pseudo-header":          {fields: get("/", ":what", "x"), want: "reset PROTOCOL_ERROR"},
		"pseudo-header at the end":       {fields: with(":method", "GET", ":scheme", "http", ":path", "/", "x", "y", ":authority", "h"), want: "reset PROTOCOL_ERROR"},
		"no authority":                   {fields: with(":method", "GET", ":scheme", "http", ":path", "/"), want: "400"},
		"authority with a path":          {fields: with(":method", "GET", ":scheme", "http", ":path", "/", ":authority", "h/x"), want: "400|reset PROTOCOL_ERROR"},
		"authority with a user":          {fields: with(":method", "GET", ":scheme", "http", ":path", "/", ":authority", "u@h"), want: "reset PROTOCOL_ERROR"},
		"authority with a comma":         {fields: with(":method", "GET", ":scheme", "http", ":path", "/", ":authority", "a,b"), want: "400"},
		"another host":                   {fields: get("/", "host", "other"), want: "reset PROTOCOL_ERROR"},
		"two hosts":                      {fields: get("/", "host", "h", "host", "h"), want: "reset PROTOCOL_ERROR"},
		"CONNECT":                        {fields: with(":method", "CONNECT", ":authority", "h:80"), want: "400|501"},
		"method with a blank":            {fields: with(":method", "GET /x", ":scheme", "http", ":path", "/", ":authority", "h"), want: "400"},
		"scheme of a script":             {fields: with(":method", "GET", ":scheme", "javascript", ":path", "/", ":authority", "h"), want: "reset PROTOCOL_ERROR"},
		"field name in capitals":         {fields: get("/", "X-A", "b"), want: "reset PROTOCOL_ERROR"},
		"field name with a blank":        {fields: get("/", "x a", "b"), want: "reset PROTOCOL_ERROR"},
		"field name with a colon":        {fields: get("/", "x:a", "b"), want: "reset PROTOCOL_ERROR"},
		"field value with a line":        {fields: get("/", "x", "a\r\nb: c"), want: "reset PROTOCOL_ERROR"},
		"field value with a NUL":         {fields: get("/", "x", "a\x00"), want: "reset PROTOCOL_ERROR"},
		"connection":                     {fields: get("/", "connection", "close"), want: "400|reset PROTOCOL_ERROR"},
		"transfer-encoding":              {fields: get("/", "transfer-encoding", "chunked"), want: "400|reset PROTOCOL_ERROR"},
		"upgrade":                        {fields: get("/", "upgrade", "websocket"), want: "400|reset PROTOCOL_ERROR"},
		"te":                             {fields: get("/", "te", "gzip"), want: "400|reset PROTOCOL_ERROR"},
		"two lengths":                    {fields: get("/", "content-length", "0", "content-length", "5"), want: "400|reset PROTOCOL_ERROR"},
		"length that is none":            {fields: get("/", "content-length", "+5"), open: true, want: "400|reset PROTOCOL_ERROR"},
		"length in octal":                {fields: get("/", "content-length", "05"), open: true, want: "400|reset PROTOCOL_ERROR"},
		"length without a body":          {fields: get("/", "content-length", "5"), want: "400|reset PROTOCOL_ERROR"},
		"trailer that frames":            {fields: get("/", "trailer", "content-length, x"), open: true, want: "200"}, // the name is dropped
		"trailer that says who is there": {fields: get("/", "trailer", "x-forwarded-for"), open: true, want: "400"},
		"trailer that is a twin of it":   {fields: get("/", "trailer", "x_forwarded_for"), open: true, want: "400"},
		"trailer that is Holdfast's own": {fields: get("/", "trailer", "x, x-holdfast-activation"), open: true, want: "400"},
		"too many fields":                {fields: get("/", manyFields(120)...), want: "431"},
		"too large a head":               {fields: get("/", "x", strings.Repeat("a", 40<<10)), want: "431"},
	} {
		t.Run(name, func(t *testing.T) {
			f := dialFramed(t, r)
			before := a.count()
			f.ask(1, !c.open, c.fields...)
			if c.open {
				f.WriteData(1, true, nil)
			}
			got := f.outcomeOf(1)
			if !strings.Contains("|"+c.want+"|", "|"+got+"|") {
				t.Errorf("%s, want %s", got, c.want)
			}
			if got != "200" && a.count() != before {
				t.Error("it has reached the instance")
			}
			f.ask(3, true, get("/")...) // others on the connection go on
			if got := f.outcomeOf(3); got != "200" {
				t.Errorf("the next one: %s", got)
			}
		})
	}
}

func manyFields(n int) (fields []string) {
	for i := range n {
		fields = append(fields, fmt.Sprint("x-", i), "y")
	}
	return fields
}

// TestHTTP2BodyAndLength: a body that is not as long as it says ends its stream, not the connection.
func TestHTTP2BodyAndLength(t *testing.T) {
	var mu sync.Mutex
	var got []string
	a := newApp(t, "i1", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		got = append(got, fmt.Sprint(string(body), err))
	})
	r := newRig(t, http2Conf(of(a)...))
	f := dialFramed(t, r)
	post := func(stream uint32, length, body string, end bool) string {
		f.ask(stream, false, ":method", "POST", ":scheme", "http", ":path", "/", ":authority", "h", "content-length", length)
		f.WriteData(stream, end, []byte(body))
		return f.outcomeOf(stream)
	}
	for i, length := range []string{"3", "5"} {
		if s := post(uint32(1+2*i), length, "abcd", true); s != "reset PROTOCOL_ERROR" && s != "400" {
			t.Error(s)
		}
	}
	if s := post(5, "4", "abcd", true); s != "200" {
		t.Error(s)
	}
	mu.Lock()
	defer mu.Unlock()
	for _, body := range got {
		if strings.HasSuffix(body, "<nil>") && body != "abcd<nil>" {
			t.Errorf("the instance got %q as a whole body", body)
		}
	}
}

// TestHTTP2LengthAndTrailers: a body that says how long it is may have trailers, whichever engine serves it. One that is not as long as it says is none, trailers or not.
func TestHTTP2LengthAndTrailers(t *testing.T) {
	a := newApp(t, "i1", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("X-Body", string(body))
	})
	r := newRig(t, http2Conf(of(a)...))
	for name, announced := range map[string][]string{"announced": {"trailer", "x-sum"}, "not announced": nil} {
		for path, of := range map[string]string{"/": "the loops", "/%61": "net/http"} {
			t.Run(name+", of "+of, func(t *testing.T) {
				f := dialFramed(t, r)
				post := func(id uint32, pieces ...string) string {
					f.ask(id, false, append([]string{":method", "POST", ":scheme", "http", ":path", path, ":authority", "h", "content-length", "5"}, announced...)...)
					for _, p := range pieces {
						f.WriteDataPadded(id, false, []byte(p), make([]byte, 7))
					}
					f.ask(id, true, "x-sum", "1")
					return f.outcomeOf(id)
				}
				for i := range 3 {
					if got := post(uint32(4*i+1), "ab", "cde"); got != "200" {
						t.Errorf("a body of the length: %s", got)
					}
					if got := post(uint32(4*i+3), "ab"); got != "reset PROTOCOL_ERROR" && got != "400" {
						t.Errorf("a shorter one: %s", got)
					}
				}
				if got := post(13, "ab", "cdef"); got != "reset PROTOCOL_ERROR" && got != "400" { // and x/net ends the connection at the trailers
					t.Errorf("a longer one: %s", got)
				}
			})
		}
	}
}

// TestHTTP2Streams: bodies go both ways as they come, with trailers, while both sides are still talking.
func TestHTTP2Streams(t *testing.T) {
	a := newApp(t, "i1", func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).EnableFullDuplex()
		w.Header().Set("Trailer", "X-Sum")
		w.WriteHeader(200)
		w.(http.Flusher).Flush()
		n, buffer := 0, make([]byte, 100)
		for {
			got, err := r.Body.Read(buffer)
			n += got
			w.Write(buffer[:got])
			w.(http.Flusher).Flush()
			if err != nil {
				break
			}
		}
		w.Header().Set("X-Sum", fmt.Sprint(n, r.Trailer.Get("X-Client")))
	})
	r := newRig(t, http2Conf(of(a)...))
	body, w := io.Pipe()
	req, _ := http.NewRequest(http.MethodPost, r.url("/"), body)
	req.Trailer = http.Header{"X-Client": {"bye"}}
	resp, err := newHTTP2Client(t).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	for _, piece := range []string{"one", "two", "three"} {
		io.WriteString(w, piece)
		got := make([]byte, len(piece))
		if _, err := io.ReadFull(resp.Body, got); err != nil || string(got) != piece {
			t.Fatal(string(got), err)
		}
	}
	w.Close()
	if rest, err := io.ReadAll(resp.Body); err != nil || len(rest) > 0 || resp.Trailer.Get("X-Sum") != "11bye" {
		t.Fatal(string(rest), err, resp.Trailer)
	}
}

// TestServerSentEventsAreNotHeldBack, on every engine: each leaves when it has come.
func TestServerSentEventsAreNotHeldBack(t *testing.T) {
	next := make(chan string)
	a := newApp(t, "i1", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for event := range next {
			if event == "" {
				return
			}
			fmt.Fprintf(w, "data: %s\n\n", event)
			w.(http.Flusher).Flush()
		}
	})
	r := newRig(t, http2Conf(of(a)...))
	for name, c := range map[string]struct {
		client *client
		path   string
	}{"loop": {newClient(t), "/"}, "net/http": {newClient(t), "/%61"}, "HTTP/2": {newHTTP2Client(t), "/"}} {
		t.Run(name, func(t *testing.T) {
			go func() { next <- "0" }()
			resp, err := c.client.Get(r.url(c.path))
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			for i := range 5 {
				want := fmt.Sprintf("data: %d\n\n", i)
				got := make([]byte, len(want))
				if _, err := io.ReadFull(resp.Body, got); err != nil || string(got) != want {
					t.Fatal(string(got), err)
				}
				if i < 4 {
					next <- fmt.Sprint(i + 1)
				}
			}
			next <- ""
			if rest, err := io.ReadAll(resp.Body); err != nil || len(rest) > 0 {
				t.Error(string(rest), err)
			}
		})
	}
}

// TestHTTP2Drain: a connection that is to end says so first, serves what comes meanwhile and what is under way, and is closed then.
func TestHTTP2Drain(t *testing.T) {
	release := make(chan struct{})
	letGo := sync.OnceFunc(func() { close(release) })
	a := newApp(t, "i1", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			<-release
		}
	})
	t.Cleanup(letGo)
	r := newRig(t, http2Conf(of(a)...))
	f := dialFramed(t, r)
	f.ask(1, true, get("/slow")...)
	r.wait("the request is under way", func() bool { return a.count() == 1 })
	local := []netip.Addr{netip.MustParseAddr("127.0.0.1")}
	r.b.DrainAddresses(local)
	first := goAwayOf(t, f)
	if first.ErrCode != http2.ErrCodeNo || first.LastStreamID != 1<<31-1 {
		t.Fatalf("%v", first)
	}
	f.ask(3, true, get("/")...) // it did not know yet
	if got := f.outcomeOf(3); got != "200" {
		t.Fatal(got)
	}
	if last := goAwayOf(t, f); last.ErrCode != http2.ErrCodeNo || last.LastStreamID != 3 {
		t.Fatalf("%v", last)
	}
	letGo()
	if got := f.outcomeOf(1); got != "200" {
		t.Fatal(got)
	}
	r.wait("no connection is left", func() bool { total, _ := r.b.OpenConnections(local); return total == 0 })
	if n := r.b.conns.ending.Load(); n != 0 {
		t.Errorf("%d connections are still to end", n)
	}
}

func goAwayOf(t *testing.T, f *framed) *http2.GoAwayFrame {
	t.Helper()
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		if g, ok := frame.(*http2.GoAwayFrame); ok {
			return g
		}
	}
}

// TestHTTP2ListenerGoes: requests on a listener that is removed get their answers.
func TestHTTP2ListenerGoes(t *testing.T) {
	release := make(chan struct{})
	letGo := sync.OnceFunc(func() { close(release) })
	a := newApp(t, "i1", func(http.ResponseWriter, *http.Request) { <-release })
	t.Cleanup(letGo)
	r := newRig(t, http2Conf(of(a)...))
	f := dialFramed(t, r)
	f.ask(1, true, get("/")...)
	r.wait("the request is under way", func() bool { return a.count() == 1 })
	c := http2Conf(of(a)...)
	c.Listeners[0].Address = "127.0.0.2:0"
	r.apply(c)
	if g := goAwayOf(t, f); g.LastStreamID != 1<<31-1 {
		t.Fatalf("%v", g)
	}
	letGo()
	if got := f.outcomeOf(1); got != "200" {
		t.Fatal(got)
	}
}

// TestHTTP2CancelledRequest: a request that is taken back is taken back from the instance too.
func TestHTTP2CancelledRequest(t *testing.T) {
	over := make(chan struct{})
	a := newApp(t, "i1", func(_ http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		close(over)
	})
	r := newRig(t, http2Conf(of(a)...))
	f := dialFramed(t, r)
	f.ask(1, true, get("/")...)
	r.wait("the request is under way", func() bool { return a.count() == 1 })
	f.WriteRSTStream(1, http2.ErrCodeCancel)
	<-over
	r.wait("nothing in flight", func() bool { return r.status("c1", "i1").InFlight == 0 })
	r.wait("log line", func() bool { return strings.Contains(r.accessLog(), `"status":499`) })
}

// TestHTTP2InstanceBreaksOff: the client learns that a response is not whole, and other streams go on.
func TestHTTP2InstanceBreaksOff(t *testing.T) {
	a := newApp(t, "i1", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/broken" {
			w.Header().Set("Content-Length", "10")
			io.WriteString(w, "half")
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}
	})
	r := newRig(t, http2Conf(of(a)...))
	c := newHTTP2Client(t)
	resp, err := c.Get(r.url("/broken"))
	if err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(resp.Body); err == nil {
		t.Errorf("%q as if it were whole", body)
	}
	if got := c.get(r.url("/")); got.StatusCode != 200 {
		t.Error(got.Status)
	}
	if n := r.b.countOpen(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

// TestHTTP2SlowClientHoldsNobodyUp: streams of one connection whose client takes nothing of one response.
func TestHTTP2SlowClientHoldsNobodyUp(t *testing.T) {
	a := newApp(t, "i1", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/large" {
			io.Copy(w, io.LimitReader(zeroReader{}, 8<<20))
		}
	})
	c := http2Conf(of(a)...)
	r := newRig(t, c)
	f := dialFramed(t, r)
	f.ask(1, true, get("/large")...) // its window is 64 KiB, and is never opened further
	f.WriteWindowUpdate(0, 1<<20)
	if got := f.outcomeOf(1); got != "200" {
		t.Fatal(got)
	}
	for i := range uint32(20) {
		f.ask(3+2*i, true, get("/")...)
		if got := f.outcomeOf(3 + 2*i); got != "200" {
			t.Fatal(got)
		}
	}
	f.Close()
	r.wait("nothing in flight", func() bool { return r.status("c1", "i1").InFlight == 0 })
}

type zeroReader struct{}

func (zeroReader) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// TestHTTP2SendTimeout: who takes nothing of a response for longer than allowed loses it.
func TestHTTP2SendTimeout(t *testing.T) {
	a := newApp(t, "i1", func(w http.ResponseWriter, r *http.Request) { io.Copy(w, io.LimitReader(zeroReader{}, 8<<20)) })
	c := http2Conf(of(a)...)
	c.Proxy.Timeouts.Send = config.Duration(50 * time.Millisecond)
	r := newRig(t, c)
	f := dialFramed(t, r)
	f.ask(1, true, get("/large")...)
	if got := f.outcomeOf(1); got != "200" {
		t.Fatal(got)
	}
	if got := f.outcomeOf(1); !strings.HasPrefix(got, "reset") {
		t.Fatal(got)
	}
	r.wait("nothing in flight", func() bool { return r.status("c1", "i1").InFlight == 0 })
}

// TestHTTP2BodyLimits: too large a body, and one that does not come, cost their stream alone.
func TestHTTP2BodyLimits(t *testing.T) {
	a := newApp(t, "i1", func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) })
	c := http2Conf(of(a)...)
	c.Proxy.Limits.Body, c.Proxy.Timeouts.RequestBody = 10, config.Duration(500*time.Millisecond)
	r := newRig(t, c)
	f := dialFramed(t, r)
	ask := func(stream uint32, body string, end bool) string {
		f.ask(stream, false, ":method", "POST", ":scheme", "http", ":path", "/", ":authority", "h")
		f.WriteData(stream, end, []byte(body))
		return f.outcomeOf(stream)
	}
	if got := ask(1, strings.Repeat("a", 11), true); got != "413" {
		t.Error(got)
	}
	if got := ask(3, "abc", false); got != "408" {
		t.Error(got)
	}
	if got := ask(5, "abc", true); got != "200" {
		t.Error(got)
	}
}

// TestHTTP2ConnectionsAreCounted against the bound of the listener.
func TestHTTP2ConnectionsAreCounted(t *testing.T) {
	a := newApp(t, "i1", nil)
	c := http2Conf(of(a)...)
	c.Listeners[0].Limits.Connections = 1
	r := newRig(t, c)
	f := dialFramed(t, r)
	f.ask(1, true, get("/")...)
	if got := f.outcomeOf(1); got != "200" {
		t.Fatal(got)
	}
	conn, err := net.Dial("tcp", r.addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, http2.ClientPreface)
	if answer, _ := io.ReadAll(conn); !strings.HasPrefix(string(answer), "HTTP/1.1 503 ") {
		t.Errorf("%q", answer)
	}
	f.Close()
	r.wait("the connection is counted no more", func() bool { return r.b.countOpen() == 0 })
	if got := newHTTP2Client(t).get(r.url("/")); got.StatusCode != 200 {
		t.Error(got.Status)
	}
}

package lb

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// hammer is a client that sends one request after the other on one connection, with pauses of up to pause. It counts the answers and reports what a client
// could not explain: an end of the connection in place of an answer.
type hammer struct {
	conn    net.Conn
	in      *bufio.Reader
	pause   time.Duration
	answers *atomic.Int64
}

func newHammer(t *testing.T, addr string, pause time.Duration, answers *atomic.Int64) *hammer {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	conn.SetDeadline(time.Now().Add(30 * time.Second)) // the last answer must come
	t.Cleanup(func() { conn.Close() })
	return &hammer{conn, bufio.NewReader(conn), pause, answers}
}

// run goes on until an answer says that it is the last one; after that only an end of stream may come.
func (h *hammer) run() error {
	defer h.conn.Close()
	for i := 0; ; i++ {
		body := ""
		method := http.MethodGet
		if i%2 == 1 {
			method, body = http.MethodPost, strings.Repeat("b", rand.IntN(3000))
		}
		if _, err := fmt.Fprintf(h.conn, "%s / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s", method, len(body), body); err != nil {
			return fmt.Errorf("%s %d: %w", method, i, err)
		}
		resp, err := http.ReadResponse(h.in, nil)
		if err != nil {
			return fmt.Errorf("%s %d: %w", method, i, err)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			return fmt.Errorf("%s %d: body: %w", method, i, err)
		}
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("%s %d: status %d", method, i, resp.StatusCode)
		}
		h.answers.Add(1)
		if resp.Close {
			if _, err := h.in.ReadByte(); err != io.EOF {
				return fmt.Errorf("%s %d: after the last answer: %w", method, i, err)
			}
			return nil
		}
		if h.pause > 0 {
			<-time.After(rand.N(h.pause))
		}
	}
}

// hammers runs clients until each has had its last answer; end begins once all are at work.
func hammers(t *testing.T, addr string, end func()) {
	t.Helper()
	var answers atomic.Int64
	var all sync.WaitGroup
	const clients = 40
	for i := range clients {
		h := newHammer(t, addr, time.Duration(i%4)*3*time.Millisecond, &answers)
		all.Go(func() {
			if err := h.run(); err != nil {
				t.Error(err)
			}
		})
	}
	eventually(t, "work", func() bool { return answers.Load() > 20*clients })
	end()
	all.Wait()
	t.Logf("%d answers", answers.Load())
}

// TestShutdownFailsNoRequest: connections that are there when the node leaves get an answer to each request, the last of which says that it is.
func TestShutdownFailsNoRequest(t *testing.T) {
	for range 3 {
		a := newApp(t, "i1", func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			io.WriteString(w, "i1")
		})
		r := newRig(t, conf(of(a)...))
		hammers(t, r.addr(), func() {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			if err := r.b.Shutdown(ctx); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestShutdownRefusesOnlyNewConnections: whoever was let in gets an answer, also one that has just been; all others are refused.
func TestShutdownRefusesOnlyNewConnections(t *testing.T) {
	a := newApp(t, "i1", nil)
	r := newRig(t, conf(of(a)...))
	addr := r.addr()
	var answers atomic.Int64
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			for {
				conn, err := net.Dial("tcp", addr)
				if errors.Is(err, syscall.ECONNREFUSED) {
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
				fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
				resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
				conn.Close()
				if err != nil || resp.StatusCode != http.StatusOK {
					t.Errorf("let in, but: %v", err)
					return
				}
				answers.Add(1)
			}
		})
	}
	eventually(t, "work", func() bool { return answers.Load() > 500 })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := r.b.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	all.Wait()
}

// everywhere has the listener on all addresses of the machine, so that connections differ by their local address.
func everywhere(t *testing.T, handler http.HandlerFunc) (*rig, func(host string) string) {
	a := newApp(t, "i1", handler)
	cc := conf(of(a)...)
	cc.Listeners[0].Address = "0.0.0.0:0"
	r := newRig(t, cc)
	_, port, err := net.SplitHostPort(r.addr())
	if err != nil {
		t.Fatal(err)
	}
	return r, func(host string) string { return net.JoinHostPort(host, port) }
}

func addrs(list ...string) (parsed []netip.Addr) {
	for _, s := range list {
		parsed = append(parsed, netip.MustParseAddr(s))
	}
	return parsed
}

func dialRawAt(t *testing.T, addr string) *rawConn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	t.Cleanup(func() { conn.Close() })
	return &rawConn{conn, t, bufio.NewReader(conn)}
}

// get asks on the connection and reports whether the answer says that it is the last.
func (c *rawConn) get(path string, status int) (last bool) {
	c.t.Helper()
	c.write("GET " + path + " HTTP/1.1\r\nHost: h\r\n\r\n")
	return c.answer(status)
}

func (c *rawConn) answer(status int) (last bool) {
	c.t.Helper()
	resp := c.response()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != status {
		c.t.Fatalf("status %d %v, want %d", resp.StatusCode, err, status)
	}
	return resp.Close
}

// ended waits for an end of stream, which a reset is not.
func (c *rawConn) ended() {
	c.t.Helper()
	if b, err := c.in.ReadByte(); err != io.EOF {
		c.t.Errorf("%q %v, want the end of the stream", b, err)
	}
}

// TestDrainAddressesFailsNoRequest: clients of one address are told to go, and none loses a request; those of another one notice nothing.
func TestDrainAddressesFailsNoRequest(t *testing.T) {
	r, at := everywhere(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		io.WriteString(w, "i1")
	})
	stays := dialRawAt(t, at("127.0.0.3"))
	stays.get("/", 200)
	virtual := addrs("127.0.0.2")
	hammers(t, at("127.0.0.2"), func() { r.b.DrainAddresses(virtual) })
	r.wait("all gone", func() bool { total, _ := r.b.OpenConnections(virtual); return total == 0 })
	if late := dialRawAt(t, at("127.0.0.2")); !late.get("/", 200) {
		t.Error("a connection that came late was not told to go")
	}
	if stays.get("/", 200) {
		t.Error("the drain reached another address")
	}
	r.b.DrainAddresses(nil)
	again := dialRawAt(t, at("127.0.0.2"))
	for range 2 {
		if again.get("/", 200) {
			t.Error("the drain did not end")
		}
	}
	if total, _ := r.b.OpenConnections(addrs("::ffff:127.0.0.3")); total != 1 {
		t.Errorf("%d connections to the other address", total)
	}
}

// TestDrainCanBeTakenBack: connections that were to end go on.
func TestDrainCanBeTakenBack(t *testing.T) {
	r, at := everywhere(t, nil)
	unused, used := dialRawAt(t, at("127.0.0.2")), dialRawAt(t, at("127.0.0.2"))
	used.get("/", 200)
	r.wait("both", func() bool { total, _ := r.b.OpenConnections(addrs("127.0.0.2")); return total == 2 })
	r.b.DrainAddresses(addrs("127.0.0.2", "127.0.0.9"))
	if n := r.b.conns.ending.Load(); n != 2 {
		t.Errorf("%d are to end", n)
	}
	r.b.DrainAddresses(addrs("127.0.0.9"))
	if n := r.b.conns.ending.Load(); n != 0 {
		t.Errorf("%d are to end", n)
	}
	for range 2 {
		if unused.get("/", 200) || used.get("/", 200) {
			t.Error("told to go")
		}
	}
}

// TestEveryKindOfConnectionIsDrained: unused ones, idle ones, those with a response that had begun before, refused requests, upgraded ones.
func TestEveryKindOfConnectionIsDrained(t *testing.T) {
	more := make(chan struct{})
	r, at := everywhere(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/ws":
			wsEcho(w, r)
		case "/stream":
			io.WriteString(w, "first ")
			w.(http.Flusher).Flush()
			<-more
			io.WriteString(w, "last")
		}
	})
	virtual := addrs("127.0.0.2")
	count := func(total, upgraded int) {
		t.Helper()
		r.wait(fmt.Sprint(total, upgraded), func() bool {
			n, u := r.b.OpenConnections(virtual)
			return n == total && u == upgraded
		})
	}
	here := at("127.0.0.2")
	unused, idle, stream, refused, ws := dialRawAt(t, here), dialRawAt(t, here), dialRawAt(t, here), dialRawAt(t, here), dialRawAt(t, here)
	idle.get("/", 200)
	stream.write("GET /stream HTTP/1.1\r\nHost: h\r\n\r\n")
	begun := stream.response()
	ws.write(wsRequest)
	if ws.response().StatusCode != 101 {
		t.Fatal("no switch")
	}
	count(5, 1)
	r.b.DrainAddresses(virtual)
	refused.write("GET / HTTP/1.1\r\n\r\n")
	if !refused.answer(400) {
		t.Error("the parser's answer is not the last")
	}
	refused.Close()
	close(more)
	if body, err := io.ReadAll(begun.Body); err != nil || string(body) != "first last" || begun.Close {
		t.Errorf("%q %v", body, err)
	}
	if !stream.get("/", 200) {
		t.Error("the next response is not the last")
	}
	stream.ended()
	unused.ended()
	idle.ended()
	idle.write("GET / HTTP/1.1\r\nHost: h\r\n\r\n") // not reset: it still lingers
	idle.ended()
	for _, c := range []*rawConn{unused, idle, stream} {
		c.Close()
	}
	count(1, 1)
	ws.write("x")
	if got, err := ws.in.Peek(len("hello x")); err != nil || string(got) != "hello x" {
		t.Errorf("%q %v", got, err)
	}
	r.b.CutAddresses(addrs("127.0.0.3"))
	count(1, 1)
	r.b.CutAddresses(virtual)
	count(0, 0)
	if _, err := io.ReadAll(ws.in); err != nil {
		t.Error(err)
	}
}

// TestOwnAnswersOfADrainedConnection: what Holdfast answers by itself says so as well.
func TestOwnAnswersOfADrainedConnection(t *testing.T) {
	r := newRig(t, conf(inst("i1", deadURL(t))))
	r.b.DrainAddresses(addrs("127.0.0.1"))
	c := dialRaw(t, r)
	c.write("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	if resp := c.response(); resp.StatusCode < 500 || !resp.Close {
		t.Errorf("%d, last: %v", resp.StatusCode, resp.Close)
	}
}

// TestCutEndsWhatNeverWould: a request that no instance answers.
func TestCutEndsWhatNeverWould(t *testing.T) {
	url, got := rawInstance(t, "")
	r := newRig(t, conf(inst("i1", url)))
	c := dialRaw(t, r)
	c.write("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	r.wait("the request", func() bool { return got.Load() > 0 && r.status("c1", "i1").InFlight == 1 })
	r.b.DrainAddresses(addrs("127.0.0.1"))
	if total, upgraded := r.b.OpenConnections(addrs("127.0.0.1")); total != 1 || upgraded != 0 {
		t.Error(total, upgraded)
	}
	r.b.CutAddresses(addrs("127.0.0.1"))
	if total, _ := r.b.OpenConnections(addrs("127.0.0.1")); total != 0 {
		t.Error(total)
	}
	c.ended()
	r.wait("nothing in flight", func() bool { return r.status("c1", "i1").InFlight == 0 })
}

// TestConnectionsThatWaitToBeAcceptedCount: those that were in the listen queue when the drain began.
func TestConnectionsThatWaitToBeAcceptedCount(t *testing.T) {
	r := newRig(t, conf())
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	f := &front{ln: ln}
	f.accepted.Store(7)
	r.b.mu.Lock()
	r.b.fronts["nobody accepts"] = f
	r.b.mu.Unlock()
	for range 3 {
		dialRawAt(t, ln.Addr().String())
	}
	r.b.DrainAddresses(addrs("127.0.0.1"))
	for accepted, want := range []int{3, 2, 1, 0, 0} {
		if total, _ := r.b.OpenConnections(addrs("127.0.0.1")); total != want {
			t.Errorf("%d after %d, want %d", total, accepted, want)
		}
		f.accepted.Add(1)
	}
	r.b.mu.Lock()
	delete(r.b.fronts, "nobody accepts")
	r.b.mu.Unlock()
}

// TestSilence: the kernel counts it from the last byte that came, or from the beginning.
func TestSilence(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	c := dialRawAt(t, ln.Addr().String())
	conn, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	eventually(t, "silence", func() bool { return silence(conn) > 300*time.Millisecond })
	c.write("x")
	if d := silence(conn); d > 250*time.Millisecond {
		t.Errorf("%v although something has just come", d)
	}
}

// TestConnectionsBehindTheLastOne: a front that is closing has been left by its last connection when more come, such as those whose PROXY header was waited for.
func TestConnectionsBehindTheLastOne(t *testing.T) {
	c, f := newClientConns(), &front{}
	if err := c.drain(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		late := &caller{front: f}
		c.add(late, nil)
		if !late.ending {
			t.Error("it stays")
		}
		c.remove(late)
	}
	if err := c.drain(t.Context(), f); err != nil || f.open != 0 || c.ending.Load() != 0 {
		t.Error(err, f.open, c.ending.Load())
	}
}

package lb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quic-go/quic-go/http3"

	"github.com/holdfast-lb/holdfast/internal/certtest"
)

// heir is the rig of a process that takes over from the one of r: it has its sockets.
func heir(t *testing.T, r *rig) *rig {
	t.Helper()
	ln := r.b.Listeners()
	sockets, err := r.b.HTTP3Sockets()
	if err != nil || len(ln) != 1 || len(sockets) != 1 {
		t.Fatalf("%v %v %v", ln, sockets, err)
	}
	return newRigOn(t, r.g, Options{
		Inherited: func(address string) net.Listener {
			file, err := ln[address].(*net.TCPListener).File()
			if err != nil {
				t.Error(err)
				return nil
			}
			defer file.Close()
			l, err := net.FileListener(file)
			if err != nil {
				t.Error(err)
			}
			return l
		},
		InheritedHTTP3: func(address string) HTTP3Socket {
			file, err := sockets[address].Packets.File()
			if err != nil {
				t.Error(err)
				return HTTP3Socket{}
			}
			defer file.Close()
			c, err := net.FilePacketConn(file)
			if err != nil {
				t.Error(err)
				return HTTP3Socket{}
			}
			return HTTP3Socket{c.(*net.UDPConn), sockets[address].Way}
		},
	})
}

// handedOn is instances and clients that a hand-on must not disturb.
type handedOn struct {
	t         *testing.T
	r         *rig
	ca        *certtest.CA
	url       string
	release   chan struct{} // closed when long requests may end
	long      atomic.Int64  // of these are under way
	answered  atomic.Int64
	connected atomic.Int64
}

const piece = 256 << 10

func newHandedOn(t *testing.T) *handedOn {
	h := &handedOn{t: t, release: make(chan struct{})}
	a := newApp(t, "i1", func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/download":
			w.Write(make([]byte, piece))
			http.NewResponseController(w).Flush()
			h.long.Add(1)
			<-h.release
			w.Write(make([]byte, piece))
		case "/upload":
			if _, err := io.CopyN(io.Discard, r.Body, piece); err != nil {
				return
			}
			h.long.Add(1)
			n, err := io.Copy(io.Discard, r.Body)
			fmt.Fprint(w, n, err)
		default:
			io.WriteString(w, "ok")
		}
	})
	h.r, h.ca = http3Rig(t, http3Conf(of(a)...))
	h.url = h.r.secureURL("")
	return h
}

// ask gives the body of an answer.
func (h *handedOn) ask(c *http.Client, path string, body io.Reader) (string, error) {
	method := http.MethodGet
	if body != nil {
		method = http.MethodPost
	}
	req, err := http.NewRequest(method, h.url+path, body)
	if err != nil {
		return "", err
	}
	resp, err := c.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != 200 {
		err = errors.New(resp.Status)
	}
	return string(b), err
}

// client is one with its own socket. With fresh each request has a connection of its own.
func (h *handedOn) client(stop <-chan struct{}, fresh bool) {
	tr := &http3.Transport{TLSClientConfig: clientOf(h.ca)}
	defer func() { tr.Close() }()
	for n := 0; ; n++ {
		select {
		case <-stop:
			return
		default:
		}
		if fresh && n > 0 {
			tr.Close()
			tr = &http3.Transport{TLSClientConfig: clientOf(h.ca)}
		}
		if got, err := h.ask(&http.Client{Transport: tr}, "/", nil); err != nil || got != "ok" {
			h.t.Errorf("request %d: %q %v", n, got, err)
			return
		}
		h.answered.Add(1)
		if fresh {
			h.connected.Add(1)
		}
	}
}

// TestHandOnHTTP3: two balancers have the sockets of a listener, as two processes do during an upgrade, and the first hands on while clients of HTTP/3 ask and connect without a pause. No request
// fails; a download, an upload and what else is under way ends at the first one, whose datagrams the second one reads; new connections are the second one's.
func TestHandOnHTTP3(t *testing.T) {
	h := newHandedOn(t)
	stop := make(chan struct{})
	var clients, waiting sync.WaitGroup
	for i := range 4 {
		clients.Go(func() { h.client(stop, i%2 == 0) })
	}
	waiting.Go(func() {
		if got, err := h.ask(&http.Client{Transport: http3Client(t, h.ca).Transport}, "/download", nil); err != nil || len(got) != 2*piece {
			t.Errorf("the download: %d bytes, %v", len(got), err)
		}
	})
	pr, pw := io.Pipe()
	waiting.Go(func() {
		if got, err := h.ask(&http.Client{Transport: http3Client(t, h.ca).Transport}, "/upload", pr); err != nil || got != fmt.Sprint(4*piece, nil) {
			t.Errorf("the upload: %q %v", got, err)
		}
	})
	pw.Write(make([]byte, piece))
	eventually(t, "requests are under way", func() bool { return h.long.Load() == 2 && h.answered.Load() > 20 && h.connected.Load() > 2 })

	second := heir(t, h.r)
	second.wait("HTTP/3", func() bool { return metric(t, second, "holdfast_http3_listening", "listener=web") == 1 })
	handed := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
		defer cancel()
		handed <- h.r.b.HandOn(ctx)
	}()
	before := h.answered.Load()
	pw.Write(make([]byte, 2*piece))
	second.wait("the second one serves", func() bool {
		return h.answered.Load() > before+20 && metric(t, second, "holdfast_http3_connections", "listener=web") > 1 && metric(t, second, "holdfast_http3_passed_datagrams_total") > 100
	})
	select {
	case err := <-handed:
		t.Errorf("handed on before the last answer: %v", err)
	default:
	}
	close(h.release)
	pw.Write(make([]byte, 2*piece))
	pw.Close()
	waiting.Wait()
	if err := <-handed; err != nil {
		t.Errorf("hand on: %v", err)
	}
	before = h.answered.Load()
	eventually(t, "the second one is alone", func() bool { return h.answered.Load() > before+20 })
	close(stop)
	clients.Wait()
	t.Logf("%d requests, %d connections", h.answered.Load(), h.connected.Load())
	third := heir(t, second) // who has taken over can be taken over from
	third.wait("HTTP/3", func() bool { return metric(t, third, "holdfast_http3_listening", "listener=web") == 1 })
	cl := http3Client(t, h.ca)
	if got := cl.get(h.url + "/"); got.body != "ok" {
		t.Error(got.body)
	}
}

// TestHTTP3NextProcessFails: whatever the next process does with its end of the way, the connections of this one go on, and when that is gone this one takes new ones again.
func TestHTTP3NextProcessFails(t *testing.T) {
	h := newHandedOn(t)
	kept := http3Client(t, h.ca)
	if got := kept.get(h.url + "/"); got.body != "ok" {
		t.Fatal(got.body)
	}
	open := func() *net.UnixConn {
		sockets, err := h.r.b.HTTP3Sockets()
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range sockets {
			s.Way.SetDeadline(time.Now().Add(20 * time.Second))
			t.Cleanup(func() { s.Way.Close() })
			return s.Way
		}
		t.Fatal("no socket")
		return nil
	}
	say := func(way *net.UnixConn, what string) {
		if _, err := way.Write([]byte(what)); err != nil {
			t.Errorf("%q: %v", what, err)
		}
	}
	takes := func(way *net.UnixConn) {
		say(way, "b")
		buf := make([]byte, 10)
		if n, err := way.Read(buf); err != nil || n != 2 || buf[0] != wayYours {
			t.Errorf("% x, %v", buf[:n], err)
		}
	}
	serves := func(what string) {
		t.Helper()
		if got := kept.get(h.url + "/"); got.body != "ok" {
			t.Errorf("after %s, on the connection that was there: %s", what, got.body)
		}
		if got := http3Client(t, h.ca).get(h.url + "/"); got.body != "ok" {
			t.Errorf("after %s, on another connection: %s", what, got.body)
		}
	}
	open().Close()
	serves("one that has asked for nothing")
	way := open()
	takes(way)
	takes(way) // one that comes in the place of a first one
	way.Close()
	serves("one that has taken the socket, and ended")
	for _, what := range []string{"x", "d", "dxx", "d\xff\xff" + string(make([]byte, 100)), string(make([]byte, 60<<10))} {
		way := open()
		say(way, what)
		if _, err := way.Read(make([]byte, 1)); err == nil {
			t.Errorf("%.10q: the way goes on", what)
		}
		serves(fmt.Sprintf("%.10q", what))
		way = open()
		takes(way)
		say(way, what)
		if _, err := way.Read(make([]byte, 1)); err == nil {
			t.Errorf("%.10q after it has taken the socket: the way goes on", what)
		}
		serves(fmt.Sprintf("%.10q, having taken the socket", what))
	}
	first, second := open(), open()
	if _, err := first.Read(make([]byte, 1)); err == nil {
		t.Error("a way that another one has replaced goes on")
	}
	takes(second)
	second.Close()
	serves("two")
	if metric(t, h.r, "holdfast_tls_handshakes_total", "listener=web", "result=full")+metric(t, h.r, "holdfast_tls_handshakes_total", "listener=web", "result=resumed") < 10 {
		t.Error("the connections were not made here")
	}
}

// TestAnswerAtTheLastMoment: an answer that comes as the time for it ends is none, or the way would end behind it; the process before is asked again.
func TestAnswerAtTheLastMoment(t *testing.T) {
	for range 50 {
		ours, theirs, err := wayPair()
		if err != nil {
			t.Fatal(err)
		}
		way, err := newQUICWay(theirs)
		if err != nil {
			t.Fatal(err)
		}
		before, err := newQUICWay(ours)
		if err != nil {
			t.Fatal(err)
		}
		s := &quicSocket{}
		ask := func(ctx context.Context) error {
			if err := before.send([]byte{wayYours, 7}); err != nil {
				t.Fatal(err)
			}
			return s.takeOver(ctx, way)
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if err := ask(gone); err == nil || s.before.Load() != nil {
			t.Fatalf("too late: %v", err)
		}
		if err := ask(t.Context()); err != nil || s.ids.process != 8 {
			t.Fatalf("in time: %v, process %d", err, s.ids.process)
		}
		before.conn.Close()
		way.conn.Close()
	}
}

// TestWayHoldsABurst: what comes for connections of the process before while that has no processor is not lost, within bounds.
func TestWayHoldsABurst(t *testing.T) {
	ours, theirs, err := wayPair()
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	defer theirs.Close()
	way, err := newQUICWay(theirs)
	if err != nil {
		t.Fatal(err)
	}
	b, err := wayPacket{from: netip.MustParseAddrPort("10.0.0.1:4433"), oob: make([]byte, 60), data: make([]byte, 1452)}.encode()
	if err != nil {
		t.Fatal(err)
	}
	const burst = 150 // the least bound that Linux has by itself lets some more pass
	for n := range burst {
		if err := way.send(b); err != nil {
			t.Fatalf("after %d: %v", n, err)
		}
	}
	for range 100 * waiting {
		if way.send(b) != nil {
			return
		}
	}
	t.Error("there is no bound")
}

// FuzzWayPacket: what one process writes the other one reads, and nothing else.
func FuzzWayPacket(f *testing.F) {
	for _, p := range []wayPacket{{}, {data: []byte("data"), oob: []byte("control")}} {
		b, err := p.encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte("d\x04\x02\x01\xbb\xfe\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01eth0oodata"))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := decodeWayPacket(b)
		if err != nil {
			return
		}
		again, err := p.encode()
		if err != nil {
			t.Fatalf("%+v cannot be written again: %v", p, err)
		}
		if q, err := decodeWayPacket(again); err != nil || q.from != p.from || string(q.oob) != string(p.oob) || string(q.data) != string(p.data) {
			t.Fatalf("%+v comes back as %+v: %v", p, q, err)
		}
	})
}

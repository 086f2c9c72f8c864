package lb

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// handsOn runs a balancer on a socket that was open before, and gives what ends it.
func handsOn(t *testing.T, ln *net.TCPListener, netOnly bool, upstream string) (*Balancer, func()) {
	t.Helper()
	file, err := ln.File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	cc := conf()
	cc.Listeners[0].Address = ln.Addr().String()
	cc.Clusters[0].Instances = []config.Instance{inst("i1", upstream)}
	n := newFakeGroup(cc).node()
	b := New(Options{View: n, Recorder: n, Changed: n.changed, NetOnly: netOnly, Inherited: func(address string) net.Listener {
		if address != ln.Addr().String() {
			return nil
		}
		l, err := net.FileListener(file)
		if err != nil {
			t.Error(err)
			return nil
		}
		return l
	}})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	eventually(t, "bound", func() bool { return b.Ready() == nil })
	return b, func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// TestHandOn: two balancers have one socket, as two processes do during an upgrade, and the first hands on while clients connect without a pause. No connection is refused or cut, and requests
// that are under way, on connections that are kept, get their answers from the first.
func TestHandOn(t *testing.T) {
	for name, netOnly := range map[string]bool{"loops": false, "net/http": true} {
		t.Run(name, func(t *testing.T) { testHandOn(t, netOnly) })
	}
}

func testHandOn(t *testing.T, netOnly bool) {
	release := make(chan struct{})
	var arrived atomic.Bool
	slow := newOrigin(t, func(c *net.TCPConn, r *http.Request, nth int64) bool {
		if r.URL.Path == "/slow" {
			arrived.Store(true)
			<-release
		}
		_, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		return err == nil
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	first, endFirst := handsOn(t, l.(*net.TCPListener), netOnly, slow.url)
	defer endFirst()
	if got := first.Listeners(); len(got) != 1 || got[l.Addr().String()] == nil {
		t.Fatalf("listeners %v", got)
	}

	var sent atomic.Int64
	ask := func(path string) {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Errorf("refused: %v", err)
			return
		}
		defer c.Close()
		_, _ = io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: a.example\r\n\r\n")
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Errorf("%s: no answer: %v", path, err)
			return
		}
		if _, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != 200 {
			t.Errorf("%s: %s %v", path, resp.Status, err)
		}
		sent.Add(1)
	}
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					ask("/")
				}
			}
		})
	}
	var waiting sync.WaitGroup
	waiting.Go(func() { ask("/slow") })
	eventually(t, "a request under way", func() bool { return arrived.Load() && sent.Load() > 50 })

	second, endSecond := handsOn(t, l.(*net.TCPListener), netOnly, slow.url)
	defer endSecond()
	handed := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		handed <- first.HandOn(ctx)
	}()
	before := sent.Load()
	eventually(t, "the second one serves", func() bool { return sent.Load() > before+200 })
	select {
	case err := <-handed:
		t.Errorf("handed on before the last request has its answer: %v", err)
	default:
	}
	close(release)
	waiting.Wait()
	if err := <-handed; err != nil {
		t.Errorf("hand on: %v", err)
	}
	close(stop)
	clients.Wait()
	if got := first.Listeners(); len(got) != 0 {
		t.Errorf("still listening: %v", got)
	}
	if err := second.Ready(); err != nil {
		t.Error(err)
	}
}

// TestSocketThatIsKeptOpen: a service manager has it too. Clients who come while no process accepts wait for the next one.
func TestSocketThatIsKeptOpen(t *testing.T) {
	app := newOrigin(t, answer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for range 2 {
		b, end := handsOn(t, l.(*net.TCPListener), false, app.url)
		b.opts.KeptOpen = func(address string) bool { return address == l.Addr().String() }
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		if err := b.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		cancel()
		end()
		c, err := net.DialTimeout("tcp", l.Addr().String(), 5*time.Second)
		if err != nil {
			t.Fatalf("a client between two processes: %v", err)
		}
		defer c.Close()
		_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
		_, endNext := handsOn(t, l.(*net.TCPListener), false, app.url)
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil || resp.StatusCode != 200 {
			t.Errorf("the next one: %v %v", resp, err)
		}
		endNext()
	}
}

// TestHandOnRecordsWhatIsOwed: what was decided without a quorum is recorded before the process may end.
func TestHandOnRecordsWhatIsOwed(t *testing.T) {
	app := newOrigin(t, answer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	b, end := handsOn(t, l.(*net.TCPListener), false, app.url)
	defer end()
	n := b.opts.Recorder.(*fakeNode)
	n.setCut(true)
	resp, err := http.Get("http://" + l.Addr().String() + "/")
	if err != nil || resp.StatusCode != 200 || len(resp.Cookies()) == 0 {
		t.Fatalf("%+v %v", resp, err)
	}
	_ = resp.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	if b.pending.count.Load() != 1 {
		t.Fatalf("%d records are owed", b.pending.count.Load())
	}
	short, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := b.HandOn(short); err == nil || !strings.Contains(err.Error(), "1 provisional assignments are not recorded") {
		t.Errorf("without a quorum: %v", err)
	}
	n.setCut(false)
	long, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := b.HandOn(long); err != nil || b.pending.count.Load() != 0 {
		t.Errorf("%v, %d records are owed", err, b.pending.count.Load())
	}
}

package lb

import (
	"errors"
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

func TestDetourGrowsWhileItIsInVain(t *testing.T) {
	var d detour
	for _, want := range []int{1, 2, 4, 8, 16, 32, 64, 64} {
		d.begin()
		n := 1
		for !d.over() {
			n++
		}
		if n != want {
			t.Fatalf("back after %d requests, want %d", n, want)
		}
	}
	d.paid()
	if d.begin(); !d.over() {
		t.Error("a connection that the loop had use for stays away for long")
	}
}

// What is on the way when the listener stops is closed, not forgotten.
func TestRelayClosesWhatNobodyTakes(t *testing.T) {
	l := newRelay("127.0.0.1:0")
	near, far := net.Pipe()
	l.Close()
	l.Close()
	l.give(far)
	if _, err := near.Write([]byte{1}); err == nil {
		t.Error("the connection is open")
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}

// TestWhatALoopHasFoundOutIsOfItsRequestAlone: a request that goes away after an attempt is answered without a look at that, because its listener leads to https by then. The next
// one of the connection has had no attempt yet.
func TestWhatALoopHasFoundOutIsOfItsRequestAlone(t *testing.T) {
	begun, changed := make(chan struct{}, 1), make(chan struct{})
	o := newOrigin(t, func(c *net.TCPConn, r *http.Request, nth int64) bool {
		if nth > 1 {
			return echo("i1")(c, r, nth)
		}
		begun <- struct{}{}
		<-changed
		return reset(c, r, nth)
	})
	cc := bare(inst("i1", o.url))
	r := newRig(t, cc)
	leads := cc.Clone()
	leads.Listeners[0].HTTPSRedirect = &config.HTTPSRedirect{Port: 443, Status: 308}
	c := dialRaw(t, r)
	ask := func() { c.write("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx") }
	ask()
	<-begun
	r.apply(leads)
	close(changed)
	got := c.response()
	io.Copy(io.Discard, got.Body)
	if want := map[bool]int{false: 308, true: 502}[netOnly]; got.StatusCode != want || got.Close {
		t.Fatalf("%d, close %v", got.StatusCode, got.Close)
	}
	r.apply(cc)
	ask()
	if got := c.response(); got.StatusCode != 200 || o.hits.Load() != 2 {
		t.Errorf("%d, %d requests at the instance", got.StatusCode, o.hits.Load())
	}
}

package lb

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// refused reports whether the stream was ended without an answer.
func refused(got string) bool { return strings.Contains(got, "EOF") || strings.Contains(got, "reset") }

// TestSilentStreamEnds after the listener's idleTimeout, and not one on which something goes either way.
func TestSilentStreamEnds(t *testing.T) {
	a := newStreamApp(t, "i1", nil)
	cc := streamConf(a)
	cc.Listeners[0].IdleTimeout = config.Duration(3 * time.Second) // no machine keeps the busy one for so long
	r := newRig(t, cc)
	silent, busy := r.connect("127.0.0.1"), r.connect("127.0.0.1")
	silent.line()
	busy.line()
	ended := make(chan string, 1)
	go func() { ended <- silent.line() }()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for over := false; !over; {
		busy.echo("still there")
		select {
		case got := <-ended:
			if !refused(got) {
				t.Error(got)
			}
			over = true
		case <-tick.C:
		}
	}
	busy.echo("and afterwards")
	r.wait("it is in the log", func() bool { return strings.Contains(r.accessLog(), `"error":"nothing was sent for too long"`) })
}

// TestStreamsKeepTheBoundsOfTheirListener: connections at once, of all and of each client, and new ones in a second.
func TestStreamsKeepTheBoundsOfTheirListener(t *testing.T) {
	a := newStreamApp(t, "i1", nil)
	cc := streamConf(a)
	cc.Listeners[0].Limits = config.ListenerLimits{Connections: 3, PerClient: config.Rates{Connections: 2}}
	r := newRig(t, cc)
	one, two := r.connect("127.0.0.1"), r.connect("127.0.0.1")
	one.line()
	one.echo("one")
	two.line()
	if got := r.instanceOf("127.0.0.1"); !refused(got) {
		t.Error("a client has more than it may have: " + got)
	}
	three := r.connect("127.0.0.2")
	three.line()
	if got := r.instanceOf("127.0.0.3"); !refused(got) {
		t.Error("the listener has more than it may have: " + got)
	}
	one.Close()
	r.wait("there is room again", func() bool { return !refused(r.instanceOf("127.0.0.3")) })
	two.echo("two")
	three.echo("three")

	rated := clone(cc)
	rated.Listeners[0].Limits = config.ListenerLimits{PerClient: config.Rates{RequestsPerSecond: 1, Burst: 2}}
	r.apply(rated)
	r.instanceOf("127.0.0.4")
	r.instanceOf("127.0.0.4")
	if got := r.instanceOf("127.0.0.4"); !refused(got) {
		t.Error("a client connects more often than it may: " + got)
	}
	if got := r.instanceOf("127.0.0.5"); got != "i1" {
		t.Error(got)
	}
	if n := metric(t, r, "holdfast_limited_total", "bound=client rate"); n != 1 {
		t.Errorf("%v were refused for their rate", n)
	}
}

// TestStreamsKeepTheBoundsOfTheirInstance: those that an instance has no connection for go to another one.
func TestStreamsKeepTheBoundsOfTheirInstance(t *testing.T) {
	a, b := newStreamApp(t, "i1", nil), newStreamApp(t, "i2", nil)
	cc := streamConf(a, b)
	cc.Clusters[0].Instances[0].MaxSessions = 2
	r := newRig(t, cc)
	count := map[string]int{}
	for i := range 8 {
		count[r.instanceOf(fmt.Sprintf("127.0.0.%d", 10+i))]++
	}
	if count["i1"] != 2 || count["i2"] != 6 {
		t.Errorf("%v", count)
	}
}

// TestChangesLeaveStreamsAlone: neither another configuration nor the end of the listener closes one.
func TestChangesLeaveStreamsAlone(t *testing.T) {
	a, b := newStreamApp(t, "i1", nil), newStreamApp(t, "i2", nil)
	cc := streamConf(a)
	cc.Listeners[0].Address = freeAddress(t)
	r := newRig(t, cc)
	c := r.connect("127.0.0.1")
	c.line()
	more := streamConf(a, b)
	more.Listeners[0].Address, more.Listeners[0].IdleTimeout = cc.Listeners[0].Address, config.Duration(time.Hour)
	r.apply(more)
	c.echo("another instance")

	requests := conf(of(newApp(t, "web1", nil))...) // the same address speaks HTTP now
	requests.Clusters[0].Name = "c2"
	requests.Clusters = append(requests.Clusters, more.Clusters...)
	requests.Listeners[0].Address = cc.Listeners[0].Address
	r.apply(requests)
	r.wait("it is bound", func() bool { return r.b.Ready() == nil })
	if got := newClient(t).get(r.url("/")); got.body != "web1" {
		t.Errorf("%d %s", got.StatusCode, got.body)
	}
	c.echo("another protocol")

	none := clone(requests)
	none.Listeners = nil
	r.apply(none)
	c.echo("no listener")
	if total, upgraded := r.b.OpenConnections([]netip.Addr{netip.MustParseAddr("127.0.0.1")}); upgraded != 1 || total < 1 {
		t.Errorf("%d connections, %d of them without an end of their own", total, upgraded)
	}
	r.b.CutAddresses([]netip.Addr{netip.MustParseAddr("127.0.0.1")})
	if got := c.line(); !refused(got) {
		t.Error(got)
	}
}

// freeAddress is one on loopback where nothing listens.
func freeAddress(t *testing.T) string { return strings.TrimPrefix(deadURL(t), "http://") }

// TestShutdownWaitsForStreams for as long as it may, then ends them.
func TestShutdownWaitsForStreams(t *testing.T) {
	a := newStreamApp(t, "i1", nil)
	r := newRig(t, streamConf(a))
	first, second := r.connect("127.0.0.1"), r.connect("127.0.0.1")
	first.line()
	second.line()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.b.Shutdown(ctx) }()
	r.wait("nobody listens", func() bool { return r.b.Addr("web") == nil })
	first.echo("it goes on")
	first.Close()
	second.echo("so does this one")
	select {
	case err := <-done:
		t.Fatalf("it did not wait: %v", err)
	default:
	}
	cancel()
	if got := second.line(); !refused(got) {
		t.Error(got)
	}
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestInstanceThatBreaksStreams is taken out of service when that is a passive sign of its cluster.
func TestInstanceThatBreaksStreams(t *testing.T) {
	a := newStreamApp(t, "i1", func(c net.Conn) {
		if n, _ := c.Read(make([]byte, 8)); n > 0 {
			c.(*net.TCPConn).SetLinger(0)
		}
	})
	b := newStreamApp(t, "i2", nil)
	cc := streamConf(a, b)
	cc.Clusters[0].Affinity.Type = "none"
	cc.Clusters[0].Health.Passive = []string{"connect", "reset"}
	cc.Clusters[0].Health.PassiveFails, cc.Clusters[0].Health.RetryInterval = 2, config.Duration(time.Hour)
	r := newRig(t, cc)
	for broken := 0; broken < 2; {
		c := r.connect("127.0.0.1")
		c.Write([]byte("x\n"))
		if _, err := c.r.ReadByte(); errors.Is(err, syscall.ECONNRESET) {
			broken++
		}
		c.Close()
	}
	r.wait("it is out of service", func() bool { return r.status("c1", "i1").Health == "down" })
	for range 4 {
		if got := r.instanceOf("127.0.0.1"); got != "i2" {
			t.Error(got)
		}
	}
}

package lb

import (
	"context"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
)

// TestVirtualAddressIsBoundBeforeItIsThere: addresses for documentation (RFC 5737, RFC 3849), which no machine has.
func TestVirtualAddressIsBoundBeforeItIsThere(t *testing.T) {
	for _, address := range []string{"203.0.113.7:0", "[2001:db8::7]:0", "[::ffff:203.0.113.7]:0"} {
		cc := conf()
		cc.Listeners[0].Address = address
		g := newFakeGroup(cc)
		n := g.node()
		b := New(Options{View: n, Recorder: n, Virtual: []netip.Addr{netip.MustParseAddr("2001:db8::7"), netip.MustParseAddr("203.0.113.7")}})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- b.Run(ctx) }()
		eventually(t, "bound", func() bool { return b.Ready() == nil })
		host, _, err := net.SplitHostPort(b.Addr("web").String())
		if err != nil || plainAddr(netip.MustParseAddr(host)) != plainAddr(netip.MustParseAddrPort(address).Addr()) {
			t.Errorf("%s: %s %v", address, host, err)
		}
		cancel()
		<-done
	}
}

// TestOtherAddressesMustBeThere: one that is mistyped would look as if it served.
func TestOtherAddressesMustBeThere(t *testing.T) {
	cc := conf()
	cc.Listeners[0].Address = "203.0.113.8:0"
	g := newFakeGroup(cc)
	n := g.node()
	b := New(Options{View: n, Recorder: n, Virtual: []netip.Addr{netip.MustParseAddr("203.0.113.7")}})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	eventually(t, "the reason", func() bool {
		err := b.Ready()
		return err != nil && strings.Contains(err.Error(), "listener web") && strings.Contains(err.Error(), "this machine does not have the address") && strings.Contains(err.Error(), "--vip")
	})
	cancel()
	<-done
}

// TestListenQueueIsAsLongAsTheMachineAllows: a node that takes an address over gets everybody's new connections at once.
func TestListenQueueIsAsLongAsTheMachineAllows(t *testing.T) {
	text, err := os.ReadFile("/proc/sys/net/core/somaxconn")
	if err != nil {
		t.Fatal(err)
	}
	want, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, conf())
	r.b.mu.Lock()
	defer r.b.mu.Unlock()
	for _, f := range r.b.fronts {
		if info := tcpInfo(f.ln); info == nil || int(info.Sacked) != want { // of a listening socket, Sacked means that
			t.Errorf("the queue of %s: %+v, want %d", f.ln.Addr(), info, want)
		}
	}
}

package lb

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// TestReached: whether listeners take connections to addresses that this machine gets later. Those without a host are bound to 127.0.0.1 here.
func TestReached(t *testing.T) {
	virtual4, virtual6 := netip.MustParseAddr("10.0.0.100"), netip.MustParseAddr("2001:db8::100")
	for _, c := range []struct {
		listener  string
		addresses []netip.Addr
		why       string
	}{
		{":0", []netip.Addr{virtual4, virtual6}, "web on 127.0.0.1:"},
		{":0", nil, ""},
		{"0.0.0.0:0", []netip.Addr{virtual4}, ""},
		{"127.0.0.2:0", []netip.Addr{virtual6}, "web on 127.0.0.2:"},
		{"[::]:0", []netip.Addr{virtual6}, ""},
		{"[::]:0", []netip.Addr{virtual4}, ""},
		{"127.0.0.1:0", []netip.Addr{virtual4, netip.MustParseAddr("127.0.0.1")}, ""},
	} {
		cc := conf(of(newApp(t, "i1", nil))...)
		cc.Listeners[0].Address = c.listener
		r := newRigOn(t, newFakeGroup(cc), Options{})
		r.wait("it is bound", func() bool { return r.b.Addr("web") != nil })
		err := r.b.Reached(c.addresses)
		if c.why == "" && err != nil || c.why != "" && (err == nil || !strings.Contains(err.Error(), c.why)) {
			t.Errorf("listener %s, %v: %v", c.listener, c.addresses, err)
		}
	}
}

// TestTheLeaseDoesNotWaitForARevision: who asks before each renewal of a lease is answered while a revision is being put into force, which takes long with many certificates.
func TestTheLeaseDoesNotWaitForARevision(t *testing.T) {
	cc := conf(of(newApp(t, "i1", nil))...)
	cc.Listeners[0].Address = "0.0.0.0:0"
	r := newRigOn(t, newFakeGroup(cc), Options{})
	r.wait("it is bound", func() bool { return r.b.Addr("web") != nil })
	r.b.mu.Lock()
	answers := make(chan error, 1)
	go func() {
		answers <- errors.Join(r.b.Serving(), r.b.Reached([]netip.Addr{netip.MustParseAddr("10.0.0.100")}))
	}()
	select {
	case err := <-answers:
		r.b.mu.Unlock()
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		r.b.mu.Unlock()
		t.Error("they wait for the revision")
	}
}

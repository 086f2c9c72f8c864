package lb

import (
	"net/netip"
	"strings"
	"testing"
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

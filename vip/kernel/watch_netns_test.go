//go:build netns

package kernel

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/mdlayher/socket"
	"golang.org/x/sys/unix"

	"github.com/holdfast-lb/holdfast/vip"
)

// TestProbe finds who has the addresses, or that nobody has, and nobody learns anything from the question.
func TestProbe(t *testing.T) {
	l := newLAN(t)
	a, b := kernel(t, l.a, both...), kernel(t, l.b, both...)
	const wait = 200 * time.Millisecond
	probe := func() (claims []vip.Claim, took time.Duration, err error) {
		begin := time.Now()
		l.b.Do(func() { claims, err = b.Probe(context.Background(), wait) })
		return claims, time.Since(begin), err
	}
	claims, took, err := probe()
	if err != nil || len(claims) != 0 || took < wait || took > 2*wait {
		t.Errorf("nobody has them: %v after %v, %v", claims, took, err)
	}
	serve(t, l.a)
	take(t, l.a, a)
	for _, ip := range vips {
		_ = ask(t, dial(t, l.client, ip))
	}
	claims, took, err = probe()
	if err != nil || len(claims) != 2 || took >= wait {
		t.Errorf("a has them: %v after %v, %v", claims, took, err)
	}
	for _, c := range claims {
		if c.Hardware != l.a.MAC().String() || c.Address != b.addrs[0].Address && c.Address != b.addrs[1].Address {
			t.Errorf("%+v", c)
		}
	}
	for _, ip := range vips {
		if got := neighbour(t, l.client, ip); got != l.a.MAC().String() {
			t.Errorf("the client has %s at %s", ip, got)
		}
	}
	if _, err := a.Probe(context.Background(), wait); err == nil {
		t.Error("the holder probes")
	}
	// Also a machine that has the addresses silently may ask.
	in(t, l.b, func() error { return b.Silence(true) })
	in(t, l.b, func() error { return b.Add(lease) })
	if claims, _, err = probe(); err != nil || len(claims) != 2 {
		t.Errorf("asked in silence: %v %v", claims, err)
	}
	ctx, stop := context.WithCancel(context.Background())
	stop()
	if _, err := b.Probe(ctx, time.Minute); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	l.b.LinkDown()
	if _, _, err := probe(); err == nil {
		t.Error("asked by a link that is down")
	}
}

// TestWatchTellsOfConflicts: when held openly, once for each claim, and not more often than conflictEvery when they come in floods.
func TestWatchTellsOfConflicts(t *testing.T) {
	l := newLAN(t)
	a, b := kernel(t, l.a, both...), kernel(t, l.b, both...)
	e := watching(t, l.a, a)
	take(t, l.b, b) // not held by a: no conflict
	in(t, l.a, func() error { return a.Silence(true) })
	in(t, l.a, func() error { return a.Add(lease) })
	in(t, l.b, b.Announce) // silent: none either
	in(t, l.a, func() error { return a.Silence(false) })
	in(t, l.a, a.Announce)
	if n := e.count(vip.EventConflict); n != 0 {
		t.Fatalf("conflicts while nothing is held openly: %+v", e.list())
	}
	in(t, l.b, b.Announce)
	e.want(t, vip.EventConflict, 2)
	seen := map[netip.Addr]string{}
	for _, ev := range e.list() {
		seen[ev.Claim.Address.IP()] = ev.Claim.Hardware
		if !strings.Contains(ev.Text, l.b.MAC().String()) || ev.Interface != "eth0" {
			t.Errorf("%+v", ev)
		}
	}
	for _, ip := range vips {
		if seen[netip.MustParseAddr(ip)] != l.b.MAC().String() {
			t.Errorf("%s is claimed by %q", ip, seen[netip.MustParseAddr(ip)])
		}
	}
	// A flood for half a second: the first at once or a little later, and the last is not forgotten.
	before, begin := e.count(vip.EventConflict), time.Now()
	eventually(t, "a flood", 3*time.Second, func() bool {
		in(t, l.b, b.Announce)
		in(t, l.a, func() error { return a.Add(lease) })
		return time.Since(begin) > 2*conflictEvery
	})
	last := time.Now()
	e.want(t, vip.EventConflict, before+4)
	eventually(t, "the flood is over", 3*time.Second, func() bool { return time.Since(last) > 2*conflictEvery })
	if n := e.count(vip.EventConflict) - before; n > 2*5 {
		t.Errorf("%d conflicts are told of in %v", n, time.Since(begin))
	}
	// The client is where the last announcement came from.
	in(t, l.b, b.Remove)
	in(t, l.a, a.Announce)
}

// TestWatchBelievesNoNonsense: frames that claim nothing on this link, sent by hand, are no conflict; one that does is.
func TestWatchBelievesNoNonsense(t *testing.T) {
	l := newLAN(t)
	a := kernel(t, l.a, both...)
	e := watching(t, l.a, a)
	take(t, l.a, a)
	var c *socket.Conn
	in(t, l.client, func() (err error) {
		c, err = socket.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0, "forger", nil)
		return err
	})
	defer func() { _ = c.Close() }()
	eth0, err := l.client.Netlink().LinkByName("eth0")
	if err != nil {
		t.Fatal(err)
	}
	send := func(frame []byte) {
		t.Helper()
		to := &unix.SockaddrLinklayer{Ifindex: eth0.Attrs().Index, Halen: macLen}
		if err := c.Sendto(context.Background(), frame, 0, to); err != nil {
			t.Fatal(err)
		}
	}
	forged := net.HardwareAddr{2, 6, 6, 6, 6, 6}
	ip4, ip6 := netip.MustParseAddr(vip4), netip.MustParseAddr(vip6)
	good := func(ip netip.Addr, mac net.HardwareAddr) [][]byte {
		frames, err := announcements(ip, mac)
		if err != nil {
			t.Fatal(err)
		}
		return frames
	}
	for _, f := range append(good(ip4, l.a.MAC()), good(ip6, l.a.MAC())...) { // reflected by a switch
		send(f)
	}
	for _, ip := range []netip.Addr{ip4, ip6} {
		q, err := probe(ip, forged)
		if err != nil {
			t.Fatal(err)
		}
		send(q)
		for _, f := range good(ip, forged) {
			send(f[:len(f)-20])
			routed := append([]byte(nil), f...)
			routed[ip6NextField+1] = 64
			routed[etherLen+1] = 9
			send(routed)
		}
	}
	for _, other := range []string{"10.9.0.101", "fd09::101", "fd10::100"} {
		for _, f := range good(netip.MustParseAddr(other), forged) {
			send(f)
		}
	}
	send(make([]byte, 1514))
	send(good(ip4, forged)[0]) // and one that is believed: frames are heard in their order
	e.want(t, vip.EventConflict, 1)
	if all := e.list(); len(all) != 1 || all[0].Claim.Hardware != forged.String() {
		t.Errorf("%+v", all)
	}
}

// TestWatchTellsOfLinks: down and up, the carrier, gone and back, another link-layer address.
func TestWatchTellsOfLinks(t *testing.T) {
	l := newLAN(t)
	a := kernel(t, l.a, both...)
	e := watching(t, l.a, a)
	in(t, l.a, func() error { return a.Add(MaxLifetime) })
	downs, ups := 0, 0
	step := func(what string, kind vip.EventKind, f func()) {
		t.Helper()
		f()
		n := &downs
		if kind == vip.EventLinkUp {
			n = &ups
		}
		*n++
		eventually(t, what, 3*time.Second, func() bool { return e.count(kind) == *n })
	}
	step("down", vip.EventLinkDown, l.a.LinkDown)
	step("up", vip.EventLinkUp, l.a.LinkUp)
	step("unplugged", vip.EventLinkDown, func() { l.Unplug(l.a) })
	step("plugged in", vip.EventLinkUp, func() { l.Plug(l.a) })
	eth0, err := l.a.Netlink().LinkByName("eth0")
	if err != nil {
		t.Fatal(err)
	}
	mac := net.HardwareAddr{2, 0, 0, 0, 0, 0x77}
	step("another link-layer address", vip.EventLinkUp, func() {
		if err := l.a.Netlink().LinkSetHardwareAddr(eth0, mac); err != nil {
			t.Fatal(err)
		}
	})
	in(t, l.a, func() error { return a.Add(MaxLifetime) })
	in(t, l.a, a.Announce)
	step("gone", vip.EventLinkDown, func() {
		if err := l.a.Netlink().LinkDel(eth0); err != nil {
			t.Fatal(err)
		}
	})
	e.want(t, vip.EventDropped, 2)
	step("back", vip.EventLinkUp, func() { l.Connect(l.a, "10.9.0.1/24", "fd09::1/64") })
	take(t, l.a, a)
	// It hears the link by the new interface.
	b := kernel(t, l.b, both...)
	take(t, l.b, b)
	e.want(t, vip.EventConflict, 2)
	for _, ev := range e.list() {
		t.Logf("%d %s", ev.Kind, ev.Text)
	}
}

// TestWatchTellsHowItIsAtTheStart: a link that is down when it begins is told of.
func TestWatchTellsHowItIsAtTheStart(t *testing.T) {
	l := newLAN(t)
	a := kernel(t, l.a, both...)
	l.a.LinkDown()
	e := watching(t, l.a, a)
	e.want(t, vip.EventLinkDown, 1)
	l.a.LinkUp()
	e.want(t, vip.EventLinkUp, 1)
}

// TestWatchTellsOfAddresses that somebody else takes off or adds, and not of its own doing.
func TestWatchTellsOfAddresses(t *testing.T) {
	l := newLAN(t)
	a := kernel(t, l.a, both...)
	e := watching(t, l.a, a)
	for range 20 {
		in(t, l.a, func() error { return a.Add(lease) })
		in(t, l.a, a.Remove)
	}
	in(t, l.a, func() error { return a.Add(lease) })
	l.a.DelAddr(vip4 + "/24")
	e.want(t, vip.EventDropped, 1)
	in(t, l.a, func() error { return a.Add(time.Second) })
	if !l.a.Has(vip4) {
		t.Error("not back")
	}
	e.want(t, vip.EventDropped, 3) // the kernel takes both off
	in(t, l.a, a.Remove)
	l.a.AddAddr(vip6 + "/64")
	e.want(t, vip.EventConflict, 1)
	if all := e.list(); len(all) != 4 || all[3].Claim.Hardware != "" || all[3].Claim.Address.IP().String() != vip6 {
		t.Errorf("%+v", all)
	}
	l.a.DelAddr(vip6 + "/64")
}

// TestWatchOutlivesALostSubscription: when the kernel cannot deliver all messages, it asks how things are.
func TestWatchOutlivesALostSubscription(t *testing.T) {
	l := newLAN(t)
	a := kernel(t, l.a, both...)
	in(t, l.a, func() error { return a.Add(MaxLifetime) })
	hold := make(chan struct{})
	first := make(chan struct{}, 1)
	ctx, stop := context.WithCancel(context.Background())
	dropped, done := make(chan string, 100), make(chan struct{})
	ready := make(chan struct{}, 100)
	a.subscribed = func() { ready <- struct{}{} }
	go func() {
		defer close(done)
		l.a.Do(func() {
			_ = a.Watch(ctx, func(ev vip.Event) {
				select {
				case first <- struct{}{}:
					<-hold // a reader that hangs
				default:
				}
				if ev.Kind == vip.EventDropped {
					dropped <- ev.Text
				}
			})
		})
	}()
	defer func() { stop(); <-done }()
	<-ready
	l.a.DelAddr(vip4 + "/24")
	eventually(t, "it hangs", time.Second, func() bool { return len(first) == 1 })
	link, err := l.a.Netlink().LinkByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20_000 { // each is a message, of which 1 MB holds a few thousand
		mtu := 60000 + i%2
		if err := l.a.Netlink().LinkSetMTU(link, mtu); err != nil {
			t.Fatal(err)
		}
	}
	in(t, l.a, func() error { return a.nl.AddrDel(nil, a.addrs[1].wire(a.ports[0].index, 0)) })
	close(hold)
	for _, want := range []string{vip4, vip6} {
		select {
		case text := <-dropped:
			if !strings.Contains(text, want) {
				t.Errorf("%q, want %s", text, want)
			}
		case <-time.After(5 * time.Second):
			t.Fatalf("nothing is told of %s", want)
		}
	}
	if len(ready) == 0 {
		t.Error("the subscription was never lost: this test shows nothing")
	}
}

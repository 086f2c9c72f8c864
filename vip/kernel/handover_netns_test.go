//go:build netns

package kernel

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/vip"
)

var vips = []string{vip4, vip6}

// TestAnnounceMovesClients: a client that talks to the old holder talks to the new one as soon as that announces, and its connections to the old one end.
func TestAnnounceMovesClients(t *testing.T) {
	l := newLAN(t)
	a, b := kernel(t, l.a, both...), kernel(t, l.b, both...)
	serve(t, l.a)
	serve(t, l.b)
	take(t, l.a, a)
	for _, ip := range vips {
		if got := ask(t, dial(t, l.client, ip)); got != "a" {
			t.Fatalf("%s: %s", ip, got)
		}
		if got := neighbour(t, l.client, ip); got != l.a.MAC().String() {
			t.Fatalf("the client has %s at %s", ip, got)
		}
	}
	in(t, l.a, a.Remove)
	take(t, l.b, b)
	for _, ip := range vips {
		took := eventually(t, ip+" moves", time.Second, func() bool { return neighbour(t, l.client, ip) == l.b.MAC().String() })
		if got := ask(t, dial(t, l.client, ip)); got != "b" {
			t.Errorf("%s: %s", ip, got)
		}
		t.Logf("%s moved within %v", ip, took)
	}
	// What is not held is not announced.
	if err := a.Announce(); err == nil {
		t.Error("announced what is not held")
	}
}

// TestSilence: a machine that has the addresses silently answers nobody who asks, and does not tell by its own questions.
func TestSilence(t *testing.T) {
	l := newLAN(t)
	a, b := kernel(t, l.a, both...), kernel(t, l.b, both...)
	serve(t, l.a)
	in(t, l.b, func() error { return b.Silence(true) })
	in(t, l.b, func() error { return b.Add(lease) })
	in(t, l.b, b.Announce) // nothing is sent
	for _, ip := range vips {
		if _, err := tryDial(l.client, ip, 100*time.Millisecond); err == nil {
			t.Errorf("%s: a silent machine answers", ip)
		}
		if got := neighbour(t, l.client, ip); got != "" {
			t.Errorf("the client has %s at %s", ip, got)
		}
	}
	take(t, l.a, a)
	for _, ip := range vips {
		if got := ask(t, dial(t, l.client, ip)); got != "a" {
			t.Fatalf("%s: %s", ip, got)
		}
	}
	// b speaks to the client in the name of the address, and has to ask where that is: the client must not think that b has it.
	for _, c := range []struct{ ip, client, own string }{{vip4, "10.9.0.50", "10.9.0.2"}, {vip6, "fd09::50", "fd09::2"}} {
		in(t, l.b, func() error {
			u, err := net.DialUDP("udp", &net.UDPAddr{IP: net.ParseIP(c.ip)}, &net.UDPAddr{IP: net.ParseIP(c.client), Port: 9})
			if err != nil {
				return err
			}
			defer func() { _ = u.Close() }()
			_, err = u.Write([]byte("x"))
			return err
		})
		eventually(t, "b finds the client", time.Second, func() bool { return neighbour(t, l.b, c.client) == l.client.MAC().String() })
		if got := neighbour(t, l.client, c.ip); got != l.a.MAC().String() {
			t.Errorf("the client has %s at %s, and not at a", c.ip, got)
		}
		if got := neighbour(t, l.client, c.own); got != l.b.MAC().String() {
			t.Errorf("%s did not ask: the client has it at %q", c.own, got)
		}
	}
	// On twice renews the rules, off twice is fine, and then it answers.
	in(t, l.b, func() error { return b.Silence(true) })
	in(t, l.a, a.Remove)
	take(t, l.b, b)
	in(t, l.b, func() error { return b.Silence(false) })
	serve(t, l.b)
	for _, ip := range vips {
		if got := ask(t, dial(t, l.client, ip)); got != "b" {
			t.Errorf("%s: %s", ip, got)
		}
	}
}

// TestSilenceWithoutAnOwnAddress: a node that has no address of its own on the link asks as a machine without one.
func TestSilenceWithoutAnOwnAddress(t *testing.T) {
	l := newLAN(t)
	l.b.DelAddr("10.9.0.2/24")
	a, b := kernel(t, l.a, vip4+"/24@eth0"), kernel(t, l.b, vip4+"/24@eth0")
	serve(t, l.a)
	take(t, l.a, a)
	if got := ask(t, dial(t, l.client, vip4)); got != "a" {
		t.Fatal(got)
	}
	in(t, l.b, func() error { return b.Silence(true) })
	in(t, l.b, func() error { return b.Add(lease) })
	in(t, l.b, func() error {
		u, err := net.DialUDP("udp", &net.UDPAddr{IP: net.ParseIP(vip4)}, &net.UDPAddr{IP: net.ParseIP("10.9.0.50"), Port: 9})
		if err != nil {
			return err
		}
		defer func() { _ = u.Close() }()
		_, err = u.Write([]byte("x"))
		return err
	})
	eventually(t, "b finds the client", time.Second, func() bool { return neighbour(t, l.b, "10.9.0.50") == l.client.MAC().String() })
	if got := neighbour(t, l.client, vip4); got != l.a.MAC().String() {
		t.Errorf("the client has %s at %s, and not at a", vip4, got)
	}
}

// TestHandOver is the whole of a planned one, both families: no connection is lost, and each is where it should be at each moment.
func TestHandOver(t *testing.T) {
	l := newLAN(t)
	a, b := kernel(t, l.a, both...), kernel(t, l.b, both...)
	serve(t, l.a)
	serve(t, l.b)
	take(t, l.a, a)
	old := map[string]net.Conn{}
	for _, ip := range vips {
		old[ip] = dial(t, l.client, ip)
	}
	check := func(when, ip string, c net.Conn, want string) {
		t.Helper()
		if got := ask(t, c); got != want {
			t.Errorf("%s, %s: %s answers, not %s", when, ip, got, want)
		}
	}
	in(t, l.b, func() error { return b.Silence(true) })
	in(t, l.b, func() error { return b.Add(MaxLifetime) })
	hops, err := b.Hops()
	if err != nil {
		t.Fatal(err)
	}
	in(t, l.a, func() error { return a.Add(MaxLifetime) })
	in(t, l.a, func() error { return a.Relay(hops) })
	moved := map[string]net.Conn{}
	for _, ip := range vips {
		check("relay", ip, old[ip], "a")
		begin := time.Now()
		moved[ip] = dial(t, l.client, ip)
		t.Logf("%s: a relayed connection took %v", ip, time.Since(begin))
		check("relay", ip, moved[ip], "b")
		check("relay", ip, old[ip], "a")
		if got := neighbour(t, l.client, ip); got != l.a.MAC().String() {
			t.Errorf("the client has %s at %s, and not at a", ip, got)
		}
	}
	in(t, l.a, func() error { return a.Relay(hops) }) // again, and nothing changes
	for _, ip := range vips {
		check("relay again", ip, moved[ip], "b")
		_ = old[ip].Close()
	}
	// a goes, and nobody knows yet; its relay goes on.
	in(t, l.a, a.Remove)
	for _, ip := range vips {
		check("a is gone", ip, moved[ip], "b")
		c := dial(t, l.client, ip)
		check("a is gone", ip, c, "b")
	}
	begin := time.Now()
	take(t, l.b, b)
	t.Logf("renewed, unsilenced and announced in %v", time.Since(begin))
	in(t, l.a, func() error { return a.Relay(nil) })
	in(t, l.a, func() error { return a.Relay(nil) })
	for _, ip := range vips {
		check("b holds", ip, moved[ip], "b")
		check("b holds", ip, dial(t, l.client, ip), "b")
	}
	in(t, l.a, a.Close)
	in(t, l.b, b.Close)
	if n := tables(t, l.a) + tables(t, l.b); n != 0 {
		t.Errorf("%d tables are left", n)
	}
}

// TestLargeRequestsThroughTheRelay: segments that the network card merged or left to split are relayed too.
func TestLargeRequestsThroughTheRelay(t *testing.T) {
	l := newLAN(t)
	a, b := kernel(t, l.a, both...), kernel(t, l.b, both...)
	take(t, l.a, a)
	in(t, l.b, func() error { return b.Silence(true) })
	in(t, l.b, func() error { return b.Add(MaxLifetime) })
	in(t, l.a, func() error { return a.Add(MaxLifetime) })
	in(t, l.a, func() error { return a.Relay(hopsFrom(t, b)) })
	serve(t, l.b)
	line := strings.Repeat("x", 60_000) // a line that fits the scanner
	for _, ip := range vips {
		c := dial(t, l.client, ip)
		for range 50 {
			if _, err := fmt.Fprintln(c, line); err != nil {
				t.Fatal(err)
			}
			_ = c.SetDeadline(time.Now().Add(900 * time.Millisecond))
			buf := make([]byte, 2)
			if _, err := c.Read(buf); err != nil || string(buf) != "b\n" {
				t.Fatalf("%s: %q %v", ip, buf, err)
			}
		}
	}
}

// TestAFullRelay: when no more connections can be remembered the next ones stay where they are, whole.
func TestAFullRelay(t *testing.T) {
	l := newLAN(t)
	a, b := kernel(t, l.a, both...), kernel(t, l.b, both...)
	serve(t, l.a)
	serve(t, l.b)
	take(t, l.a, a)
	in(t, l.b, func() error { return b.Silence(true) })
	in(t, l.b, func() error { return b.Add(MaxLifetime) })
	in(t, l.a, func() error { return a.Add(MaxLifetime) })
	a.relayMost = 2
	in(t, l.a, func() error { return a.Relay(hopsFrom(t, b)) })
	for _, ip := range vips {
		conns := make([]net.Conn, 5)
		where := map[string]int{}
		for i := range conns {
			conns[i] = dial(t, l.client, ip)
		}
		for range 3 {
			for _, c := range conns {
				where[ask(t, c)]++
			}
		}
		if where["b"] != 6 || where["a"] != 9 {
			t.Errorf("%s: %v", ip, where)
		}
	}
}

// TestHops: own addresses only, the best first.
func TestHops(t *testing.T) {
	l := newLAN(t)
	l.a.AddAddr("192.168.7.1/24")
	l.a.AddAddr("10.9.0.9/24")
	k := kernel(t, l.a, both...)
	in(t, l.a, func() error { return k.Add(lease) })
	hops, err := k.Hops()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, h := range hops {
		if h.Interface != "eth0" {
			t.Errorf("%+v", h)
		}
		if h.Addr.IsLinkLocalUnicast() {
			h.Addr = netip.MustParseAddr("fe80::1") // whatever it is
		}
		got = append(got, h.Addr.String())
	}
	if fmt.Sprint(got) != "[10.9.0.1 10.9.0.9 192.168.7.1 fd09::1 fe80::1]" {
		t.Error(got)
	}
}

// TestRelaysThatCannotBe say why, and leave nothing behind.
func TestRelaysThatCannotBe(t *testing.T) {
	l := newLAN(t)
	k := kernel(t, l.a, both...)
	hop := func(name, ip string) vip.Hop { return vip.Hop{Interface: name, Addr: netip.MustParseAddr(ip)} }
	good := []vip.Hop{hop("eth0", "10.9.0.2"), hop("eth0", "fd09::2")}
	for name, to := range map[string][]vip.Hop{
		"none":                  {},
		"one family only":       good[:1],
		"this machine":          {hop("eth0", "10.9.0.1"), good[1]},
		"the address itself":    {hop("eth0", vip4), good[1]},
		"no address":            {{Interface: "eth0"}, good[0], good[1]},
		"a zone":                {good[0], hop("eth0", "fe80::1%eth0")},
		"multicast":             {good[0], hop("eth0", "ff02::1")},
		"loopback":              {hop("eth0", "127.0.0.1"), good[1]},
		"IPv4 in IPv6":          {hop("eth0", "::ffff:10.9.0.2"), good[1]},
		"two other interfaces":  {hop("eth1", "192.168.1.1"), hop("eth2", "192.168.2.1"), good[1]},
		"unspecified, hostile":  {hop("eth0", "0.0.0.0"), good[1]},
		"an interface too long": {hop(strings.Repeat("x", 1000), "10.1.0.2"), hop("", "10.1.0.3"), good[1]},
	} {
		var err error
		l.a.Do(func() { err = k.Relay(to) })
		if !errors.Is(err, vip.ErrNoRelay) {
			t.Errorf("%s: %v", name, err)
		} else {
			t.Logf("%s: %v", name, err)
		}
	}
	if n := tables(t, l.a); n != 0 {
		t.Errorf("%d tables are left", n)
	}
	// Interfaces of other names: by the prefix, or since there is only one.
	for _, to := range [][]vip.Hop{good, {hop("ens3", "10.9.0.2"), hop("ens3", "fd09::2")}, {hop("ens3", "172.16.0.2"), hop("ens3", "fe80::2")}} {
		in(t, l.a, func() error { return k.Relay(to) })
	}
}

func hopsFrom(t *testing.T, k *Kernel) []vip.Hop {
	t.Helper()
	hops, err := k.Hops()
	if err != nil {
		t.Fatal(err)
	}
	return hops
}

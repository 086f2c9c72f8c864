//go:build netns

package kernel

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/holdfast-lb/holdfast/internal/netlab"
)

// TestTheKernelTakesTheAddressesOff: the lease, measured. Renewed addresses stay; the others go, with nothing of ours running.
func TestTheKernelTakesTheAddressesOff(t *testing.T) {
	l := newLAN(t)
	k := kernel(t, l.a, both...)
	in(t, l.a, func() error { return k.Add(time.Second) })
	if !l.a.Has(vip4) || !l.a.Has(vip6) {
		t.Fatal("not added")
	}
	begin, renewed := time.Now(), time.Now()
	eventually(t, "renewed for longer than the first lifetime", 5*time.Second, func() bool {
		in(t, l.a, func() error { return k.Add(lease) })
		renewed = time.Now()
		if !l.a.Has(vip4) || !l.a.Has(vip6) {
			t.Fatal("a renewed address went")
		}
		return time.Since(begin) > 1500*time.Millisecond
	})
	for _, ip := range []string{vip4, vip6} {
		eventually(t, ip+" goes", 5*time.Second, func() bool { return !l.a.Has(ip) })
		took := time.Since(renewed)
		t.Logf("%s went %v after the last renewal for %v", ip, took, lease)
		if took < lease-20*time.Millisecond || took > lease+1500*time.Millisecond {
			t.Errorf("%s: %v", ip, took)
		}
	}
	if held, err := k.Held(); held || err != nil {
		t.Errorf("held: %v %v", held, err)
	}
	// Nobody told this process; the next Add brings them back all the same.
	in(t, l.a, func() error { return k.Add(lease) })
	if !l.a.Has(vip4) || !l.a.Has(vip6) {
		t.Error("not back")
	}
}

func TestAddAndRemoveMayBeRepeated(t *testing.T) {
	l := newLAN(t)
	k := kernel(t, l.a, both...)
	in(t, l.a, k.Remove)
	for range 3 {
		in(t, l.a, func() error { return k.Add(lease) })
	}
	if held, err := k.Held(); !held || err != nil {
		t.Errorf("held: %v %v", held, err)
	}
	// Somebody takes one off: Add brings it back, Remove does not mind.
	l.a.DelAddr(vip4 + "/24")
	in(t, l.a, func() error { return k.Add(lease) })
	if !l.a.Has(vip4) {
		t.Error("not back")
	}
	l.a.DelAddr(vip4 + "/24")
	for range 3 {
		in(t, l.a, k.Remove)
	}
	if held, err := k.Held(); held || err != nil {
		t.Errorf("held: %v %v", held, err)
	}
	for _, bad := range []time.Duration{0, -time.Second, 500 * time.Millisecond, 1500 * time.Millisecond, MaxLifetime + time.Second} {
		if err := k.Add(bad); err == nil {
			t.Errorf("a lifetime of %v is taken", bad)
		}
	}
}

// TestSixteenAddresses: both families, on one interface, with figures.
func TestSixteenAddresses(t *testing.T) {
	l := newLAN(t)
	var addrs []string
	for i := range 8 {
		addrs = append(addrs, fmt.Sprintf("10.9.0.%d/24@eth0", 100+i), fmt.Sprintf("fd09::%d/64@eth0", 100+i))
	}
	k := kernel(t, l.a, addrs...)
	timed := func(what string, f func() error) {
		begin := time.Now()
		in(t, l.a, f)
		t.Logf("%s: %v", what, time.Since(begin))
	}
	timed("add", func() error { return k.Add(lease) })
	timed("announce", k.Announce)
	timed("renew", func() error { return k.Add(lease) })
	for _, a := range addrs {
		if ip, _, _ := strings.Cut(a, "/"); !l.a.Has(ip) {
			t.Errorf("no %s", ip)
		}
	}
	timed("remove", k.Remove)
	timed("silence", func() error { return k.Silence(true) })
	timed("relay", func() error { return k.Relay(hopsOf(t, l.b, addrs)) })
	timed("end of the relay", func() error { return k.Relay(nil) })
	timed("end of the silence", func() error { return k.Silence(false) })
	if held, err := k.Held(); held || err != nil {
		t.Errorf("held: %v %v", held, err)
	}
}

// TestConnectionsComeFromTheOwnAddress: a virtual address is no source, else connections to the other nodes would break when it goes.
func TestConnectionsComeFromTheOwnAddress(t *testing.T) {
	for _, addrs := range [][]string{both, {vip4 + "/32@eth0", vip6 + "/128@eth0"}, {vip4 + "/16@eth0", vip6 + "/48@eth0"}} {
		l := newLAN(t)
		k := kernel(t, l.a, addrs...)
		in(t, l.a, func() error { return k.Add(lease) })
		for to, want := range map[string]string{"10.9.0.2": "10.9.0.1", "fd09::2": "fd09::1"} {
			in(t, l.a, func() error {
				c, err := net.Dial("udp", net.JoinHostPort(to, "9"))
				if err != nil {
					return err
				}
				defer func() { _ = c.Close() }()
				if got := c.LocalAddr().(*net.UDPAddr).IP.String(); got != want {
					t.Errorf("%v: the source to %s is %s, want %s", addrs, to, got, want)
				}
				return nil
			})
		}
	}
}

// TestPrefixOfItsOwn: in a prefix where the machine has no other address clients on the link are reached directly, and an address that is added to the
// prefix later outlives the virtual one.
func TestPrefixOfItsOwn(t *testing.T) {
	l := newLAN(t)
	k := kernel(t, l.a, "10.77.0.100/24@eth0", "fd77::100/64@eth0")
	in(t, l.a, func() error { return k.Add(lease) })
	for _, ip := range []string{"10.77.0.50", "fd77::50"} {
		routes, err := l.a.Netlink().RouteGet(net.ParseIP(ip))
		if err != nil || len(routes) != 1 || routes[0].Gw != nil {
			t.Errorf("route to %s: %v %v", ip, routes, err)
		}
	}
	l.a.AddAddr("10.77.0.1/24")
	in(t, l.a, k.Remove)
	if !l.a.Has("10.77.0.1") || l.a.Has("10.77.0.100") {
		t.Error("the machine's own address went with the virtual one")
	}
	if routes, err := l.a.Netlink().RouteGet(net.ParseIP("10.77.0.50")); err != nil || len(routes) != 1 {
		t.Errorf("and its route: %v %v", routes, err)
	}
}

// TestAnAddressOfSomebodyElseIsNotTakenOver, neither at the start nor later, on whichever interface it is.
func TestAnAddressOfSomebodyElseIsNotTakenOver(t *testing.T) {
	l := newLAN(t)
	for _, other := range []string{vip4 + "/24", vip4 + "/32", vip6 + "/64"} {
		l.a.AddAddr(other)
		_, err := tryOpen(t, l.a, both...)
		if !errors.Is(err, ErrForeign) || !strings.Contains(err.Error(), "ip addr del "+other+" dev eth0") {
			t.Errorf("%s at the start: %v", other, err)
		}
		l.a.DelAddr(other)
	}
	loopback, err := l.a.Netlink().LinkByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	addr, err := netlink.ParseAddr(vip4 + "/32")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.a.Netlink().AddrAdd(loopback, addr); err != nil {
		t.Fatal(err)
	}
	if _, err := tryOpen(t, l.a, both...); !errors.Is(err, ErrForeign) || !strings.Contains(err.Error(), "dev lo") {
		t.Errorf("on lo: %v", err)
	}
	if err := l.a.Netlink().AddrDel(loopback, addr); err != nil {
		t.Fatal(err)
	}

	k := kernel(t, l.a, both...)
	l.a.AddAddr(vip4 + "/24")
	l.a.Do(func() { err = k.Add(lease) })
	if !errors.Is(err, ErrForeign) {
		t.Errorf("added later: %v", err)
	}
	if !l.a.Has(vip6) {
		t.Error("the other address suffers")
	}
	l.a.Do(func() { err = k.Remove() })
	if !errors.Is(err, ErrForeign) || !l.a.Has(vip4) || l.a.Has(vip6) {
		t.Errorf("Remove: %v", err)
	}
	l.a.DelAddr(vip4 + "/24")
	in(t, l.a, k.Remove)
}

// TestWhatAPredecessorLeft is removed by Open: addresses, also with another prefix or elsewhere, and the rules.
func TestWhatAPredecessorLeft(t *testing.T) {
	l := newLAN(t)
	killed, err := tryOpen(t, l.a, both...) // never closed, as after SIGKILL
	if err != nil {
		t.Fatal(err)
	}
	in(t, l.a, func() error { return killed.Silence(true) })
	in(t, l.a, func() error { return killed.Relay(hopsOf(t, l.b, both)) })
	in(t, l.a, func() error { return killed.Add(MaxLifetime) })
	lo, err := l.a.Netlink().LinkByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	elsewhere, err := netlink.ParseAddr(vip4 + "/30")
	if err != nil {
		t.Fatal(err)
	}
	elsewhere.ValidLft = 9
	if err := l.a.Netlink().AddrAdd(lo, elsewhere); err != nil {
		t.Fatal(err)
	}
	if n := tables(t, l.a); n != 3 {
		t.Fatalf("%d tables", n)
	}
	k := kernel(t, l.a, both...)
	if held, err := k.Held(); held || err != nil {
		t.Errorf("held: %v %v", held, err)
	}
	if n := tables(t, l.a); n != 0 {
		t.Errorf("%d tables are left", n)
	}
	in(t, l.a, func() error { return k.Add(lease) })
}

// TestAnInterfaceThatGoesAndReturns, with another index and another link-layer address.
func TestAnInterfaceThatGoesAndReturns(t *testing.T) {
	l := newLAN(t)
	k := kernel(t, l.a, both...)
	in(t, l.a, func() error { return k.Add(lease) })
	eth0, err := l.a.Netlink().LinkByName("eth0")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.a.Netlink().LinkDel(eth0); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		l.a.Do(func() { err = k.Add(lease) })
		if err == nil || !strings.Contains(err.Error(), "interface eth0 is gone") {
			t.Fatalf("Add without the interface: %v", err)
		}
	}
	for what, f := range map[string]func() error{"announce": k.Announce, "relay": func() error { return k.Relay(hopsOf(t, l.b, both)) }} {
		l.a.Do(func() { err = f() })
		if err == nil {
			t.Errorf("%s without the interface", what)
		}
	}
	in(t, l.a, k.Remove)
	l.Connect(l.a, "10.9.0.1/24", "fd09::1/64")
	take(t, l.a, k)
	if !l.a.Has(vip4) || !l.a.Has(vip6) {
		t.Error("not there after the interface returned")
	}
	serve(t, l.a)
	for _, ip := range []string{vip4, vip6} {
		if got := ask(t, dial(t, l.client, ip)); got != "a" {
			t.Errorf("%s: %s", ip, got)
		}
	}
	// A new name is another interface, and what was added can be taken off all the same.
	eth0, err = l.a.Netlink().LinkByName("eth0")
	if err != nil {
		t.Fatal(err)
	}
	l.a.LinkDown()
	if err := l.a.Netlink().LinkSetName(eth0, "lan0"); err != nil {
		t.Fatal(err)
	}
	in(t, l.a, k.Remove)
	if held, err := k.Held(); held || err != nil {
		t.Errorf("held: %v %v", held, err)
	}
}

// TestAnInterfaceThatIsDown: Add works or says why, and all is well when it is up.
func TestAnInterfaceThatIsDown(t *testing.T) {
	l := newLAN(t)
	k := kernel(t, l.a, both...)
	l.a.LinkDown()
	var err error
	l.a.Do(func() { err = k.Add(lease) })
	t.Logf("Add while down: %v", err)
	l.a.Do(func() { err = k.Announce() })
	if err == nil {
		t.Error("announced while down")
	}
	l.a.LinkUp()
	l.a.AddAddr("fd09::1/64") // the kernel took it off
	take(t, l.a, k)
	serve(t, l.a)
	eventually(t, "the bridge sees the carrier", 3*time.Second, func() bool {
		c, err := tryDial(l.client, "10.9.0.1", 100*time.Millisecond)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
	take(t, l.a, k)
	for _, ip := range []string{vip4, vip6} {
		if got := ask(t, dial(t, l.client, ip)); got != "a" {
			t.Errorf("%s: %s", ip, got)
		}
	}
}

func TestInterfacesThatDoNotFit(t *testing.T) {
	l := newLAN(t)
	nl := l.a.Netlink()
	bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "br7"}}
	member := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "eth7"}, PeerName: "eth8"}
	for _, link := range []netlink.Link{bridge, member} {
		if err := nl.LinkAdd(link); err != nil {
			t.Fatal(err)
		}
	}
	if err := nl.LinkSetMaster(member, bridge); err != nil {
		t.Fatal(err)
	}
	for addr, want := range map[string]string{
		vip4 + "/24@eth1": "there are lo, ",
		vip4 + "/24@eth7": "is a port of the bridge br7",
	} {
		if _, err := tryOpen(t, l.a, addr); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", addr, err)
		}
	}
	if _, err := tryOpen(t, l.a, vip4+"/24@eth0", vip4+"/32@lo"); err == nil || !strings.Contains(err.Error(), "name it once") {
		t.Errorf("twice: %v", err)
	}
	if _, err := tryOpen(t, l.a); err == nil {
		t.Error("no address at all")
	}
	if out, err := l.a.Exec("sysctl", "-w", "net.ipv6.conf.eth0.disable_ipv6=1").CombinedOutput(); err != nil {
		t.Fatalf("%s %v", out, err)
	}
	if _, err := tryOpen(t, l.a, both...); err == nil || !strings.Contains(err.Error(), "net.ipv6.conf.eth0.disable_ipv6") {
		t.Errorf("without IPv6: %v", err)
	}
}

// TestOtherKindsOfInterfaces: VLAN, bridge, bond, macvlan, dummy and lo.
func TestOtherKindsOfInterfaces(t *testing.T) {
	l := newLAN(t)
	nl := l.a.Netlink()
	eth0, err := nl.LinkByName("eth0")
	if err != nil {
		t.Fatal(err)
	}
	on := func(name string) netlink.LinkAttrs {
		return netlink.LinkAttrs{Name: name, ParentIndex: eth0.Attrs().Index}
	}
	bond := netlink.NewLinkBond(netlink.LinkAttrs{Name: "bond0"})
	for _, link := range []netlink.Link{
		&netlink.Vlan{LinkAttrs: on("eth0.7"), VlanId: 7},
		&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "br7"}},
		bond,
		&netlink.Macvlan{LinkAttrs: on("mac0"), Mode: netlink.MACVLAN_MODE_BRIDGE},
		&netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Name: "a-long-name-1.5"}},
	} {
		name := link.Attrs().Name
		if err := nl.LinkAdd(link); errors.Is(err, unix.EOPNOTSUPP) {
			t.Logf("%s: this kernel has none", name)
			continue
		} else if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := nl.LinkSetUp(link); err != nil {
			t.Fatal(err)
		}
		holds(t, l.a, "10.55.0.100/24@"+name, "fd55::100/64@"+name)
	}
	holds(t, l.a, "10.55.0.100/32@lo", "fd55::100/128@lo")
}

func holds(t *testing.T, ns *netlab.NS, addrs ...string) {
	t.Helper()
	k, err := tryOpen(t, ns, addrs...)
	if err != nil {
		t.Errorf("%v: %v", addrs, err)
		return
	}
	in(t, ns, func() error { return k.Silence(true) })
	in(t, ns, func() error { return k.Add(lease) })
	take(t, ns, k)
	for _, a := range addrs {
		if ip, _, _ := strings.Cut(a, "/"); !ns.Has(ip) {
			t.Errorf("no %s", a)
		}
	}
	in(t, ns, k.Close)
	in(t, ns, k.Close)
	for _, a := range addrs {
		if ip, _, _ := strings.Cut(a, "/"); ns.Has(ip) {
			t.Errorf("%s is left", a)
		}
	}
	if err := k.Add(lease); err == nil {
		t.Error("Add after Close")
	}
}

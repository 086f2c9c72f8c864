package server

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/raftnode"
	"github.com/holdfast-lb/holdfast/vip"
)

func TestAddressesThatClientsDoNotFind(t *testing.T) {
	nets := func(list ...string) (l link) {
		for _, n := range list {
			l.nets = append(l.nets, netip.MustParsePrefix(n))
		}
		return l
	}
	machine := map[string]link{
		"eth0": nets("192.0.2.7/24", "2001:db8::7/64", "fe80::1/64"), "eth1": nets("fe80::2/64"), "lo": {loopback: true, nets: nets("127.0.0.1/8").nets},
		"held": nets("198.51.100.100/24"),
	}
	for addr, want := range map[string]string{
		"192.0.2.100/24@eth0":    "",
		"192.0.2.100/32@eth0":    "",
		"2001:db8::100/64@eth0":  "",
		"198.51.100.100/24@eth0": "lies in none of the networks of the interface (192.0.2.7/24)",
		"2001:db9::100/64@eth0":  "lies in none of the networks of the interface (2001:db8::7/64)",
		"2001:db8::100/64@eth1":  "has no address of its own",
		"198.51.100.100/24@held": "has no address of its own", // but for the virtual one
		"192.0.2.100/32@lo":      "loopback interface",
		"192.0.2.100/24@gone":    "",
	} {
		a, err := vip.ParseAddress(addr)
		if err != nil {
			t.Fatal(err)
		}
		u := &unfit{addrs: []vip.Address{a}, link: func(name string) (link, error) {
			if l, ok := machine[name]; ok {
				return l, nil
			}
			return link{}, errors.New("no such interface")
		}}
		got := strings.Join(u.get(time.Now()), "; ")
		if want == "" && got != "" || !strings.Contains(got, want) || want != "" && !strings.HasPrefix(got, addr) {
			t.Errorf("%s: %q, want %q", addr, got, want)
		}
	}
	if l, err := linkOf("lo"); err != nil || !l.loopback {
		t.Errorf("lo: %+v, %v", l, err)
	}
	if _, err := linkOf("no-such-link"); err == nil {
		t.Error("an interface that is not there")
	}
}

// TestFirstProcessOfANamespace is warned of: its guard cannot outlive it.
func TestFirstProcessOfANamespace(t *testing.T) {
	if got := fated(2); len(got) != 0 {
		t.Errorf("%q", got)
	}
	a := &address{fated: fated(1), unfit: &unfit{}, Manager: vip.New(vip.Settings{Keeper: &testKeeper{link: &testLink{}, events: make(chan vip.Event)}, Eligible: func() error { return errors.New("not yet") }, Now: vip.Now}),
		open: func([]netip.Addr) (int, int) { return 0, 0 }}
	defer a.Close()
	if w := (&Server{address: a, node: new(raftnode.Node)}).addressReport().Warnings; len(w) != 1 || !strings.Contains(w[0], "first process of its PID namespace") {
		t.Errorf("%q", w)
	}
}

// TestUnfitIsLookedAtAgain: an interface may get its address after the node has started.
func TestUnfitIsLookedAtAgain(t *testing.T) {
	a, err := vip.ParseAddress("192.0.2.100/24@eth0")
	if err != nil {
		t.Fatal(err)
	}
	var l link
	u := &unfit{addrs: []vip.Address{a}, link: func(string) (link, error) { return l, nil }}
	now := time.Now()
	if len(u.get(now)) != 1 {
		t.Fatal("fits")
	}
	l.nets = []netip.Prefix{netip.MustParsePrefix("192.0.2.7/24")}
	if len(u.get(now.Add(unfitFor/2))) != 1 || len(u.get(now.Add(unfitFor))) != 0 {
		t.Error("looked at too soon, or not again")
	}
}

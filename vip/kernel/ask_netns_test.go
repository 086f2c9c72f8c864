//go:build netns

package kernel

import (
	"slices"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/holdfast-lb/holdfast/vip"
)

// TestAskChangesNothing: who has the addresses is heard by somebody who does not hold them, and what a holder has on another machine, or on the same one, stays.
func TestAskChangesNothing(t *testing.T) {
	l := newLAN(t)
	k := kernel(t, l.a, both...)
	in(t, l.a, func() error { return k.Add(MaxLifetime) })
	ask := func(want int, addrs ...string) {
		t.Helper()
		var list []vip.Address
		for _, text := range addrs {
			a, err := vip.ParseAddress(text)
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, a)
		}
		var claims []vip.Claim
		in(t, l.b, func() (err error) {
			claims, err = Ask(t.Context(), list, time.Second, t.Logf)
			return err
		})
		if len(claims) != want || slices.ContainsFunc(claims, func(c vip.Claim) bool { return c.Hardware == "" }) {
			t.Errorf("%v: %v, want %d claims", addrs, claims, want)
		}
	}
	ask(2, both...)
	if !l.a.Has(vip4) || !l.a.Has(vip6) || l.b.Has(vip4) || l.b.Has(vip6) {
		t.Error("an address has come or gone")
	}
	in(t, l.a, k.Remove)
	ask(0, both...)
}

// TestOneInterfaceThatIsDown is not asked by, and keeps nobody from being asked by the others: who has an address there would be taken for nobody.
func TestOneInterfaceThatIsDown(t *testing.T) {
	l := newLAN(t)
	a := kernel(t, l.a, both...)
	in(t, l.a, func() error { return a.Add(MaxLifetime) })
	in(t, l.b, func() error {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = "eth1"
		return l.b.Netlink().LinkAdd(&netlink.Bridge{LinkAttrs: attrs})
	})
	b := kernel(t, l.b, append([]string{"10.8.0.100/24@eth1"}, both...)...)
	ask := func() (claims []vip.Claim, err error) {
		l.b.Do(func() { claims, err = b.Probe(t.Context(), time.Second) })
		return claims, err
	}
	if claims, err := ask(); err != nil || len(claims) != 2 {
		t.Errorf("%v, %v: want both claims", claims, err)
	}
	in(t, l.a, a.Remove)
	if claims, err := ask(); err != nil || len(claims) != 0 {
		t.Errorf("%v, %v: want none", claims, err)
	}
	l.b.LinkDown()
	if _, err := ask(); err == nil {
		t.Error("asked by links that are down")
	}
}

package kernel

import (
	"bytes"
	"encoding/hex"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/mdlayher/ndp"
)

var (
	testMAC = net.HardwareAddr{2, 0, 0, 0, 0, 1}
	test4   = netip.MustParseAddr("10.9.0.100")
	test6   = netip.MustParseAddr("2001:db8::100")
)

// TestFramesAreThoseOfTheStandards: bytes worked out by hand from RFC 826, 5227, 4861, 4862 and 2464, checksums included.
func TestFramesAreThoseOfTheStandards(t *testing.T) {
	frames := func(ip netip.Addr) [][]byte {
		all, err := announcements(ip, testMAC)
		if err != nil {
			t.Fatal(err)
		}
		p, err := probe(ip, testMAC)
		if err != nil {
			t.Fatal(err)
		}
		return append(all, p)
	}
	pad := strings.Repeat("00", 18)
	want4 := []string{
		"ffffffffffff 020000000001 0806 0001 0800 06 04 0001 020000000001 0a090064 000000000000 0a090064" + pad,
		"ffffffffffff 020000000001 0806 0001 0800 06 04 0002 020000000001 0a090064 020000000001 0a090064" + pad,
		"ffffffffffff 020000000001 0806 0001 0800 06 04 0001 020000000001 00000000 000000000000 0a090064" + pad,
	}
	ip6 := "20010db8000000000000000000000100"
	want6 := []string{
		"333300000001 020000000001 86dd 60000000 0020 3a ff " + ip6 + " ff020000000000000000000000000001 88 00 f72c 20000000 " + ip6 + " 0201020000000001",
		"3333ff000100 020000000001 86dd 60000000 0018 3a ff 00000000000000000000000000000000 ff0200000000000000000001ff000100 87 00 4aef 00000000 " + ip6,
	}
	for i, got := range append(frames(test4), frames(test6)...) {
		want := strings.ReplaceAll(append(want4, want6...)[i], " ", "")
		if hex.EncodeToString(got) != want {
			t.Errorf("frame %d:\n got %x\nwant %s", i, got, want)
		}
	}
}

func TestFramesNeedAnEthernetAddress(t *testing.T) {
	for _, mac := range []net.HardwareAddr{nil, {1}, make(net.HardwareAddr, 20)} {
		if _, err := announcements(test4, mac); err == nil {
			t.Errorf("announced with %q", mac)
		}
		if _, err := probe(test6, mac); err == nil {
			t.Errorf("probed with %q", mac)
		}
	}
}

// TestClaims: who says that an address is his, and who only asks.
func TestClaims(t *testing.T) {
	other := net.HardwareAddr{2, 0, 0, 0, 0, 9}
	nd := func(source netip.Addr, m ndp.Message) []byte {
		f, err := ndFrame(other, source, allNodes, m)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	lla := func(d ndp.Direction) []ndp.Option {
		return []ndp.Option{&ndp.LinkLayerAddress{Direction: d, Addr: testMAC}}
	}
	asks := netip.MustParseAddr("10.9.0.50")
	for _, c := range []struct {
		name  string
		frame []byte
		ip    netip.Addr // invalid: no claim
		mac   net.HardwareAddr
	}{
		{"arp announcement", arpFrame(arpRequest, other, broadcast, test4, noMAC, test4), test4, other},
		{"arp reply", arpFrame(arpReply, other, testMAC, test4, testMAC, asks), test4, other},
		{"arp question of the address", arpFrame(arpRequest, other, broadcast, test4, noMAC, asks), test4, other},
		{"arp question for the address", arpFrame(arpRequest, other, broadcast, asks, noMAC, test4), asks, other},
		{"arp probe", arpFrame(arpRequest, other, broadcast, netip.IPv4Unspecified(), noMAC, test4), netip.Addr{}, nil},
		{"arp of another operation", arpFrame(3, other, broadcast, test4, noMAC, test4), netip.Addr{}, nil},
		{"advertisement", nd(test6, &ndp.NeighborAdvertisement{TargetAddress: test6, Options: lla(ndp.Target)}), test6, testMAC},
		{"advertisement without option", nd(test6, &ndp.NeighborAdvertisement{TargetAddress: test6}), test6, other},
		{"solicitation of the address", nd(test6, &ndp.NeighborSolicitation{TargetAddress: netip.MustParseAddr("2001:db8::1"), Options: lla(ndp.Source)}), test6, testMAC},
		{"duplicate detection", nd(netip.IPv6Unspecified(), &ndp.NeighborSolicitation{TargetAddress: test6}), netip.Addr{}, nil},
		{"router solicitation", nd(test6, &ndp.RouterSolicitation{}), netip.Addr{}, nil},
	} {
		ip, mac, ok := claimed(c.frame)
		if ok != c.ip.IsValid() || ip != c.ip || !bytes.Equal(mac, c.mac) {
			t.Errorf("%s: %v %v %v", c.name, ip, mac, ok)
		}
	}
}

// TestFramesNobodyBelieves: what is cut off, came through a router, or is of another kind, claims nothing.
func TestFramesNobodyBelieves(t *testing.T) {
	arp, err := announcements(test4, testMAC)
	if err != nil {
		t.Fatal(err)
	}
	na, err := announcements(test6, testMAC)
	if err != nil {
		t.Fatal(err)
	}
	for n := range etherLen + arpLen {
		if _, _, ok := claimed(arp[0][:n]); ok {
			t.Errorf("%d bytes of ARP are a claim", n)
		}
	}
	for n := range na[0] {
		if _, _, ok := claimed(na[0][:n]); ok {
			t.Errorf("%d bytes of an advertisement are a claim", n)
		}
	}
	spoil := func(name string, frame []byte, at int, b byte) {
		f := bytes.Clone(frame)
		f[at] = b
		if _, _, ok := claimed(f); ok {
			t.Errorf("%s: a claim", name)
		}
	}
	spoil("another hardware type", arp[0], etherLen+1, 6)
	spoil("another protocol type", arp[0], etherLen+2, 9)
	spoil("long hardware address", arp[0], etherLen+4, 20)
	spoil("multicast sender", arp[0], arpSenderIP, 224)
	spoil("another ethernet type", arp[0], typeOf, 9)
	spoil("another IP version", na[0], etherLen, 0x40)
	spoil("came through a router", na[0], ip6NextField+1, 254)
	spoil("another protocol", na[0], ip6NextField, 6)
	spoil("longer than the frame", na[0], etherLen+5, 200)
	spoil("shorter than its target", na[0], etherLen+5, 20)
	spoil("multicast target", na[0], ndTarget, 0xff)
	spoil("option of length 0", na[0], ndTarget+17, 0)
}

func FuzzClaimed(f *testing.F) {
	for _, ip := range []netip.Addr{test4, test6} {
		all, err := announcements(ip, testMAC)
		if err != nil {
			f.Fatal(err)
		}
		for _, frame := range all {
			f.Add(frame)
		}
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		ip, mac, ok := claimed(frame)
		if !ok {
			return
		}
		if !ip.IsValid() || ip.IsUnspecified() || ip.IsMulticast() || len(mac) != macLen {
			t.Fatalf("%x claims %v for %v", frame, ip, mac)
		}
		if !bytes.Contains(frame, ip.AsSlice()) || !bytes.Contains(frame, mac) {
			t.Fatalf("%x does not say %v, %v", frame, ip, mac)
		}
	})
}

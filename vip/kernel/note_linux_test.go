package kernel

import (
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// message puts one together: the fixed part, and attributes.
func message(t testing.TB, kind uint16, fixed []byte, attrs ...netlink.Attribute) netlink.Message {
	t.Helper()
	data, err := netlink.MarshalAttributes(attrs)
	if err != nil {
		t.Fatal(err)
	}
	return netlink.Message{Header: netlink.Header{Type: netlink.HeaderType(kind)}, Data: append(fixed, data...)}
}

func linkHead(family byte, index, flags uint32) []byte {
	b := make([]byte, unix.SizeofIfInfomsg)
	b[0] = family
	binary.NativeEndian.PutUint32(b[4:], index)
	binary.NativeEndian.PutUint32(b[8:], flags)
	return b
}

func addrHead(index uint32) []byte {
	b := make([]byte, unix.SizeofIfAddrmsg)
	binary.NativeEndian.PutUint32(b[4:], index)
	return b
}

func TestNotesOfLinks(t *testing.T) {
	name := netlink.Attribute{Type: unix.IFLA_IFNAME, Data: []byte("eth0\x00")}
	mac := netlink.Attribute{Type: unix.IFLA_ADDRESS, Data: testMAC}
	const up, running = unix.IFF_UP, unix.IFF_RUNNING
	n, ok, err := readNote(message(t, unix.RTM_NEWLINK, linkHead(0, 7, up|running), name, mac))
	if err != nil || !ok || !n.link || n.gone || !n.up || n.index != 7 || n.name != "eth0" || n.mac.String() != testMAC.String() {
		t.Errorf("%+v %v %v", n, ok, err)
	}
	for _, flags := range []uint32{0, up, running} {
		if n, _, _ := readNote(message(t, unix.RTM_NEWLINK, linkHead(0, 7, flags), name)); n.up {
			t.Errorf("flags %#x: up", flags)
		}
	}
	if n, ok, _ := readNote(message(t, unix.RTM_DELLINK, linkHead(0, 7, 0), name)); !ok || !n.gone {
		t.Errorf("gone: %+v %v", n, ok)
	}
	// A port that leaves its bridge is still there.
	if n, ok, _ := readNote(message(t, unix.RTM_DELLINK, linkHead(unix.AF_BRIDGE, 7, 0), name)); ok {
		t.Errorf("a bridge's port: %+v", n)
	}
	if _, ok, _ := readNote(message(t, unix.RTM_NEWLINK, linkHead(0, 7, 0))); ok {
		t.Error("a link without a name")
	}
}

func TestNotesOfAddresses(t *testing.T) {
	attr := func(kind uint16, ip string) netlink.Attribute {
		return netlink.Attribute{Type: kind, Data: netip.MustParseAddr(ip).AsSlice()}
	}
	for want, attrs := range map[string][]netlink.Attribute{
		"10.9.0.100":    {attr(unix.IFA_ADDRESS, "10.9.0.1"), attr(unix.IFA_LOCAL, "10.9.0.100")}, // the other is a peer
		"10.9.0.101":    {attr(unix.IFA_LOCAL, "10.9.0.101")},
		"2001:db8::100": {attr(unix.IFA_ADDRESS, "2001:db8::100")},
	} {
		n, ok, err := readNote(message(t, unix.RTM_DELADDR, addrHead(3), attrs...))
		if err != nil || !ok || n.link || !n.gone || n.index != 3 || n.ip.String() != want {
			t.Errorf("%s: %+v %v %v", want, n, ok, err)
		}
	}
	for name, m := range map[string]netlink.Message{
		"no address":      message(t, unix.RTM_NEWADDR, addrHead(3)),
		"of five bytes":   message(t, unix.RTM_NEWADDR, addrHead(3), netlink.Attribute{Type: unix.IFA_LOCAL, Data: make([]byte, 5)}),
		"another message": message(t, unix.RTM_NEWROUTE, addrHead(3)),
	} {
		if n, ok, err := readNote(m); ok || err != nil {
			t.Errorf("%s: %+v %v %v", name, n, ok, err)
		}
	}
}

func TestNotesThatAreBroken(t *testing.T) {
	for _, kind := range []uint16{unix.RTM_NEWLINK, unix.RTM_DELADDR} {
		for _, data := range [][]byte{nil, {0}, make([]byte, 7), append(make([]byte, unix.SizeofIfInfomsg), 1, 2, 3), append(addrHead(1), 0xff, 0xff, 1, 0)} {
			_, ok, err := readNote(netlink.Message{Header: netlink.Header{Type: netlink.HeaderType(kind)}, Data: data})
			if ok || len(data) < 8 && (err == nil || !strings.Contains(err.Error(), "bytes are no message")) {
				t.Errorf("%d %x: %v %v", kind, data, ok, err)
			}
		}
	}
}

func FuzzReadNote(f *testing.F) {
	f.Add(uint16(unix.RTM_NEWLINK), message(f, 0, linkHead(0, 7, 3), netlink.Attribute{Type: unix.IFLA_IFNAME, Data: []byte("eth0\x00")}).Data)
	f.Add(uint16(unix.RTM_DELADDR), message(f, 0, addrHead(3), netlink.Attribute{Type: unix.IFA_LOCAL, Data: []byte{10, 9, 0, 100}}).Data)
	f.Fuzz(func(t *testing.T, kind uint16, data []byte) {
		n, ok, err := readNote(netlink.Message{Header: netlink.Header{Type: netlink.HeaderType(kind)}, Data: data})
		if ok && (err != nil || n.link != (n.name != "") || n.link == n.ip.IsValid()) {
			t.Fatalf("%d %x: %+v %v", kind, data, n, err)
		}
	})
}

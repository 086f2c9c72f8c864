package kernel

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// note is what the kernel tells of a link or of an address.
type note struct {
	gone bool // the link or address is no more

	link  bool // it is of a link, not of an address
	index int  // of the link
	name  string
	mac   net.HardwareAddr
	up    bool

	ip netip.Addr // of an address
}

// readNote reads a message of rtnetlink; ok is false for one that is of no interest here.
func readNote(m netlink.Message) (n note, ok bool, err error) {
	switch m.Header.Type {
	case unix.RTM_NEWLINK, unix.RTM_DELLINK:
		return readLink(m)
	case unix.RTM_NEWADDR, unix.RTM_DELADDR:
		return readAddr(m)
	}
	return note{}, false, nil
}

func readLink(m netlink.Message) (note, bool, error) {
	if len(m.Data) < unix.SizeofIfInfomsg {
		return note{}, false, fmt.Errorf("%d bytes are no message of a link", len(m.Data))
	}
	// Bridges tell of their ports in the same messages, and a port that leaves its bridge is no link that is gone.
	if m.Data[0] != unix.AF_UNSPEC {
		return note{}, false, nil
	}
	n := note{
		link:  true,
		gone:  m.Header.Type == unix.RTM_DELLINK,
		index: int(int32(binary.NativeEndian.Uint32(m.Data[4:]))),
		up:    running(binary.NativeEndian.Uint32(m.Data[8:])),
	}
	ad, err := netlink.NewAttributeDecoder(m.Data[unix.SizeofIfInfomsg:])
	if err != nil {
		return note{}, false, fmt.Errorf("message of a link: %w", err)
	}
	for ad.Next() {
		switch ad.Type() {
		case unix.IFLA_IFNAME:
			n.name = ad.String()
		case unix.IFLA_ADDRESS:
			n.mac = net.HardwareAddr(ad.Bytes())
		}
	}
	if err := ad.Err(); err != nil {
		return note{}, false, fmt.Errorf("message of a link: %w", err)
	}
	return n, n.name != "", nil
}

func readAddr(m netlink.Message) (note, bool, error) {
	if len(m.Data) < unix.SizeofIfAddrmsg {
		return note{}, false, fmt.Errorf("%d bytes are no message of an address", len(m.Data))
	}
	n := note{gone: m.Header.Type == unix.RTM_DELADDR, index: int(int32(binary.NativeEndian.Uint32(m.Data[4:])))}
	ad, err := netlink.NewAttributeDecoder(m.Data[unix.SizeofIfAddrmsg:])
	if err != nil {
		return note{}, false, fmt.Errorf("message of an address: %w", err)
	}
	var address, local netip.Addr
	for ad.Next() {
		switch ad.Type() {
		case unix.IFA_ADDRESS:
			address, _ = netip.AddrFromSlice(ad.Bytes())
		case unix.IFA_LOCAL: // of IPv4, where the other may be that of a peer
			local, _ = netip.AddrFromSlice(ad.Bytes())
		}
	}
	if err := ad.Err(); err != nil {
		return note{}, false, fmt.Errorf("message of an address: %w", err)
	}
	n.ip = address
	if local.IsValid() {
		n.ip = local
	}
	return n, n.ip.IsValid(), nil
}

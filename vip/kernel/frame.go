package kernel

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"

	"github.com/mdlayher/ndp"
)

// Ethernet types (IEEE 802 numbers) of what is sent and heard here.
const (
	etherARP  = 0x0806
	etherIPv6 = 0x86dd

	etherLen = 14 // two addresses and the type
	arpLen   = 28 // RFC 826, for Ethernet and IPv4
	ip6Len   = 40
	frameMin = 60 // the shortest frame of Ethernet, without its checksum

	arpRequest, arpReply = 1, 2

	protoICMPv6  = 58
	ndSolicit    = 135
	ndAdvertise  = 136
	ndHopLimit   = 255 // RFC 4861 7.1: what has another one came through a router, and is not from the link
	macLen       = 6
	typeOf       = 12 // offset of the type in a frame
	arpSender    = etherLen + 8
	arpSenderIP  = etherLen + 14
	ip6Source    = etherLen + 8
	ip6NextField = etherLen + 6
	icmp6        = etherLen + ip6Len
	ndTarget     = icmp6 + 8
)

var (
	broadcast = net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	noMAC     = make(net.HardwareAddr, macLen)
	allNodes  = netip.MustParseAddr("ff02::1")
	// arpHead is what each ARP packet for Ethernet and IPv4 begins with; the operation follows.
	arpHead = []byte{0, 1, 8, 0, macLen, 4}
)

// announcements gives the frames that tell a link that mac has ip. IPv4: RFC 5227's announcement as a request, which everybody understands, and as a
// reply, which some obey only. IPv6: an unsolicited advertisement with the override flag (RFC 4861 7.2.6).
func announcements(ip netip.Addr, mac net.HardwareAddr) ([][]byte, error) {
	if len(mac) != macLen {
		return nil, fmt.Errorf("%q is not an Ethernet address", mac)
	}
	if ip.Is4() {
		return [][]byte{
			arpFrame(arpRequest, mac, broadcast, ip, noMAC, ip),
			arpFrame(arpReply, mac, broadcast, ip, mac, ip), // Linux sees that a reply is gratuitous by the equal link-layer addresses
		}, nil
	}
	frame, err := ndFrame(mac, ip, allNodes, &ndp.NeighborAdvertisement{
		Override: true, TargetAddress: ip,
		Options: []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Target, Addr: mac}},
	})
	return [][]byte{frame}, err
}

// probe gives the frame that asks a link who has ip, without saying that the asker would: RFC 5227 2.1.1 and RFC 4862 5.4.2.
func probe(ip netip.Addr, mac net.HardwareAddr) ([]byte, error) {
	if len(mac) != macLen {
		return nil, fmt.Errorf("%q is not an Ethernet address", mac)
	}
	if ip.Is4() {
		return arpFrame(arpRequest, mac, broadcast, netip.IPv4Unspecified(), noMAC, ip), nil
	}
	group, err := ndp.SolicitedNodeMulticast(ip)
	if err != nil {
		return nil, err
	}
	return ndFrame(mac, netip.IPv6Unspecified(), group, &ndp.NeighborSolicitation{TargetAddress: ip})
}

func arpFrame(op uint16, from, to net.HardwareAddr, sender netip.Addr, targetMAC net.HardwareAddr, target netip.Addr) []byte {
	f := make([]byte, 0, frameMin)
	f = append(f, to...)
	f = append(f, from...)
	f = binary.BigEndian.AppendUint16(f, etherARP)
	f = append(f, arpHead...)
	f = binary.BigEndian.AppendUint16(f, op)
	f = append(f, from...)
	f = append(f, sender.AsSlice()...)
	f = append(f, targetMAC...)
	f = append(f, target.AsSlice()...)
	return f[:frameMin]
}

// ndFrame is a message of neighbour discovery to a multicast group, whose link-layer address follows from it (RFC 2464 7).
func ndFrame(from net.HardwareAddr, source, group netip.Addr, m ndp.Message) ([]byte, error) {
	body, err := ndp.MarshalMessageChecksum(m, source, group)
	if err != nil {
		return nil, err
	}
	to := group.As16()
	f := make([]byte, 0, etherLen+ip6Len+len(body))
	f = append(f, 0x33, 0x33)
	f = append(f, to[12:]...)
	f = append(f, from...)
	f = binary.BigEndian.AppendUint16(f, etherIPv6)
	f = append(f, 0x60, 0, 0, 0)
	f = binary.BigEndian.AppendUint16(f, uint16(len(body)))
	f = append(f, protoICMPv6, ndHopLimit)
	f = append(f, source.AsSlice()...)
	f = append(f, to[:]...)
	return append(f, body...), nil
}

// claimed reads a frame from a link: which address its sender says is his, and the sender's link-layer address. ok is false for a frame that claims
// nothing, and for one that a host would not believe. A probe is no claim: its sender only asks.
func claimed(frame []byte) (ip netip.Addr, mac net.HardwareAddr, ok bool) {
	if len(frame) < etherLen {
		return netip.Addr{}, nil, false
	}
	switch binary.BigEndian.Uint16(frame[typeOf:]) {
	case etherARP:
		ip, mac, ok = claimedARP(frame)
	case etherIPv6:
		ip, mac, ok = claimedND(frame)
	}
	if !ok || ip.IsUnspecified() || ip.IsMulticast() {
		return netip.Addr{}, nil, false
	}
	return ip, bytes.Clone(mac), true
}

func claimedARP(frame []byte) (netip.Addr, net.HardwareAddr, bool) {
	if len(frame) < etherLen+arpLen || !bytes.HasPrefix(frame[etherLen:], arpHead) {
		return netip.Addr{}, nil, false
	}
	if op := binary.BigEndian.Uint16(frame[etherLen+len(arpHead):]); op != arpRequest && op != arpReply {
		return netip.Addr{}, nil, false
	}
	ip, ok := netip.AddrFromSlice(frame[arpSenderIP : arpSenderIP+4])
	return ip, frame[arpSender : arpSender+macLen], ok
}

func claimedND(frame []byte) (netip.Addr, net.HardwareAddr, bool) {
	none := netip.Addr{}
	if len(frame) < ndTarget+16 || frame[etherLen]>>4 != 6 || frame[ip6NextField] != protoICMPv6 || frame[ip6NextField+1] != ndHopLimit {
		return none, nil, false
	}
	length := int(binary.BigEndian.Uint16(frame[etherLen+4:]))
	if length > len(frame)-icmp6 {
		return none, nil, false
	}
	m, err := ndp.ParseMessage(frame[icmp6 : icmp6+length])
	if err != nil {
		return none, nil, false
	}
	switch m := m.(type) {
	case *ndp.NeighborAdvertisement:
		return m.TargetAddress, linkLayer(m.Options, ndp.Target, frame), true
	case *ndp.NeighborSolicitation:
		ip, ok := netip.AddrFromSlice(frame[ip6Source : ip6Source+16])
		return ip, linkLayer(m.Options, ndp.Source, frame), ok
	}
	return none, nil, false
}

// linkLayer is the link-layer address of a message: that of its option, or that of the frame.
func linkLayer(options []ndp.Option, d ndp.Direction, frame []byte) net.HardwareAddr {
	for _, o := range options {
		if l, ok := o.(*ndp.LinkLayerAddress); ok && l.Direction == d && len(l.Addr) == macLen {
			return l.Addr
		}
	}
	return frame[macLen : 2*macLen]
}

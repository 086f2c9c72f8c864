package proxyproto

import (
	"encoding/binary"
	"hash/crc32"
	"net/netip"
)

const (
	headLen2 = 16 // signature, version and command, family and protocol, length of the rest

	commandLocal = 0x0
	commandProxy = 0x1

	// Families are in the upper half of the byte, STREAM in the lower.
	familyUnspec, familyInet, familyInet6, familyUnix = 0x0, 0x1, 0x2, 0x3
	protocolUnspec, protocolStream, protocolDatagram  = 0x0, 0x1, 0x2
)

// The types of further fields that mean something here (section 2.2).
const (
	typeCRC32C = 0x03
	typeSSL    = 0x20
	clientSSL  = 0x01 // bit of typeSSL: the client spoke TLS
)

// addressLens are how many bytes the addresses of a family take.
var addressLens = [...]int{familyUnspec: 0, familyInet: 12, familyInet6: 36, familyUnix: 216}

// parse2 reads the binary form.
func parse2(b []byte) (Header, int, error) {
	if len(b) < headLen2 {
		return Header{}, 0, ErrShort
	}
	if b[12]>>4 != 2 {
		return Header{}, 0, &Error{"the version is not 2"}
	}
	n := headLen2 + int(binary.BigEndian.Uint16(b[14:]))
	if n > MaxLen {
		return Header{}, 0, &Error{"the header has more than 4096 bytes behind its length"}
	}
	h := Header{Version: 2}
	command, family, protocol := b[12]&0xf, int(b[13]>>4), b[13]&0xf
	switch {
	case command != commandLocal && command != commandProxy:
		return Header{}, 0, &Error{"the command is neither LOCAL nor PROXY"}
	case len(b) < n:
		return Header{}, 0, ErrShort
	case command == commandLocal: // whatever else it says does not count
		return h, n, nil
	case family >= len(addressLens) || protocol > protocolDatagram:
		return Header{}, 0, &Error{"the family or the protocol is unknown"}
	case (family == familyUnspec) != (protocol == protocolUnspec):
		return Header{}, 0, &Error{"the family and the protocol do not go together"}
	case protocol == protocolDatagram:
		return Header{}, 0, &Error{"the header is of a datagram"}
	case n-headLen2 < addressLens[family]:
		return Header{}, 0, &Error{"the header is too short for its addresses"}
	}
	block := b[headLen2:n]
	switch family {
	case familyInet:
		h.setEnds(netip.AddrFrom4([4]byte(block[:4])), netip.AddrFrom4([4]byte(block[4:8])), block[8:12])
	case familyInet6:
		h.setEnds(netip.AddrFrom16([16]byte(block[:16])), netip.AddrFrom16([16]byte(block[16:32])), block[32:36])
	}
	if family == familyUnspec {
		return h, n, nil // what may follow is of no agreed form
	}
	return h, n, h.parseMore(b[:n], headLen2+addressLens[family])
}

func (h *Header) setEnds(source, destination netip.Addr, ports []byte) {
	h.Source = netip.AddrPortFrom(source.Unmap(), binary.BigEndian.Uint16(ports))
	h.Destination = netip.AddrPortFrom(destination.Unmap(), binary.BigEndian.Uint16(ports[2:]))
}

// parseMore walks through the further fields, which begin at the given place of the whole header.
func (h *Header) parseMore(whole []byte, at int) error {
	summed := false
	for at < len(whole) {
		if len(whole)-at < 3 {
			return &Error{"a field behind the addresses is cut off"}
		}
		kind, n := whole[at], int(binary.BigEndian.Uint16(whole[at+1:]))
		at += 3
		if len(whole)-at < n {
			return &Error{"a field behind the addresses is longer than the header"}
		}
		switch kind {
		case typeCRC32C:
			if n != 4 || summed {
				return &Error{"the checksum is not one of four bytes"}
			}
			if summed = true; !sumIsRight(whole, at) {
				return &Error{"the checksum is wrong"}
			}
		case typeSSL:
			if n < 5 {
				return &Error{"the field about TLS is too short"}
			}
			h.TLS = whole[at]&clientSSL != 0
		}
		at += n
	}
	return nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sumIsRight reports whether the four bytes at the given place are the CRC-32C of the header with zeros in their place.
func sumIsRight(whole []byte, at int) bool {
	var zero [4]byte
	sum := crc32.Update(0, castagnoli, whole[:at])
	sum = crc32.Update(sum, castagnoli, zero[:])
	sum = crc32.Update(sum, castagnoli, whole[at+4:])
	return sum == binary.BigEndian.Uint32(whole[at:])
}

// append2 appends the binary form.
func (h *Header) append2(b []byte) []byte {
	b = append(b, signature2...)
	if !h.Named() || !h.Destination.IsValid() {
		return append(b, 2<<4|commandLocal, 0, 0, 0)
	}
	name, source, destination := h.family()
	family := byte(familyInet)
	if name == "TCP6" {
		family = familyInet6
	}
	b = append(b, 2<<4|commandProxy, family<<4|protocolStream)
	b = binary.BigEndian.AppendUint16(b, uint16(addressLens[family]))
	b = append(append(b, source.AsSlice()...), destination.AsSlice()...)
	b = binary.BigEndian.AppendUint16(b, h.Source.Port())
	return binary.BigEndian.AppendUint16(b, h.Destination.Port())
}

// Append appends the header in the form of its version. One that names no client says so: UNKNOWN, or LOCAL in version 2. TLS is not written.
func (h *Header) Append(b []byte) []byte {
	if h.Version == 1 {
		return h.append1(b)
	}
	return h.append2(b)
}

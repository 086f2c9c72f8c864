package proxyproto

import (
	"bytes"
	"net/netip"
	"strconv"
	"strings"
)

// maxLen1 is the longest line of version 1, with its end (section 2.1).
const maxLen1 = 107

// parse1 reads a line: PROXY, TCP4 or TCP6, the two addresses, the two ports, one space between each; or PROXY UNKNOWN and anything.
func parse1(b []byte) (Header, int, error) {
	line := b[:min(len(b), maxLen1)]
	end := bytes.IndexByte(line, '\n')
	if end < 0 {
		if len(b) >= maxLen1 {
			return Header{}, 0, &Error{"the line has no end within 107 bytes"}
		}
		return Header{}, 0, ErrShort
	}
	if end == 0 || line[end-1] != '\r' {
		return Header{}, 0, &Error{"the line does not end with CR LF"}
	}
	text := string(line[len(signature1) : end-1])
	if strings.IndexByte(text, '\r') >= 0 {
		return Header{}, 0, &Error{"a CR within the line"}
	}
	h := Header{Version: 1}
	if family, _, _ := strings.Cut(text, " "); family == "UNKNOWN" {
		return h, end + 1, nil
	}
	err := h.parseLine(text)
	return h, end + 1, err
}

// parseLine reads what stands behind PROXY.
func (h *Header) parseLine(text string) error {
	fields := strings.Split(text, " ")
	if len(fields) != 5 || fields[0] != "TCP4" && fields[0] != "TCP6" {
		return &Error{"the line is not as in PROXY TCP4 192.0.2.1 192.0.2.2 56324 443"}
	}
	var ends [2]netip.AddrPort
	for i := range ends {
		addr, err := netip.ParseAddr(fields[1+i])
		if err != nil || addr.Zone() != "" || addr.Is4() != (fields[0] == "TCP4") {
			return &Error{"an address is not one of the family " + fields[0]}
		}
		port, err := strconv.ParseUint(fields[3+i], 10, 16)
		if err != nil || strconv.FormatUint(port, 10) != fields[3+i] {
			return &Error{"a port is not a number from 0 to 65535"}
		}
		ends[i] = netip.AddrPortFrom(addr.Unmap(), uint16(port))
	}
	h.Source, h.Destination = ends[0], ends[1]
	return nil
}

// append1 appends the line.
func (h *Header) append1(b []byte) []byte {
	if !h.Named() || !h.Destination.IsValid() {
		return append(b, "PROXY UNKNOWN\r\n"...)
	}
	family, source, destination := h.family()
	b = append(append(append(b, "PROXY "...), family...), ' ')
	b = append(source.AppendTo(b), ' ')
	b = append(destination.AppendTo(b), ' ')
	b = append(strconv.AppendUint(b, uint64(h.Source.Port()), 10), ' ')
	return append(strconv.AppendUint(b, uint64(h.Destination.Port()), 10), "\r\n"...)
}

// family gives both addresses in one family: IPv4 if both are.
func (h *Header) family() (name string, source, destination netip.Addr) {
	source, destination = h.Source.Addr().Unmap().WithZone(""), h.Destination.Addr().Unmap().WithZone("")
	if source.Is4() && destination.Is4() {
		return "TCP4", source, destination
	}
	return "TCP6", netip.AddrFrom16(source.As16()), netip.AddrFrom16(destination.As16())
}

package dns

import (
	"net/netip"
	"time"

	wire "github.com/miekg/dns"
)

// udpSize is the longest message by UDP, either way: what no path cuts into fragments, which get lost and can be forged (DNS flag day 2020).
const udpSize = 1232

// extension is what the OPT record of a query says (RFC 6891).
type extension struct {
	there   bool
	size    int // the longest answer by UDP that the client takes
	version uint8
	secure  bool // DO: copied, nothing else (RFC 3225 3)
	cookie  cookie
}

// readExtension reads the OPT record; false when the query has a wrong one.
func (s *Server) readExtension(req *wire.Msg, from netip.Addr, now time.Time) (extension, bool) {
	x := extension{size: wire.MinMsgSize}
	for _, rr := range req.Extra {
		opt, ok := rr.(*wire.OPT)
		if !ok {
			continue
		}
		if x.there || opt.Hdr.Name != "." {
			return x, false
		}
		x.there, x.version, x.secure = true, opt.Version(), opt.Do()
		x.size = min(max(int(opt.UDPSize()), wire.MinMsgSize), udpSize)
		if x.version != 0 {
			continue // what its options mean is not known
		}
		for _, option := range opt.Option {
			c, ok := option.(*wire.EDNS0_COOKIE)
			if !ok {
				continue
			}
			if x.cookie, ok = s.cookies.read(c.Cookie, from, now); !ok {
				return x, false
			}
			break // only the first counts (RFC 7873 5.2)
		}
	}
	return x, true
}

// add puts the OPT record that answers x into m. why is an extended error (RFC 8914) or nil.
func (x extension) add(m *wire.Msg, why *wire.EDNS0_EDE) {
	if !x.there {
		return
	}
	opt := &wire.OPT{Hdr: wire.RR_Header{Name: ".", Rrtype: wire.TypeOPT}}
	opt.SetUDPSize(udpSize)
	if x.secure {
		opt.SetDo()
	}
	if x.cookie.answer != "" {
		opt.Option = append(opt.Option, &wire.EDNS0_COOKIE{Code: wire.EDNS0COOKIE, Cookie: x.cookie.answer})
	}
	if why != nil {
		opt.Option = append(opt.Option, why)
	}
	m.Extra = append(m.Extra, opt)
}

// fit has m take at most size bytes: first without the addresses that nobody asked for, which costs a client a question at most, then truncated. It says
// whether it is truncated.
func fit(m *wire.Msg, size int) bool {
	if m.Len() <= size {
		return false
	}
	opt := m.IsEdns0()
	m.Extra = nil
	if opt != nil {
		m.Extra = []wire.RR{opt}
	}
	if m.Len() <= size {
		return false
	}
	m.Truncate(size)
	m.Compress = true
	return m.Truncated
}

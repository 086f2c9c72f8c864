package dns

import (
	"fmt"
	"net/netip"
	"runtime/debug"
	"strings"

	wire "github.com/miekg/dns"
)

const headerSize = 12

// respond gives the answer to a message, appended to out; nil: nothing is to be said. out has no length, and is used when it is large enough.
func (s *Server) respond(out, packet []byte, from netip.Addr, t transport) (answer []byte) {
	// A panic here would end a node that carries traffic, for one packet to a side service. It is a bug all the same, and is told as one.
	defer func() {
		if r := recover(); r != nil {
			s.noise.fail("BUG: a DNS query made the server panic", "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
			s.metrics.queries[t][wire.RcodeServerFailure].Inc()
			answer = bareError(out, packet, wire.RcodeServerFailure)
		}
	}()
	if len(packet) < headerSize || packet[2]&0x80 != 0 { // too short, or an answer: answering answers would let two servers talk for ever
		s.metrics.ignored[t].Inc()
		return nil
	}
	now := s.options.Now()
	req, rcode := decode(packet)
	var x extension
	if rcode == wire.RcodeSuccess {
		var ok bool
		if x, ok = s.readExtension(req, from, now); !ok {
			rcode = wire.RcodeFormatError
		}
	}
	allowed := pass
	if t == udp && !x.cookie.proven {
		allowed = s.limit.judge(from, now)
	}
	if rcode != wire.RcodeSuccess {
		s.metrics.queries[t][rcode].Inc()
		if allowed != pass {
			s.metrics.dropped.Inc()
			return nil
		}
		return bareError(out, packet, rcode)
	}
	m := new(wire.Msg)
	m.SetReply(req)
	m.Compress = true
	switch allowed {
	case pass:
		x.add(m, s.fill(m, x.version))
		s.fit(m, x, t)
	case slip:
		m.Truncated = true
		x.add(m, nil)
		s.metrics.slipped.Inc()
	case drop:
		s.metrics.dropped.Inc()
		return nil
	}
	s.metrics.queries[t][m.Rcode].Inc()
	answer, err := m.PackBuffer(out[:cap(out)])
	if err != nil {
		panic("BUG: an answer that cannot be packed: " + err.Error())
	}
	return answer
}

// fit has m take no more than its transport lets through. By TCP that is what the length before a message can say.
func (s *Server) fit(m *wire.Msg, x extension, t transport) {
	switch {
	case t == tcp:
		fit(m, wire.MaxMsgSize)
	case fit(m, x.size):
		s.metrics.truncated.Inc()
	}
}

// decode reads a query. Another rcode than success is the answer.
func decode(packet []byte) (*wire.Msg, int) {
	if opcode := packet[2] >> 3 & 0xf; opcode != wire.OpcodeQuery {
		return nil, wire.RcodeNotImplemented
	}
	if packet[4] != 0 || packet[5] != 1 { // one question (RFC 9619)
		return nil, wire.RcodeFormatError
	}
	if !plainQuestion(packet) {
		return nil, wire.RcodeFormatError
	}
	req := new(wire.Msg)
	if err := req.Unpack(packet); err != nil || len(req.Question) != 1 {
		return nil, wire.RcodeFormatError
	}
	return req, wire.RcodeSuccess
}

// plainQuestion: the question is all there, and its name is written out. The library also takes one that ends early, or whose name is compressed, which it
// cannot be, being the first; answers to those would be longer than the question gives reason for.
func plainQuestion(packet []byte) bool {
	at := headerSize
	for at < len(packet) && packet[at] != 0 {
		if packet[at] > 63 {
			return false
		}
		at += 1 + int(packet[at])
	}
	return at+1+4 <= len(packet) && at+1-headerSize <= maxWireName
}

// bareError is an answer that is nothing but a header: what came could not be read far enough to say more.
func bareError(out, packet []byte, rcode int) []byte {
	var header [headerSize]byte
	copy(header[:2], packet)
	header[2] = 0x80 | packet[2]&0x79 // QR, the opcode and RD as they came
	header[3] = byte(rcode)
	return append(out[:0], header[:]...)
}

// fill answers the question of m in m, and gives an extended error where one helps.
func (s *Server) fill(m *wire.Msg, version uint8) *wire.EDNS0_EDE {
	q := m.Question[0]
	if version != 0 {
		m.Rcode = wire.RcodeBadVers
		return nil
	}
	switch q.Qtype {
	case wire.TypeOPT, wire.TypeTSIG, wire.TypeTKEY, wire.TypeNone: // records of messages, nothing that a zone has
		m.Rcode = wire.RcodeFormatError
		return nil
	case wire.TypeAXFR, wire.TypeIXFR:
		m.Rcode = wire.RcodeRefused
		return &wire.EDNS0_EDE{InfoCode: wire.ExtendedErrorCodeProhibited}
	case wire.TypeMAILA, wire.TypeMAILB:
		m.Rcode = wire.RcodeNotImplemented
		return nil
	}
	name := strings.ToLower(q.Name)
	if q.Qclass != wire.ClassINET || !inZone(name, s.options.Zone) {
		m.Rcode = wire.RcodeRefused
		return &wire.EDNS0_EDE{InfoCode: wire.ExtendedErrorCodeNotAuthoritative}
	}
	z := s.current()
	if len(z.view.Nodes) == 0 {
		m.Rcode = wire.RcodeServerFailure
		return &wire.EDNS0_EDE{InfoCode: wire.ExtendedErrorCodeNotReady}
	}
	m.Authoritative = true
	z.answer(m, name)
	return nil
}

// answer answers the question of m about name, which is its question's in lower case.
func (z *zone) answer(m *wire.Msg, name string) {
	e := z.names[name]
	var found *set
	switch {
	case e == nil:
		m.Rcode = wire.RcodeNameError
	case m.Question[0].Qtype != wire.TypeANY:
		found = e.find(m.Question[0].Qtype)
	case len(e.sets) > 0:
		found = &e.sets[0] // one RRset is enough for ANY (RFC 8482 4.1)
	}
	if found == nil {
		m.Ns = z.names[z.apex].find(wire.TypeSOA).rrs // says for how long that may be remembered (RFC 2308)
		return
	}
	m.Answer = rotate(found, m.Id)
	if m.Question[0].Name != name {
		m.Answer = renamed(m.Answer, m.Question[0].Name)
	}
	m.Extra = found.extra[:len(found.extra):len(found.extra)]
}

// rotate gives the records with those that come first in an order that the query's id decides: ids are random, so each comes first as often as any other, and
// still every node gives the same answer to the same query.
func rotate(s *set, id uint16) []wire.RR {
	if s.first < 2 {
		return s.rrs
	}
	by := int(id) % s.first
	rrs := make([]wire.RR, 0, len(s.rrs))
	rrs = append(append(rrs, s.rrs[by:s.first]...), s.rrs[:by]...)
	return append(rrs, s.rrs[s.first:]...)
}

// renamed gives copies whose owner is written as in the question: some clients compare (draft-vixie-dnsext-dns0x20).
func renamed(rrs []wire.RR, owner string) []wire.RR {
	copies := make([]wire.RR, len(rrs))
	for i, rr := range rrs {
		copies[i] = wire.Copy(rr)
		copies[i].Header().Name = owner
	}
	return copies
}

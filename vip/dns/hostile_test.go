package dns

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	wire "github.com/miekg/dns"
)

// exchange sends bytes by UDP and gives the answer; nil when none has come after wait.
func exchange(t *testing.T, s *Server, packet []byte, wait time.Duration) []byte {
	t.Helper()
	c, err := net.Dial("udp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write(packet); err != nil {
		t.Fatal(err)
	}
	if err := c.SetReadDeadline(time.Now().Add(wait)); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 65536)
	n, err := c.Read(answer)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	return answer[:n]
}

// with changes the bytes of a query.
func with(t *testing.T, q *wire.Msg, change func(p []byte) []byte) []byte {
	return change(packed(t, q))
}

func plain() *wire.Msg { return query(testZone, wire.TypeA) }

func withOPT(options ...wire.EDNS0) *wire.Msg {
	q := plain().SetEdns0(4096, false)
	q.IsEdns0().Option = options
	return q
}

// TestMalformed: each kind of bad message gets the answer that says so, with the id, the opcode and RD of the message and no more than a header.
func TestMalformed(t *testing.T) {
	s := serve(t, Options{})
	twoOPT := withOPT()
	twoOPT.Extra = append(twoOPT.Extra, twoOPT.Extra[0])
	ownedOPT := withOPT()
	ownedOPT.Extra[0].Header().Name = "x."
	for name, tc := range map[string]struct {
		packet []byte
		rcode  int // -1: no answer
	}{
		"nothing":            {nil, -1},
		"a byte":             {[]byte{1}, -1},
		"half a header":      {make([]byte, 11), -1},
		"an answer":          {with(t, plain(), func(p []byte) []byte { p[2] |= 0x80; return p }), -1},
		"no question":        {with(t, plain(), func(p []byte) []byte { p[5] = 0; return p[:12] }), wire.RcodeFormatError},
		"two questions":      {with(t, plain(), func(p []byte) []byte { p[5] = 2; return append(p, p[12:]...) }), wire.RcodeFormatError},
		"65,535 questions":   {with(t, plain(), func(p []byte) []byte { p[4], p[5] = 255, 255; return p }), wire.RcodeFormatError},
		"question missing":   {with(t, plain(), func(p []byte) []byte { return p[:12] }), wire.RcodeFormatError},
		"type missing":       {with(t, plain(), func(p []byte) []byte { return p[:len(p)-4] }), wire.RcodeFormatError},
		"class missing":      {with(t, plain(), func(p []byte) []byte { return p[:len(p)-2] }), wire.RcodeFormatError},
		"half a class":       {with(t, plain(), func(p []byte) []byte { return p[:len(p)-1] }), wire.RcodeFormatError},
		"name without end":   {with(t, plain(), func(p []byte) []byte { return p[:20] }), wire.RcodeFormatError},
		"name of itself":     {with(t, plain(), func(p []byte) []byte { return append(p[:12], 0xc0, 12, 0, 1, 0, 1) }), wire.RcodeFormatError},
		"name of the header": {with(t, plain(), func(p []byte) []byte { return append(p[:12], 0xc0, 0, 0, 1, 0, 1) }), wire.RcodeFormatError},
		"label type 01":      {with(t, plain(), func(p []byte) []byte { p[12] = 0x42; return p }), wire.RcodeFormatError},
		"name of 256 bytes": {with(t, plain(), func(p []byte) []byte {
			return append(append(p[:12], bytes.Repeat([]byte("\x01a"), 128)...), 0, 0, 1, 0, 1)
		}), wire.RcodeFormatError},
		"answer that is not":  {with(t, plain(), func(p []byte) []byte { p[7] = 1; return append(p, 0xc0) }), wire.RcodeFormatError},
		"notify":              {with(t, plain(), func(p []byte) []byte { p[2] |= wire.OpcodeNotify << 3; return p }), wire.RcodeNotImplemented},
		"update":              {with(t, plain(), func(p []byte) []byte { p[2] |= wire.OpcodeUpdate << 3; return p }), wire.RcodeNotImplemented},
		"opcode 15":           {with(t, plain(), func(p []byte) []byte { p[2] |= 15 << 3; return p }), wire.RcodeNotImplemented},
		"two OPT":             {packed(t, twoOPT), wire.RcodeFormatError},
		"OPT with an owner":   {packed(t, ownedOPT), wire.RcodeFormatError},
		"OPT cut off":         {with(t, withOPT(), func(p []byte) []byte { return p[:len(p)-3] }), wire.RcodeFormatError},
		"OPT of wrong length": {with(t, withOPT(), func(p []byte) []byte { p[len(p)-1] = 9; return p }), wire.RcodeFormatError},
		"cookie of 7 bytes":   {packed(t, withOPT(&wire.EDNS0_COOKIE{Code: wire.EDNS0COOKIE, Cookie: "01020304050607"})), wire.RcodeFormatError},
		"cookie of 12 bytes":  {packed(t, withOPT(&wire.EDNS0_COOKIE{Code: wire.EDNS0COOKIE, Cookie: strings.Repeat("ab", 12)})), wire.RcodeFormatError},
		"cookie of 41 bytes":  {packed(t, withOPT(&wire.EDNS0_COOKIE{Code: wire.EDNS0COOKIE, Cookie: strings.Repeat("ab", 41)})), wire.RcodeFormatError},
		"longer than we take": {append(packed(t, plain().SetEdns0(4096, false)), make([]byte, 3000)...), wire.RcodeSuccess},
	} {
		t.Run(name, func(t *testing.T) {
			if tc.rcode < 0 {
				if a := direct(t, s, tc.packet, udp); a != nil {
					t.Errorf("answered with %x", a)
				}
				return
			}
			a := exchange(t, s, tc.packet, 5*time.Second)
			if len(a) < headerSize {
				t.Fatalf("answer %x", a)
			}
			if int(a[3]&15) != tc.rcode || !bytes.Equal(a[:2], tc.packet[:2]) || a[2]&0xf9 != tc.packet[2]&0x79|0x80 {
				t.Errorf("header % x for % x, rcode %d instead of %d", a[:4], tc.packet[:4], a[3]&15, tc.rcode)
			}
			if tc.rcode != wire.RcodeSuccess && len(a) != headerSize {
				t.Errorf("%d bytes", len(a))
			}
		})
	}
	if a := ask(t, s, "udp", plain()); len(a.Answer) != 2 {
		t.Errorf("afterwards: %s", a)
	}
}

// TestRandomPacketsDoNoHarm: 10,000 random packets and 10,000 queries with random damage by UDP, and a thousand of each by TCP; the server answers as before,
// and what it answers to them is well formed.
func TestRandomPacketsDoNoHarm(t *testing.T) {
	s := serve(t, Options{RateLimit: -1})
	r := rand.New(rand.NewPCG(1, 2))
	random := func() []byte {
		p := make([]byte, r.IntN(600))
		for i := range p {
			p[i] = byte(r.Uint32())
		}
		return p
	}
	damaged := func() []byte {
		q := query([]string{testZone, "n1." + testZone, "_http._tcp." + testZone}[r.IntN(3)], uint16(r.IntN(300)))
		q.SetEdns0(uint16(r.Uint32()), r.IntN(2) == 0)
		p := packed(t, q)
		for range 1 + r.IntN(4) {
			p[r.IntN(len(p))] = byte(r.Uint32())
		}
		return p[:len(p)-r.IntN(3)]
	}
	c, err := net.Dial("udp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	answers := 0
	for i := range 20_000 {
		packet := random()
		if i%2 == 1 {
			packet = damaged()
		}
		if i%1000 == 0 {
			// A packet may be lost when the socket's buffer is full of those before it, as anywhere; a client asks again.
			var a []byte
			for try := 0; a == nil && try < 20; try++ {
				a = exchange(t, s, packed(t, plain()), 500*time.Millisecond)
			}
			if len(a) < headerSize || a[7] != 2 {
				t.Fatalf("after %d packets: %x", i, a)
			}
		}
		if _, err := c.Write(packet); err != nil {
			t.Fatal(err)
		}
		if a := direct(t, s, packet, udp); a != nil {
			answers++
			if err := new(wire.Msg).Unpack(a); err != nil {
				t.Fatalf("answer %x to %x: %v", a, packet, err)
			}
		}
	}
	if answers < 5000 {
		t.Errorf("only %d answers: the packets are no test", answers)
	}
	for i := range 2000 {
		packet := random()
		if i%2 == 1 {
			packet = damaged()
		}
		conn, err := net.Dial("tcp", s.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(packet))), packet...))
		_, _ = conn.Write(packet)
		_ = conn.Close()
	}
	if a := ask(t, s, "udp", plain()); len(a.Answer) != 2 {
		t.Errorf("afterwards: %s", a)
	}
	// As long as the server has not noticed that those have gone, one more from the same network may be too many: a client comes again.
	tcp := wire.Client{Net: "tcp", Timeout: 5 * time.Second}
	a, _, err := tcp.Exchange(plain(), s.Addr().String())
	for late := time.Now().Add(idleTime / 2); err != nil && time.Now().Before(late); {
		a, _, err = tcp.Exchange(plain(), s.Addr().String())
	}
	if err != nil || len(a.Answer) != 2 {
		t.Errorf("afterwards: %v %s", err, a)
	}
}

// TestPanicEndsAQueryAlone: a fault of the view is told, and costs that query an answer; the server goes on.
func TestPanicEndsAQueryAlone(t *testing.T) {
	var broken bool
	var log strings.Builder
	s := newServer(t, Options{Logger: textLogger(&log), View: func() View {
		if broken {
			panic("broken view")
		}
		return threeNodes()
	}})
	broken = true
	a := direct(t, s, packed(t, plain()), tcp)
	if len(a) != headerSize || a[3] != wire.RcodeServerFailure {
		t.Errorf("answer %x", a)
	}
	if !strings.Contains(log.String(), "BUG: ") || !strings.Contains(log.String(), "broken view") {
		t.Errorf("log: %s", log.String())
	}
	broken = false
	var m wire.Msg
	if err := m.Unpack(direct(t, s, packed(t, plain()), tcp)); err != nil || len(m.Answer) != 2 {
		t.Errorf("afterwards: %v %s", err, &m)
	}
}

// FuzzRespond: whatever comes, there is no panic, and an answer is well formed, belongs to the query and has the size that the client takes.
func FuzzRespond(f *testing.F) {
	s := newServer(f, Options{RateLimit: -1})
	for _, q := range []*wire.Msg{
		plain(), query("_http._tcp."+testZone, wire.TypeSRV), query("x."+testZone, wire.TypeANY), query(".", wire.TypeNS), withOPT(),
		withOPT(&wire.EDNS0_COOKIE{Code: wire.EDNS0COOKIE, Cookie: "0102030405060708"}, &wire.EDNS0_LOCAL{Code: 65001, Data: []byte{1}}),
		new(wire.Msg).SetAxfr(testZone), new(wire.Msg).SetIxfr(testZone, 1, "a.", "b."), new(wire.Msg).SetNotify(testZone), new(wire.Msg).SetUpdate(testZone),
	} {
		f.Add(packed(f, q), false)
		f.Add(packed(f, q), true)
	}
	f.Fuzz(func(t *testing.T, packet []byte, byTCP bool) {
		tr := udp
		if byTCP {
			tr = tcp
		}
		a := s.respond(make([]byte, 0, 4*udpSize), packet, netip.MustParseAddr("2001:db8::7"), tr)
		if a == nil {
			if len(packet) >= headerSize && packet[2]&0x80 == 0 {
				t.Fatalf("a query without an answer: %x", packet)
			}
			return
		}
		var m wire.Msg
		if err := m.Unpack(a); err != nil {
			t.Fatalf("%x: %v", a, err)
		}
		if !m.Response || !bytes.Equal(a[:2], packet[:2]) || m.RecursionAvailable {
			t.Fatalf("%s", &m)
		}
		if tr == udp && len(a) > udpSize || tr == udp && m.IsEdns0() == nil && len(a) > wire.MinMsgSize {
			t.Fatalf("%d bytes", len(a))
		}
		if m.Rcode == wire.RcodeServerFailure || m.Authoritative && m.Rcode != wire.RcodeNameError && m.Rcode != wire.RcodeSuccess {
			t.Fatalf("%s", &m)
		}
		if len(m.Question) == 1 && !bytes.HasPrefix(packet[headerSize:], a[headerSize:headerSize+wireLen(m.Question[0].Name)+4]) {
			t.Fatalf("another question: %x for %x", a, packet)
		}
	})
}

// wireLen is the length of a name as it is sent.
func wireLen(name string) int {
	b := make([]byte, maxWireName+1)
	n, err := wire.PackDomainName(name, b, 0, nil, false)
	if err != nil {
		return 0
	}
	return n
}

// TestTCPJunk: what is no query ends the connection.
func TestTCPJunk(t *testing.T) {
	s := serve(t, Options{})
	for name, bytes := range map[string][]byte{
		"an HTTP request": []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
		"a length of 0":   {0, 0},
		"too long":        append([]byte{0x20, 0}, make([]byte, 0x2000)...),
		"an answer":       append([]byte{0, 12, 1, 2, 0x80}, make([]byte, 9)...),
	} {
		c, err := net.Dial("tcp", s.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = c.Write(bytes)
		_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
		if got, err := io.ReadAll(c); len(got) != 0 || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: read %x, %v", name, got, err)
		}
		_ = c.Close()
	}
}

package dns

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	wire "github.com/miekg/dns"
)

// TestEDNS: what the OPT record of the answer says, or that there is none.
func TestEDNS(t *testing.T) {
	s := serve(t, Options{})
	if a := ask(t, s, "udp", plain()); a.IsEdns0() != nil {
		t.Errorf("OPT to a query without: %s", a)
	}
	a := ask(t, s, "udp", plain().SetEdns0(4096, true))
	if opt := a.IsEdns0(); opt == nil || opt.UDPSize() != udpSize || opt.Version() != 0 || !opt.Do() || opt.Z() != 0 || len(opt.Option) != 0 {
		t.Errorf("OPT: %s", a)
	}
	unknown := withOPT(&wire.EDNS0_LOCAL{Code: 65001, Data: []byte("x")}, &wire.EDNS0_NSID{Code: wire.EDNS0NSID}, &wire.EDNS0_PADDING{Padding: make([]byte, 9)})
	if a := ask(t, s, "udp", unknown); a.Rcode != wire.RcodeSuccess || len(a.Answer) != 2 || len(a.IsEdns0().Option) != 0 {
		t.Errorf("unknown options: %s", a)
	}
	later := plain().SetEdns0(4096, false)
	later.IsEdns0().SetVersion(1)
	if a := ask(t, s, "udp", later); a.Rcode != wire.RcodeBadVers || a.IsEdns0().Version() != 0 || len(a.Answer) != 0 {
		t.Errorf("version 1: %s", a)
	}
	foreign := query("example.org.", wire.TypeA).SetEdns0(4096, false)
	a = ask(t, s, "udp", foreign)
	if ede, ok := a.IsEdns0().Option[0].(*wire.EDNS0_EDE); !ok || ede.InfoCode != wire.ExtendedErrorCodeNotAuthoritative {
		t.Errorf("out of the zone: %s", a)
	}
}

// manyNodes has n live nodes with long names.
func manyNodes(n int) View {
	v := View{Serial: 1, Services: []Service{{Name: "web", Port: 80}}}
	for i := range n {
		v.Nodes = append(v.Nodes, Node{
			Name: fmt.Sprintf("node%02d-%s", i, strings.Repeat("x", 40)), Live: true,
			Addrs: []netip.Addr{netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), netip.MustParseAddr(fmt.Sprintf("2001:db8::%x", i+1))},
		})
	}
	return v
}

// TestTruncation: glue goes first and without a sign, then records with TC; by TCP all of it comes. The size is the client's, at least 512 and at most 1232.
func TestTruncation(t *testing.T) {
	s := serve(t, Options{View: groupOf(manyNodes(7)).view})
	srv := "_web._tcp." + testZone
	for _, tc := range []struct {
		name           string
		kind           uint16
		size           uint16 // of EDNS; 0: none
		limit          int
		records, extra int // -1: some
		truncated      bool
	}{
		{testZone, wire.TypeA, 0, 512, 7, 0, false},
		{srv, wire.TypeSRV, 0, 512, -1, 0, true},
		{srv, wire.TypeSRV, 100, 512, -1, 0, true}, // less than 512 is 512
		{srv, wire.TypeSRV, 700, 700, 7, 0, false},
		{srv, wire.TypeSRV, 1232, 1232, 7, 14, false},
		{srv, wire.TypeSRV, 65535, 1232, 7, 14, false},
	} {
		q := query(tc.name, tc.kind)
		if tc.size > 0 {
			q.SetEdns0(tc.size, false)
		}
		var a wire.Msg
		raw := direct(t, s, packed(t, q), udp)
		if err := a.Unpack(raw); err != nil {
			t.Fatal(err)
		}
		extra := len(a.Extra)
		if tc.size > 0 {
			extra--
		}
		if len(raw) > tc.limit || a.Truncated != tc.truncated || extra != tc.extra || tc.records >= 0 && len(a.Answer) != tc.records || len(a.Answer) == 0 {
			t.Errorf("%s, EDNS %d: %d bytes, TC %v, %d records, %d extra", tc.name, tc.size, len(raw), a.Truncated, len(a.Answer), extra)
		}
		if (a.IsEdns0() != nil) != (tc.size > 0) {
			t.Errorf("%s, EDNS %d: OPT: %s", tc.name, tc.size, &a)
		}
		if b := ask(t, s, "tcp", q); b.Truncated || len(b.Answer) != 7 {
			t.Errorf("%s by TCP: %s", tc.name, b)
		}
	}
	if n := count(s.metrics.truncated); n != 2 {
		t.Errorf("%v truncated answers counted", n)
	}
}

// TestCookies: a client gets a cookie, and it proves the address for an hour, on this server, for this address and client alone.
func TestCookies(t *testing.T) {
	c, other := newCookies(), newCookies()
	now := time.Unix(1_800_000_000, 0)
	from, elsewhere := netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("192.0.2.8")
	first, ok := c.read("0102030405060708", from, now)
	if !ok || first.proven || len(first.answer) != 2*(clientCookie+serverCookie) || !strings.HasPrefix(first.answer, "010203040506070801000000") {
		t.Fatalf("%+v, %v", first, ok)
	}
	for name, tc := range map[string]struct {
		cookies *cookies
		digits  string
		from    netip.Addr
		at      time.Time
		proven  bool
	}{
		"as given":           {c, first.answer, from, now, true},
		"an hour later":      {c, first.answer, from, now.Add(time.Hour), true},
		"more than an hour":  {c, first.answer, from, now.Add(time.Hour + time.Second), false},
		"from five minutes":  {c, first.answer, from, now.Add(-5 * time.Minute), true},
		"from the future":    {c, first.answer, from, now.Add(-6 * time.Minute), false},
		"another address":    {c, first.answer, elsewhere, now, false},
		"another client":     {c, "1" + first.answer[1:], from, now, false},
		"another server":     {other, first.answer, from, now, false},
		"another version":    {c, first.answer[:16] + "02" + first.answer[18:], from, now, false},
		"another time":       {c, first.answer[:24] + "00000000" + first.answer[32:], from, now, false},
		"another hash":       {c, first.answer[:47] + string("0123456789abcdef"[(first.answer[47]+1)%16]), from, now, strings.HasSuffix(first.answer, string("0123456789abcdef"[(first.answer[47]+1)%16]))},
		"a longer one":       {c, first.answer + "00", from, now, false},
		"a shorter one":      {c, first.answer[:46], from, now, false},
		"of the client only": {c, first.answer[:16], from, now, false},
	} {
		got, ok := tc.cookies.read(tc.digits, tc.from, tc.at)
		if !ok || got.proven != tc.proven {
			t.Errorf("%s: %+v, %v", name, got, ok)
		}
		if ok && !strings.HasPrefix(got.answer, tc.digits[:16]) {
			t.Errorf("%s: the client's cookie comes back as %s", name, got.answer)
		}
	}
	s := serve(t, Options{})
	a := ask(t, s, "udp", withOPT(&wire.EDNS0_COOKIE{Code: wire.EDNS0COOKIE, Cookie: "0102030405060708"}))
	if got, ok := a.IsEdns0().Option[0].(*wire.EDNS0_COOKIE); !ok || len(got.Cookie) != 48 {
		t.Errorf("%s", a)
	}
}

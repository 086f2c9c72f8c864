package dns

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	wire "github.com/miekg/dns"
)

// texts gives records as text with single spaces, sorted: the order is another test's.
func texts(rrs []wire.RR) string {
	var all []string
	for _, rr := range rrs {
		if rr.Header().Rrtype != wire.TypeOPT {
			all = append(all, strings.Join(strings.Fields(rr.String()), " "))
		}
	}
	slices.Sort(all)
	return strings.Join(all, "\n")
}

func lines(s ...string) string { return strings.Join(s, "\n") }

const soaText = "lb.example.com. 2 IN SOA n1.lb.example.com. hostmaster.lb.example.com. 4711 3600 600 86400 2"

// Glue of the three nodes.
const (
	n1v4 = "n1.lb.example.com. 2 IN A 192.0.2.1"
	n1v6 = "n1.lb.example.com. 2 IN AAAA 2001:db8::1"
	n2v4 = "n2.lb.example.com. 2 IN A 192.0.2.2"
	n2v6 = "n2.lb.example.com. 2 IN AAAA 2001:db8::2"
	n3v4 = "n3.lb.example.com. 2 IN A 192.0.2.3"
	n3v6 = "n3.lb.example.com. 2 IN AAAA 2001:db8::3"
)

// TestAnswers: each name and type, by UDP and TCP through a client of another make than the server's sockets.
func TestAnswers(t *testing.T) {
	s := serve(t, Options{RateLimit: -1})
	for _, tc := range []struct {
		name               string
		kind               uint16
		rcode              int
		answer, ns, glue   string
		notAuthoritative   bool
		class, answerCount int
	}{
		{name: testZone, kind: wire.TypeA, answer: lines("lb.example.com. 2 IN A 192.0.2.1", "lb.example.com. 2 IN A 192.0.2.2")},
		{name: testZone, kind: wire.TypeAAAA, answer: lines("lb.example.com. 2 IN AAAA 2001:db8::1", "lb.example.com. 2 IN AAAA 2001:db8::2")},
		{name: testZone, kind: wire.TypeSOA, answer: soaText},
		{name: testZone, kind: wire.TypeNS, answer: lines("lb.example.com. 2 IN NS n1.lb.example.com.", "lb.example.com. 2 IN NS n2.lb.example.com.", "lb.example.com. 2 IN NS n3.lb.example.com."),
			glue: lines(n1v4, n1v6, n2v4, n2v6, n3v4, n3v6)},
		{name: testZone, kind: wire.TypeANY, answer: lines("lb.example.com. 2 IN A 192.0.2.1", "lb.example.com. 2 IN A 192.0.2.2")},
		{name: testZone, kind: wire.TypeMX, ns: soaText},
		{name: testZone, kind: wire.TypeDS, ns: soaText},
		{name: testZone, kind: wire.TypeDNSKEY, ns: soaText},
		{name: testZone, kind: 65280, ns: soaText},
		{name: "n1.lb.example.com.", kind: wire.TypeA, answer: n1v4},
		{name: "n3.lb.example.com.", kind: wire.TypeA, answer: n3v4}, // not live: it still is that machine's name
		{name: "n3.lb.example.com.", kind: wire.TypeTXT, ns: soaText},
		{name: "vip.lb.example.com.", kind: wire.TypeA, answer: "vip.lb.example.com. 2 IN A 192.0.2.100"},
		{name: "vip.lb.example.com.", kind: wire.TypeAAAA, answer: "vip.lb.example.com. 2 IN AAAA 2001:db8::100"},
		{name: "_web._tcp.lb.example.com.", kind: wire.TypeSRV, glue: lines(n1v4, n1v6, n2v4, n2v6),
			answer: lines("_web._tcp.lb.example.com. 2 IN SRV 0 1 8080 n1.lb.example.com.", "_web._tcp.lb.example.com. 2 IN SRV 0 1 8080 n2.lb.example.com.")},
		{name: "_http._tcp.lb.example.com.", kind: wire.TypeSRV, glue: lines(n1v4, n1v6, n2v4, n2v6),
			answer: lines("_http._tcp.lb.example.com. 2 IN SRV 0 1 8080 n1.lb.example.com.", "_http._tcp.lb.example.com. 2 IN SRV 0 1 8080 n2.lb.example.com.",
				"_http._tcp.lb.example.com. 2 IN SRV 0 1 8081 n2.lb.example.com.")},
		{name: "_intern._tcp.lb.example.com.", kind: wire.TypeSRV, answer: "_intern._tcp.lb.example.com. 2 IN SRV 0 1 8081 n2.lb.example.com.", glue: lines(n2v4, n2v6)},
		{name: "_agents._tcp.lb.example.com.", kind: wire.TypeSRV, answer: "_agents._tcp.lb.example.com. 2 IN SRV 0 1 7919 n3.lb.example.com.", glue: lines(n3v4, n3v6)}, // none is live: all
		{name: "_web._tcp.lb.example.com.", kind: wire.TypeA, ns: soaText},
		{name: "_tcp.lb.example.com.", kind: wire.TypeSRV, ns: soaText}, // an empty non-terminal exists
		{name: "_tcp.lb.example.com.", kind: wire.TypeANY, ns: soaText},
		{name: "_udp.lb.example.com.", kind: wire.TypeSRV, rcode: wire.RcodeNameError, ns: soaText},
		{name: "nobody.lb.example.com.", kind: wire.TypeA, rcode: wire.RcodeNameError, ns: soaText},
		{name: "a.n1.lb.example.com.", kind: wire.TypeA, rcode: wire.RcodeNameError, ns: soaText},
		{name: `n1\.lb.example.com.`, kind: wire.TypeA, rcode: wire.RcodeRefused, notAuthoritative: true}, // a label with a dot in it
		{name: `\000.lb.example.com.`, kind: wire.TypeA, rcode: wire.RcodeNameError, ns: soaText},
		{name: "example.com.", kind: wire.TypeA, rcode: wire.RcodeRefused, notAuthoritative: true},
		{name: "xlb.example.com.", kind: wire.TypeA, rcode: wire.RcodeRefused, notAuthoritative: true},
		{name: ".", kind: wire.TypeNS, rcode: wire.RcodeRefused, notAuthoritative: true},
		{name: "version.bind.", kind: wire.TypeTXT, class: wire.ClassCHAOS, rcode: wire.RcodeRefused, notAuthoritative: true},
		{name: testZone, kind: wire.TypeA, class: wire.ClassCHAOS, rcode: wire.RcodeRefused, notAuthoritative: true},
		{name: testZone, kind: wire.TypeA, class: wire.ClassANY, rcode: wire.RcodeRefused, notAuthoritative: true},
		{name: testZone, kind: wire.TypeAXFR, rcode: wire.RcodeRefused, notAuthoritative: true},
		{name: testZone, kind: wire.TypeIXFR, rcode: wire.RcodeRefused, notAuthoritative: true},
		{name: testZone, kind: wire.TypeMAILB, rcode: wire.RcodeNotImplemented, notAuthoritative: true},
		{name: testZone, kind: wire.TypeOPT, rcode: wire.RcodeFormatError, notAuthoritative: true},
		{name: testZone, kind: wire.TypeTKEY, rcode: wire.RcodeFormatError, notAuthoritative: true},
	} {
		for _, network := range []string{"udp", "tcp"} {
			q := query(tc.name, tc.kind)
			q.SetEdns0(1232, false)
			if tc.class != 0 {
				q.Question[0].Qclass = uint16(tc.class)
			}
			a := ask(t, s, network, q)
			what := network + " " + wire.TypeToString[tc.kind] + " " + tc.name
			if a.Rcode != tc.rcode || texts(a.Answer) != tc.answer || texts(a.Ns) != tc.ns || texts(a.Extra) != tc.glue {
				t.Errorf("%s: not what it should be:\n%s", what, a)
			}
			if a.Authoritative == tc.notAuthoritative || a.RecursionAvailable || a.Truncated || a.Zero || a.AuthenticatedData || !a.RecursionDesired {
				t.Errorf("%s: flags:\n%s", what, a)
			}
		}
	}
}

// TestOrderIsRotatedByQuery: each node comes first as often as any other, and always in the same answer to the same query.
func TestOrderIsRotatedByQuery(t *testing.T) {
	v := threeNodes()
	v.Nodes[2].Live = true
	s := serve(t, Options{View: groupOf(v).view})
	for _, kind := range []uint16{wire.TypeA, wire.TypeAAAA, wire.TypeNS} {
		first := map[string]int{}
		for id := range 3000 {
			q := query(testZone, kind)
			q.Id = uint16(id)
			var a wire.Msg
			if err := a.Unpack(direct(t, s, packed(t, q), tcp)); err != nil {
				t.Fatal(err)
			}
			if len(a.Answer) != 3 {
				t.Fatalf("%d records", len(a.Answer))
			}
			first[a.Answer[0].String()]++
		}
		for rr, n := range first {
			if n != 1000 {
				t.Errorf("%s came first %d times of 3000", rr, n)
			}
		}
	}
}

// TestLiveNameServersComeFirst: a resolver takes the first ones; a node that is down is last whatever the rotation.
func TestLiveNameServersComeFirst(t *testing.T) {
	s := serve(t, Options{})
	for id := range 10 {
		q := query(testZone, wire.TypeNS)
		q.Id = uint16(id)
		var a wire.Msg
		if err := a.Unpack(direct(t, s, packed(t, q), tcp)); err != nil {
			t.Fatal(err)
		}
		if got := a.Answer[2].(*wire.NS).Ns; got != "n3.lb.example.com." {
			t.Errorf("id %d: %s is last", id, got)
		}
	}
}

// TestCaseIsKept: names are compared without case; question and owners come back as they were asked (0x20).
func TestCaseIsKept(t *testing.T) {
	s := serve(t, Options{})
	const odd = "_wEb._TcP.lB.ExAmPlE.CoM."
	a := ask(t, s, "udp", query(odd, wire.TypeSRV))
	if a.Question[0].Name != odd || len(a.Answer) != 2 {
		t.Fatalf("%s", a)
	}
	for _, rr := range a.Answer {
		if rr.Header().Name != odd {
			t.Errorf("owner %s", rr.Header().Name)
		}
	}
	if b := ask(t, s, "udp", query(testZone, wire.TypeA)); b.Answer[0].Header().Name != testZone {
		t.Errorf("an answer changed the records: %s", b.Answer[0])
	}
}

// TestSameAnswerOnAllNodes: two servers with the same view, listed in another order, give the same bytes for the same query.
func TestSameAnswerOnAllNodes(t *testing.T) {
	v, w := threeNodes(), threeNodes()
	slices.Reverse(w.Nodes)
	slices.Reverse(w.Services)
	slices.Reverse(w.Virtual)
	for i := range w.Nodes {
		slices.Reverse(w.Nodes[i].Addrs)
	}
	one, other := serve(t, Options{View: groupOf(v).view}), serve(t, Options{View: groupOf(w).view})
	for _, name := range []string{testZone, "n1." + testZone, "_http._tcp." + testZone, "vip." + testZone, "x." + testZone, "example."} {
		for _, kind := range []uint16{wire.TypeA, wire.TypeAAAA, wire.TypeNS, wire.TypeSOA, wire.TypeSRV, wire.TypeANY} {
			q := packed(t, query(name, kind))
			if a, b := direct(t, one, q, tcp), direct(t, other, q, tcp); a == nil || !bytes.Equal(a, b) {
				t.Errorf("%s %s: %x, %x", wire.TypeToString[kind], name, a, b)
			}
		}
	}
}

// TestFollowsTheView: the next query sees a change, also one that has the same serial.
func TestFollowsTheView(t *testing.T) {
	g := groupOf(threeNodes())
	s := serve(t, Options{View: g.view})
	count := func() int { return len(ask(t, s, "udp", query(testZone, wire.TypeA)).Answer) }
	if n := count(); n != 2 {
		t.Fatalf("%d live at first", n)
	}
	back := threeNodes()
	back.Nodes[2].Live = true
	g.Store(&back)
	if n := count(); n != 3 {
		t.Errorf("%d when one came back", n)
	}
	for i := range back.Nodes {
		dead := back.clone()
		dead.Nodes[i].Live = false
		g.Store(&dead)
		if n := count(); n != 2 {
			t.Errorf("%d when node %d died", n, i)
		}
	}
}

// TestNoLiveNode: all addresses rather than none.
func TestNoLiveNode(t *testing.T) {
	v := threeNodes()
	for i := range v.Nodes {
		v.Nodes[i].Live = false
	}
	s := serve(t, Options{View: groupOf(v).view})
	if a := ask(t, s, "udp", query(testZone, wire.TypeA)); len(a.Answer) != 3 {
		t.Errorf("%s", a)
	}
	if a := ask(t, s, "tcp", query("_web._tcp."+testZone, wire.TypeSRV)); len(a.Answer) != 3 {
		t.Errorf("%s", a)
	}
}

// TestNothingKnownYet: SERVFAIL, which sends a resolver to the next node, and is no authority over anything.
func TestNothingKnownYet(t *testing.T) {
	s := serve(t, Options{View: func() View { return View{} }})
	q := query(testZone, wire.TypeA)
	q.SetEdns0(1232, false)
	a := ask(t, s, "udp", q)
	if a.Rcode != wire.RcodeServerFailure || a.Authoritative || len(a.Answer)+len(a.Ns) != 0 {
		t.Errorf("%s", a)
	}
	if ede, ok := a.IsEdns0().Option[0].(*wire.EDNS0_EDE); !ok || ede.InfoCode != wire.ExtendedErrorCodeNotReady {
		t.Errorf("extended error: %s", a)
	}
}

// TestNoVirtualAddress: the name is not there at all.
func TestNoVirtualAddress(t *testing.T) {
	v := threeNodes()
	v.Virtual = nil
	s := serve(t, Options{View: groupOf(v).view})
	if a := ask(t, s, "udp", query("vip."+testZone, wire.TypeA)); a.Rcode != wire.RcodeNameError || len(a.Ns) != 1 {
		t.Errorf("%s", a)
	}
}

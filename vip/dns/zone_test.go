package dns

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	wire "github.com/miekg/dns"
)

func TestParseZone(t *testing.T) {
	for in, want := range map[string]string{
		"lb.example.com":  "lb.example.com.",
		"LB.Example.COM.": "lb.example.com.",
		"intern":          "intern.",
		"xn--bcher-kva.1": "xn--bcher-kva.1.",
		strings.Repeat(strings.Repeat("a", 41)+".", 3): strings.Repeat(strings.Repeat("a", 41)+".", 3),
	} {
		if got, err := ParseZone(in); err != nil || got != want {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
	for in, why := range map[string]string{
		"": "below the root", ".": "below the root", "a..b": `""`, ".a": `""`, "a..": `""`, "-a.b": `"-a"`, "a-.b": `"a-"`, "a_b.c": `"a_b"`, "a b": `"a b"`, "*.a": `"*"`, `a\.b`: `"a\\"`,
		"bücher.example": "xn--", "a/b": `"a/b"`, "a:53": `"a:53"`, strings.Repeat("a", 64) + ".b": "63 letters", strings.Repeat("a.", 64): "so that the names of nodes fit",
		"\x00": "label", strings.Repeat("x", 100_000): "100000 bytes",
	} {
		if got, err := ParseZone(in); err == nil || !strings.Contains(err.Error(), why) || len(err.Error()) > 500 {
			t.Errorf("%q: %q, %v", clip(in), got, err)
		}
	}
}

// TestNamesOfNodes: every name that a node may have in a group becomes a host name below the zone, or is left out and told about; two never share one.
func TestNamesOfNodes(t *testing.T) {
	long := strings.Repeat("n", 63)
	v := View{Serial: 1, Services: []Service{{Name: "web", Port: 80}}}
	for i, name := range []string{"n1", "N1", "web_1", "web-1", "web1.example.net", "a..b", "a-", "x.", "vip", "x.vip", long, "_tcp", "", "ü", "both_1.b", "both-1_b"} {
		v.Nodes = append(v.Nodes, Node{Name: name, Live: true, Addrs: []netip.Addr{netip.AddrFrom4([4]byte{192, 0, 2, byte(i)})}})
	}
	z := compile(v, testZone, defaultTTL)
	want := map[string]string{
		"n1": "192.0.2.0", "web-1": "192.0.2.3", "web1.example.net": "192.0.2.4", "x.vip": "192.0.2.9", long: "192.0.2.10", "both-1.b": "192.0.2.14", "both-1-b": "192.0.2.15",
	}
	for name, ip := range want {
		e := z.names[name+"."+testZone]
		if e == nil || len(e.sets) != 1 || len(e.sets[0].rrs) != 1 || e.sets[0].rrs[0].(*wire.A).A.String() != ip {
			t.Errorf("%s: %+v", name, e)
		}
	}
	if n := len(z.names[testZone].find(wire.TypeNS).rrs); n != len(want) {
		t.Errorf("%d name servers", n)
	}
	if n := len(z.names[testZone].find(wire.TypeA).rrs); n != len(v.Nodes) {
		t.Errorf("%d addresses at the apex: a node without a name still serves", n)
	}
	if e := z.names["example.net."+testZone]; e == nil || len(e.sets) != 0 {
		t.Errorf("between a name with dots and the zone: %+v", e)
	}
	if e := z.names["vip."+testZone]; e == nil || len(e.sets) != 0 {
		t.Errorf("vip without virtual addresses: %+v", e)
	}
	if len(z.skipped) != len(v.Nodes)-len(want) {
		t.Errorf("told about: %s", strings.Join(z.skipped, "\n"))
	}
}

// TestSkippedNamesAreToldOnce: one warning for each, not one for each view.
func TestSkippedNamesAreToldOnce(t *testing.T) {
	var log strings.Builder
	v := threeNodes()
	v.Nodes[0].Name = "vip"
	v.Services[0].Name = "-"
	g := groupOf(v)
	s := newServer(t, Options{View: g.view, Logger: textLogger(&log)})
	for serial := range uint32(5) {
		next := v.clone()
		next.Serial = serial
		g.Store(&next)
		s.current()
	}
	if text := log.String(); strings.Count(text, `node \"vip\"`) != 1 || strings.Count(text, `service \"-\"`) != 1 {
		t.Errorf("%s", text)
	}
}

// TestNoNameIsOne: with nodes whose names are none in DNS there still is a whole zone.
func TestNoNameIsOne(t *testing.T) {
	v := View{Nodes: []Node{{Name: "a-", Addrs: ips("192.0.2.1"), Live: true}}, Services: []Service{{Name: "web", Port: 80}}}
	s := serve(t, Options{View: groupOf(v).view})
	if a := ask(t, s, "udp", query(testZone, wire.TypeNS)); texts(a.Answer) != "lb.example.com. 2 IN NS lb.example.com." || texts(a.Extra) != "lb.example.com. 2 IN A 192.0.2.1" {
		t.Errorf("%s", a)
	}
	if a := ask(t, s, "udp", query("_web._tcp."+testZone, wire.TypeSRV)); a.Rcode != wire.RcodeSuccess || len(a.Answer) != 0 || len(a.Ns) != 1 {
		t.Errorf("%s", a)
	}
}

// TestUnusableAddresses: what no client could use is in no answer.
func TestUnusableAddresses(t *testing.T) {
	v := View{Nodes: []Node{
		{Name: "n1", Live: true, Addrs: append(ips("0.0.0.0", "::", "fe80::1", "fe80::1%eth0", "169.254.1.1", "224.0.0.1", "ff02::1", "::ffff:192.0.2.1", "192.0.2.1"), netip.Addr{})},
		{Name: "n2", Live: true},
		{Name: "n3", Addrs: ips("192.0.2.3")},
	}, Services: []Service{{Name: "web", Port: 80}}}
	s := serve(t, Options{View: groupOf(v).view})
	for name, want := range map[string]string{testZone: "lb.example.com. 2 IN A 192.0.2.1", "n1." + testZone: "n1.lb.example.com. 2 IN A 192.0.2.1"} {
		if a := ask(t, s, "udp", query(name, wire.TypeA)); texts(a.Answer) != want {
			t.Errorf("%s", a)
		}
		if a := ask(t, s, "udp", query(name, wire.TypeAAAA)); a.Rcode != wire.RcodeSuccess || len(a.Answer) != 0 {
			t.Errorf("%s", a)
		}
	}
	if a := ask(t, s, "udp", query("_web._tcp."+testZone, wire.TypeSRV)); len(a.Answer) != 1 {
		t.Errorf("%s", a)
	}
	if a := ask(t, s, "udp", query(testZone, wire.TypeNS)); len(a.Answer) != 2 {
		t.Errorf("%s", a)
	}
}

// TestServiceNames: a listener's name beats a protocol's; what a service name may not have becomes a dash.
func TestServiceNames(t *testing.T) {
	v := View{Nodes: []Node{{Name: "n1", Addrs: ips("192.0.2.1"), Live: true}}, Services: []Service{
		{Name: "http", Protocol: "http", Port: 80}, {Name: "Alt_1.x", Protocol: "http", Port: 81}, {Name: "nowhere", Port: 82, Nodes: []string{"n9"}}, {Name: strings.Repeat("x", 63), Port: 83},
	}}
	z := compile(v, testZone, defaultTTL)
	for label, want := range map[string]string{"_http": "80", "_alt-1-x": "81", "_nowhere": ""} {
		var ports []string
		e := z.names[label+"._tcp."+testZone]
		if e == nil {
			t.Fatalf("%s is not there", label)
		}
		if s := e.find(wire.TypeSRV); s != nil {
			for _, rr := range s.rrs {
				ports = append(ports, strings.Fields(rr.String())[6])
			}
		}
		if got := strings.Join(ports, ","); got != want {
			t.Errorf("%s: ports %s, not %s", label, got, want)
		}
	}
	if len(z.skipped) != 1 {
		t.Errorf("%v", z.skipped)
	}
}

// TestServicesOfOneAddress: what is at one address alone leads to the node that has it, or to the virtual addresses, by a name that has no other address, and to all that have it when nobody is known by that
// address. What no node has has no records.
func TestServicesOfOneAddress(t *testing.T) {
	v := threeNodes()
	v.Services = nil
	for name, at := range map[string]string{"virtual": "192.0.2.100", "own": "2001:db8::2", "mapped": "::ffff:192.0.2.1", "elsewhere": "10.0.0.11"} {
		v.Services = append(v.Services, Service{Name: name, Port: 80, Host: ips(at)[0]})
	}
	v.Services = append(v.Services, Service{Name: "nobody", Port: 80, Nodes: []string{}}, Service{Name: "two", Port: 80, Nodes: []string{"n1", "n2"}, Host: ips("10.0.0.11")[0]})
	z := compile(v, testZone, defaultTTL)
	for name, want := range map[string]string{
		"virtual": "192-0-2-100.vip", "own": "2001-0db8-0000-0000-0000-0000-0000-0002.n2", "mapped": "192-0-2-1.n1", "elsewhere": "n1 n2", "nobody": "", "two": "n1 n2",
	} {
		var got []string
		if s := z.names["_"+name+"._tcp."+testZone].find(wire.TypeSRV); s != nil {
			for _, rr := range s.rrs {
				got = append(got, strings.TrimSuffix(rr.(*wire.SRV).Target, "."+testZone))
			}
			each := 2
			if strings.Contains(want, ".") {
				each = 1
				if e := z.names[want+"."+testZone]; len(e.sets) != 1 || texts(e.sets[0].rrs) != texts(s.extra) {
					t.Errorf("%s: %+v, additional %v", name, e, s.extra)
				}
			}
			if len(s.extra) != each*len(got) {
				t.Errorf("%s: additional %v", name, s.extra)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %q, not %q", name, got, want)
		}
	}
	w := v.clone()
	w.Services[4].Nodes = nil
	if !v.equal(v.clone()) || v.equal(w) {
		t.Error("every node is not the same as none")
	}
}

// FuzzNames: any name of a node is refused or becomes a host name of the zone that DNS can carry.
func FuzzNames(f *testing.F) {
	for _, s := range []string{"n1", "a.b", "a_b", "-", "", "vip", "ü", `\.`, strings.Repeat("a", 64), strings.Repeat("a.", 120)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		for _, make := range []func(string, string) (string, error){nodeName, serviceName} {
			got, err := make(name, testZone)
			if err != nil {
				continue
			}
			if _, ok := wire.IsDomainName(got); !ok || !inZone(got, testZone) || got == testZone || got != strings.ToLower(got) || strings.ContainsAny(got, `\"`) {
				t.Errorf("%q became %q", name, got)
			}
			if _, err := wire.PackDomainName(got, new([300]byte)[:], 0, nil, false); err != nil {
				t.Errorf("%q became %q: %v", name, got, err)
			}
		}
		if zone, err := ParseZone(name); err == nil {
			if again, err := ParseZone(zone); err != nil || again != zone {
				t.Errorf("%q became %q and %q (%v)", name, zone, again, err)
			}
		}
	})
}

// TestViewOrderDoesNotMatter: any order of the same view compiles to the same records.
func TestViewOrderDoesNotMatter(t *testing.T) {
	v := threeNodes()
	v.Services = append(v.Services, Service{Name: "web", Protocol: "http", Port: 8080, Nodes: []string{"n3"}})
	want := dump(compile(v, testZone, defaultTTL))
	r := rand.New(rand.NewPCG(3, 4))
	for range 100 {
		w := v.clone()
		r.Shuffle(len(w.Nodes), func(i, j int) { w.Nodes[i], w.Nodes[j] = w.Nodes[j], w.Nodes[i] })
		r.Shuffle(len(w.Services), func(i, j int) { w.Services[i], w.Services[j] = w.Services[j], w.Services[i] })
		if got := dump(compile(w, testZone, defaultTTL)); got != want {
			t.Fatalf("%s\ninstead of\n%s", got, want)
		}
	}
}

func dump(z *zone) string {
	var all []string
	for name, e := range z.names {
		for _, s := range e.sets {
			text := name
			for _, rr := range slices.Concat(s.rrs, s.extra) {
				text += "\n\t" + rr.String()
			}
			all = append(all, text)
		}
	}
	slices.Sort(all)
	return strings.Join(all, "\n")
}

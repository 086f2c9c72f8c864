package server

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
	"github.com/holdfast-lb/holdfast/vip/dns"
)

// TestDNSOfListenersOfAZone: a node that does not answer has the listeners of its zone all the same; a listener of a zone without nodes is nowhere, not everywhere.
func TestDNSOfListenersOfAZone(t *testing.T) {
	op := &fsm.Operating{Index: 7, Config: &config.Config{Listeners: []config.Listener{
		{Name: "web", Address: ":8080", Protocol: "http"},
		{Name: "edge", Address: "192.0.2.100:8081", Protocol: "http", Zones: []string{"edge"}},
		{Name: "named", Address: ":8082", Protocol: "http", Zones: []string{"edge"}, Nodes: []string{"n2"}},
		{Name: "packets", Address: ":8083", Protocol: "udp"},
	}}}
	n := &names{zones: map[string]string{}}
	n.view.Store(&dns.View{})
	at := netip.MustParseAddr("10.0.0.11")
	reports := []memberReport{
		{node: "n1", zone: "edge", reachable: true, description: description{Ready: true, DNS: []netip.Addr{at}}},
		{node: "n2", reachable: true, description: description{Ready: true}},
	}
	check := func(when string, edge []string) {
		t.Helper()
		v := n.from(op, reports)
		n.view.Store(&v)
		if len(v.Services) != 3 || v.Serial != 7 || len(v.Nodes) != 2 {
			t.Fatalf("%s: %+v", when, v)
		}
		if s := v.Services[0]; s.Nodes != nil || s.Host.IsValid() {
			t.Errorf("%s: %+v", when, s)
		}
		if s := v.Services[1]; s.Nodes == nil || !slices.Equal(s.Nodes, edge) || s.Host != netip.MustParseAddr("192.0.2.100") {
			t.Errorf("%s: %+v", when, s)
		}
		if s := v.Services[2]; !slices.Equal(s.Nodes, append([]string{"n2"}, edge...)) {
			t.Errorf("%s: %+v", when, s)
		}
	}
	check("when all answer", []string{"n1"})
	reports[0] = memberReport{node: "n1"}
	check("when it is dead", []string{"n1"})
	if v := n.view.Load(); v.Nodes[0].Live || !slices.Equal(v.Nodes[0].Addrs, []netip.Addr{at}) {
		t.Errorf("%+v", v.Nodes[0])
	}
	reports[0] = memberReport{node: "n1", reachable: true}
	check("when it has another zone", nil)

	// This node has been started again while n1 is dead: its name, and its part in the zone's own records, are not lost.
	n.view.Store(&dns.View{})
	for addr, want := range map[string][]netip.Addr{"10.0.0.12:7701": {netip.MustParseAddr("10.0.0.12")}, "[2001:db8::1]:7701": {netip.MustParseAddr("2001:db8::1")}, "n1.example.net:7701": nil} {
		v := n.from(op, []memberReport{{node: "n1", addr: addr}, reports[1]})
		if got := v.Nodes[0]; got.Live || !slices.Equal(got.Addrs, want) {
			t.Errorf("%s: %+v", addr, got)
		}
		if got := v.Nodes[1]; len(got.Addrs) != 0 {
			t.Errorf("a node that answers, and has none: %+v", got)
		}
	}
}

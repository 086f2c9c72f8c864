package dns

import (
	"context"
	"io"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	wire "github.com/miekg/dns"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testZone = "lb.example.com."

func ips(s ...string) []netip.Addr {
	var all []netip.Addr
	for _, one := range s {
		all = append(all, netip.MustParseAddr(one))
	}
	return all
}

// threeNodes: n3 is down.
func threeNodes() View {
	return View{
		Serial: 4711,
		Nodes: []Node{
			{Name: "n1", Addrs: ips("192.0.2.1", "2001:db8::1"), Live: true},
			{Name: "n2", Addrs: ips("192.0.2.2", "2001:db8::2"), Live: true},
			{Name: "n3", Addrs: ips("192.0.2.3", "2001:db8::3")},
		},
		Virtual: ips("192.0.2.100", "2001:db8::100"),
		Services: []Service{
			{Name: "web", Protocol: "http", Port: 8080},
			{Name: "intern", Protocol: "http", Port: 8081, Nodes: []string{"n2", "n3"}},
			{Name: "agents", Port: 7919, Nodes: []string{"n3"}},
		},
	}
}

// group is a view that tests change while servers answer from it.
type group struct{ atomic.Pointer[View] }

func groupOf(v View) *group {
	g := &group{}
	g.Store(&v)
	return g
}

func (g *group) view() View { return *g.Load() }

// serve runs a server on a free port of loopback until the test ends.
func serve(t testing.TB, o Options) *Server {
	t.Helper()
	if o.Zone == "" {
		o.Zone = testZone
	}
	if o.Addr == "" {
		o.Addr = "127.0.0.1:0"
	}
	if o.View == nil {
		o.View = threeNodes
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Run(context.Background()) }()
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s
}

func query(name string, kind uint16) *wire.Msg {
	return new(wire.Msg).SetQuestion(name, kind)
}

// ask sends one query over network and gives the answer.
func ask(t testing.TB, s *Server, network string, q *wire.Msg) *wire.Msg {
	t.Helper()
	c := wire.Client{Net: network, Timeout: 5 * time.Second}
	a, _, err := c.Exchange(q, s.Addr().String())
	if err != nil {
		t.Fatalf("%s %s: %v", network, q.Question[0].Name, err)
	}
	return a
}

// direct has the server answer a packet without a network.
func direct(t testing.TB, s *Server, packet []byte, tr transport) []byte {
	t.Helper()
	return s.respond(make([]byte, 0, 4*udpSize), packet, netip.MustParseAddr("198.51.100.7"), tr)
}

func packed(t testing.TB, m *wire.Msg) []byte {
	t.Helper()
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// newServer makes a server that answers only what tests give it by hand.
func newServer(t testing.TB, o Options) *Server {
	t.Helper()
	if o.View == nil {
		o.View = threeNodes
	}
	o.Zone, o.Addr = testZone, "127.0.0.1:0"
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func textLogger(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }

package dns

import (
	"context"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	wire "github.com/miekg/dns"
)

func TestOptions(t *testing.T) {
	good := Options{Zone: "lb.example.com", Addr: "127.0.0.1:0", View: threeNodes}
	for name, tc := range map[string]struct {
		change func(o *Options)
		why    string
	}{
		"no zone":           {func(o *Options) { o.Zone = "" }, "needs a name"},
		"no address":        {func(o *Options) { o.Addr = "" }, "HOST:PORT"},
		"no port":           {func(o *Options) { o.Addr = "127.0.0.1" }, "HOST:PORT"},
		"a port of letters": {func(o *Options) { o.Addr = "127.0.0.1:dnsss" }, "dnsss"},
		"not our address":   {func(o *Options) { o.Addr = "192.0.2.1:0" }, "192.0.2.1"},
		"TTL too long":      {func(o *Options) { o.TTL = time.Minute }, "1s to 5s"},
		"TTL too short":     {func(o *Options) { o.TTL = time.Millisecond }, "1s to 5s"},
		"TTL below zero":    {func(o *Options) { o.TTL = -time.Second }, "1s to 5s"},
		"TTL of a fraction": {func(o *Options) { o.TTL = 1500 * time.Millisecond }, "whole seconds"},
		"no view":           {func(o *Options) { o.View = nil }, "view"},
	} {
		o := good
		tc.change(&o)
		if s, err := New(o); err == nil || !strings.Contains(err.Error(), tc.why) {
			t.Errorf("%s: %v, %v", name, s, err)
		}
	}
	if s, err := New(good); err != nil {
		t.Error(err)
	} else if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestTakenPort: an address where somebody else answers is an error that names it, and nothing stays bound.
func TestTakenPort(t *testing.T) {
	first := newServer(t, Options{})
	if _, err := New(Options{Zone: testZone, Addr: first.Addr().String(), View: threeNodes}); err == nil || !strings.Contains(err.Error(), first.Addr().String()) {
		t.Errorf("TCP: %v", err)
	}
	u := udpAlone(t)
	defer u.Close()
	if _, err := New(Options{Zone: testZone, Addr: u.LocalAddr().String(), View: threeNodes}); err == nil {
		t.Error("UDP: no error")
	}
	l, err := net.Listen("tcp", u.LocalAddr().String())
	if err != nil {
		t.Fatalf("the TCP port stayed bound: %v", err)
	}
	_ = l.Close()
}

// udpAlone has a UDP port whose number is free for TCP: the system gives the numbers of both out on their own.
func udpAlone(t *testing.T) net.PacketConn {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		u, err := net.ListenPacket("udp", l.Addr().String())
		_ = l.Close()
		if err == nil {
			return u
		}
	}
	t.Fatal("no number is free for both")
	return nil
}

// TestEnds: by its context or by Close, also before it has run; what was open is closed, and the port is free.
func TestEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	s := newServer(t, Options{})
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	c := dialTCP(t, s)
	if _, err := c.Write(framed(packed(t, plain()))); err != nil {
		t.Fatal(err)
	}
	readFrame(t, c)
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("the connection stayed open")
	}
	if err := s.Run(context.Background()); err == nil {
		t.Error("it ran again")
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	again, err := New(Options{Zone: testZone, Addr: s.Addr().String(), View: threeNodes})
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
	if err := again.Run(context.Background()); err != nil {
		t.Errorf("run after the end: %v", err)
	}
}

// TestMetrics: what is counted, and that names which are taken are an error that leaves none of ours registered.
func TestMetrics(t *testing.T) {
	reg := prometheus.NewRegistry()
	s := serve(t, Options{Registerer: reg})
	ask(t, s, "udp", plain())
	ask(t, s, "tcp", query("x."+testZone, wire.TypeA))
	direct(t, s, nil, udp)
	bad := plain().SetEdns0(1232, false)
	bad.IsEdns0().SetVersion(3)
	ask(t, s, "udp", bad)
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.Metric {
			key := f.GetName()
			for _, l := range m.Label {
				key += " " + l.GetValue()
			}
			got[key] = m.GetCounter().GetValue()
		}
	}
	for key, want := range map[string]float64{
		"holdfast_dns_queries_total NOERROR udp": 1, "holdfast_dns_queries_total NXDOMAIN tcp": 1, "holdfast_dns_queries_total ignored udp": 1,
		"holdfast_dns_queries_total BADVERS udp": 1, "holdfast_dns_queries_total NOERROR tcp": 0,
	} {
		if n, ok := got[key]; !ok || n != want {
			t.Errorf("%s: %v, %v; all: %v", key, n, ok, got)
		}
	}
	if _, err := New(Options{Zone: testZone, Addr: "127.0.0.1:0", View: threeNodes, Registerer: reg}); err == nil {
		t.Error("registered twice")
	}
}

// TestGoResolver: what programs in Go ask for, through their own resolver, by UDP and TCP, while nodes die and return.
func TestGoResolver(t *testing.T) {
	g := groupOf(threeNodes())
	s := serve(t, Options{View: g.view})
	for _, network := range []string{"udp", "tcp"} {
		r := &net.Resolver{PreferGo: true, StrictErrors: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, network, s.Addr().String())
		}}
		hosts := func(name string) string {
			t.Helper()
			addrs, err := r.LookupHost(context.Background(), name)
			if err != nil {
				t.Fatal(err)
			}
			slices.Sort(addrs)
			return strings.Join(addrs, " ")
		}
		live := threeNodes()
		g.Store(&live)
		if got := hosts(testZone); got != "192.0.2.1 192.0.2.2 2001:db8::1 2001:db8::2" {
			t.Errorf("%s: %s", network, got)
		}
		dead := threeNodes()
		dead.Nodes[0].Live, dead.Nodes[2].Live = false, true
		g.Store(&dead)
		if got := hosts(testZone); got != "192.0.2.2 192.0.2.3 2001:db8::2 2001:db8::3" {
			t.Errorf("%s: %s", network, got)
		}
		if got := hosts("vip." + testZone); got != "192.0.2.100 2001:db8::100" {
			t.Errorf("%s: %s", network, got)
		}
		_, srv, err := r.LookupSRV(context.Background(), "web", "tcp", testZone)
		if err != nil || len(srv) != 2 || srv[0].Port != 8080 {
			t.Errorf("%s: SRV %v, %v", network, srv, err)
		}
		ns, err := r.LookupNS(context.Background(), testZone)
		if err != nil || len(ns) != 3 {
			t.Errorf("%s: NS %v, %v", network, ns, err)
		}
		_, err = r.LookupHost(context.Background(), "nobody."+testZone)
		if e, ok := err.(*net.DNSError); !ok || !e.IsNotFound || e.IsTimeout {
			t.Errorf("%s: %v", network, err)
		}
	}
}

// TestAnswersFromTheAddressAsked: bound to every address, an answer still comes from the one that was asked, by IPv4 and IPv6: a client drops any other.
func TestAnswersFromTheAddressAsked(t *testing.T) {
	cases := map[string][]string{":0": {"127.0.0.1", "127.0.0.2", "127.5.5.5"}, "0.0.0.0:0": {"127.0.0.1", "127.9.9.9"}}
	if l, err := net.Listen("tcp", "[::1]:0"); err == nil { // a machine with IPv6
		_ = l.Close()
		cases[":0"] = append(cases[":0"], "::1")
		cases["[::1]:0"] = []string{"::1"}
	}
	for bound, asked := range cases {
		s := serve(t, Options{Addr: bound})
		_, port, _ := net.SplitHostPort(s.Addr().String())
		for _, ip := range asked {
			c := wire.Client{Timeout: 5 * time.Second}
			a, _, err := c.Exchange(plain(), net.JoinHostPort(ip, port)) // a connected socket: the kernel drops answers from elsewhere
			if err != nil || len(a.Answer) != 2 {
				t.Errorf("bound to %s, asked at %s: %v %s", bound, ip, err, a)
			}
		}
	}
}

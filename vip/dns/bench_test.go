package dns

import (
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	wire "github.com/miekg/dns"
)

// BenchmarkRespond: from the bytes of a query to those of its answer, on all cores.
func BenchmarkRespond(b *testing.B) {
	for name, q := range map[string]*wire.Msg{
		"A": plain(), "SRV": query("_http._tcp."+testZone, wire.TypeSRV).SetEdns0(1232, false), "NXDOMAIN": query("x."+testZone, wire.TypeA),
		"cookie": withOPT(&wire.EDNS0_COOKIE{Code: wire.EDNS0COOKIE, Cookie: "0102030405060708"}),
	} {
		b.Run(name, func(b *testing.B) {
			v := threeNodes()
			s := newServer(b, Options{View: groupOf(v).view, RateLimit: 1_000_000_000})
			packet := packed(b, q)
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				out := make([]byte, 0, 4*udpSize)
				for pb.Next() {
					if s.respond(out[:0], packet, netip.MustParseAddr("192.0.2.7"), udp) == nil {
						b.Error("no answer")
					}
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "answers/s")
		})
	}
}

// BenchmarkUDP: answers a second over loopback, with 16 clients that each wait for their answer; client and server share the cores.
func BenchmarkUDP(b *testing.B) {
	s := serve(b, Options{View: groupOf(threeNodes()).view, RateLimit: -1})
	packet := packed(b, plain())
	var lost atomic.Int64
	b.SetParallelism(8)
	b.RunParallel(func(pb *testing.PB) {
		c, err := net.Dial("udp", s.Addr().String())
		if err != nil {
			b.Error(err)
			return
		}
		defer c.Close()
		answer := make([]byte, 1500)
		for pb.Next() {
			_ = c.SetReadDeadline(time.Now().Add(time.Second))
			if _, err := c.Write(packet); err != nil {
				b.Error(err)
			}
			if _, err := c.Read(answer); err != nil {
				lost.Add(1)
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "answers/s")
	b.ReportMetric(float64(lost.Load()), "lost")
}

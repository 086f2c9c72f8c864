package lb

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/holdfast-lb/holdfast/fsm/config"
	"github.com/holdfast-lb/holdfast/internal/certtest"
)

// http3Conf has a listener for HTTP/1.1, HTTP/2 and HTTP/3.
func http3Conf(instances ...config.Instance) *config.Config {
	c := overTLS(http2Conf(instances...), "site")
	c.Listeners[0].HTTP3 = true
	return c
}

// http3Rig is a rig that serves HTTP/3.
func http3Rig(t testing.TB, c *config.Config) (*rig, *certtest.CA) {
	t.Helper()
	r, ca := secureRig(t, c)
	r.wait("HTTP/3", func() bool { return metric(t, r, "holdfast_http3_listening", "listener=web") == 1 })
	return r, ca
}

// http3Client is a browser that speaks HTTP/3 alone.
func http3Client(t testing.TB, ca *certtest.CA, more ...func(*http3.Transport)) *client {
	cl := newClient(t)
	tr := &http3.Transport{TLSClientConfig: clientOf(ca), DisableCompression: true}
	for _, change := range more {
		change(tr)
	}
	t.Cleanup(func() { tr.Close() })
	cl.Transport = tr
	return cl
}

// tcpClient is one that speaks HTTP/1.1, or HTTP/2.
func tcpClient(t testing.TB, ca *certtest.CA, h2 bool) *client {
	cl := newClient(t)
	var p http.Protocols
	p.SetHTTP1(!h2)
	p.SetHTTP2(h2)
	tr := &http.Transport{TLSClientConfig: clientOf(ca), Protocols: &p, DisableCompression: true}
	t.Cleanup(tr.CloseIdleConnections)
	cl.Transport = tr
	return cl
}

// dialQUIC makes a connection that a test may do with as it likes.
func dialQUIC(t testing.TB, r *rig, ca *certtest.CA) *quic.Conn {
	t.Helper()
	c := clientOf(ca)
	c.NextProtos = []string{"h3"}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	conn, err := quic.DialAddr(ctx, r.addr(), c, &quic.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.CloseWithError(0, "") })
	return conn
}

// udpRelay is the network between one client and the nodes: it can send what comes to another one.
type udpRelay struct {
	conn *net.UDPConn
	to   atomic.Pointer[net.UDPAddr]
	back atomic.Pointer[net.UDPAddr]
}

func newUDPRelay(t testing.TB, to net.Addr) *udpRelay {
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	l := &udpRelay{conn: conn}
	l.lead(to)
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 64<<10)
		for {
			n, from, err := conn.ReadFromUDP(buf)
			if err != nil {
				return
			}
			if node := l.to.Load(); from.String() != node.String() {
				if !slices.Equal(from.IP.To4(), node.IP.To4()) || l.isClient(from) {
					l.back.Store(from)
					conn.WriteToUDP(buf[:n], node)
				}
			} else if client := l.back.Load(); client != nil {
				conn.WriteToUDP(buf[:n], client)
			}
		}
	}()
	t.Cleanup(func() { conn.Close(); <-done })
	return l
}

// isClient takes the first one that sends, and whoever is on no port of a node.
func (l *udpRelay) isClient(from *net.UDPAddr) bool {
	client := l.back.Load()
	return client == nil || client.Port == from.Port
}

func (l *udpRelay) lead(to net.Addr) {
	at := netip.MustParseAddrPort(to.String())
	l.to.Store(net.UDPAddrFromAddrPort(at))
}

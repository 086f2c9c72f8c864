package lb

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// packetsOn runs a balancer on a socket for datagrams that was open before, and gives what ends it.
func packetsOn(t *testing.T, g *fakeGroup, address string, file *os.File) (*Balancer, func()) {
	t.Helper()
	n := g.node()
	b := New(Options{View: n, Recorder: n, Changed: n.changed, InheritedPackets: func(asked string) *net.UDPConn {
		if asked != address {
			t.Errorf("the socket of %s is asked for", asked)
			return nil
		}
		c, err := net.FilePacketConn(file)
		if err != nil {
			t.Error(err)
			return nil
		}
		return c.(*net.UDPConn)
	}})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	eventually(t, "bound", func() bool { return b.Ready() == nil })
	return b, func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// slowPackets is an instance that echoes at once, but what begins with "slow" only when it may.
func slowPackets(t *testing.T, release <-chan struct{}) (addr string, slow *atomic.Int64) {
	t.Helper()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	slow = new(atomic.Int64)
	var all sync.WaitGroup
	all.Go(func() {
		buf := make([]byte, maxDatagram)
		for {
			n, from, err := conn.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			data := bytes.Clone(buf[:n])
			if !bytes.HasPrefix(data, []byte("slow")) {
				conn.WriteToUDPAddrPort(data, from)
				continue
			}
			slow.Add(1)
			all.Go(func() {
				<-release
				conn.WriteToUDPAddrPort(data, from)
			})
		}
	})
	t.Cleanup(func() {
		conn.Close()
		all.Wait()
	})
	return conn.LocalAddr().String(), slow
}

// TestHandOnDatagrams: two balancers have one socket for datagrams, as two processes do during an upgrade, and the first hands on while clients send. None is lost, and what an instance answers
// late, to a datagram that the first one has passed on, still comes. Then the first one has no flow any more.
func TestHandOnDatagrams(t *testing.T) {
	release := make(chan struct{})
	app, slow := slowPackets(t, release)
	l, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	file, err := l.File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	cc := packetConf()
	cc.Listeners[0].Address = l.LocalAddr().String()
	cc.Clusters[0].Instances = []config.Instance{inst("i1", "udp://"+app)}
	g := newFakeGroup(cc)
	first, endFirst := packetsOn(t, g, l.LocalAddr().String(), file)
	defer endFirst()
	if got := first.PacketListeners(); len(got) != 1 || got[l.LocalAddr().String()] == nil {
		t.Fatalf("%v", got)
	}

	var answered atomic.Int64
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for i := range 8 {
		c := packetsTo(t, fmt.Sprintf("127.0.0.%d", 20+i), l.LocalAddr().(*net.UDPAddr))
		clients.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				text := fmt.Sprint(i, " ", n)
				if got := c.try(text, 20*time.Second); got != text {
					t.Errorf("%q came back as %q", text, got)
					return
				}
				answered.Add(1)
			}
		})
	}
	waits := packetsTo(t, "127.0.0.40", l.LocalAddr().(*net.UDPAddr))
	if _, err := waits.Write([]byte("slow")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all are under way", func() bool { return slow.Load() == 1 && answered.Load() > 100 })

	second, endSecond := packetsOn(t, g, l.LocalAddr().String(), file)
	defer endSecond()
	handed := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		handed <- first.HandOn(ctx)
	}()
	eventually(t, "the first one reads no more", func() bool { return len(first.PacketListeners()) == 0 })
	before := answered.Load()
	eventually(t, "the second one serves", func() bool { return answered.Load() > before+50 })
	select {
	case err := <-handed:
		t.Errorf("handed on before the last answer: %v", err)
	default:
	}
	close(release)
	waits.SetReadDeadline(time.Now().Add(20 * time.Second))
	buf := make([]byte, 10)
	if n, err := waits.Read(buf); err != nil || string(buf[:n]) != "slow" {
		t.Errorf("the late answer: %q %v", buf[:n], err)
	}
	if err := <-handed; err != nil {
		t.Errorf("hand on: %v", err)
	}
	close(stop)
	clients.Wait()
	for _, s := range first.Instances() {
		if s.InFlight != 0 {
			t.Errorf("the first one has %d flows", s.InFlight)
		}
	}
	if err := second.Ready(); err != nil {
		t.Error(err)
	}
}

// TestHandOnEndsInTime: an instance that never stops sending holds the one that hands on no longer than it is given.
func TestHandOnEndsInTime(t *testing.T) {
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	over := make(chan struct{})
	var sender sync.WaitGroup
	sender.Go(func() {
		buf := make([]byte, 100)
		_, to, err := conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		for tick := time.NewTicker(20 * time.Millisecond); ; {
			conn.WriteToUDPAddrPort([]byte("and on"), to)
			select {
			case <-tick.C:
			case <-over:
				tick.Stop()
				return
			}
		}
	})
	t.Cleanup(func() {
		close(over)
		conn.Close()
		sender.Wait()
	})
	r := newRig(t, packetConf(&packetApp{"i1", conn}))
	c := r.packets("127.0.0.1")
	if got := c.try("go", 20*time.Second); got != "and on" {
		t.Fatal(got)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := r.b.HandOn(ctx); err == nil || !strings.Contains(err.Error(), "deadline exceeded") {
		t.Errorf("%v", err)
	}
}

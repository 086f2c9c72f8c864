package chaos

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/chaos/group"
	"github.com/holdfast-lb/holdfast/chaos/stage"
)

// echoes is an instance for datagrams in this process: it answers each with its name in front, but for those that begin with "note", which it counts.
func echoes(t *testing.T, name string, notes *atomic.Int64) (addr string) {
	t.Helper()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 2048)
		for {
			n, from, err := conn.ReadFromUDPAddrPort(buf)
			switch {
			case err != nil:
				return
			case strings.HasPrefix(string(buf[:n]), "note"):
				notes.Add(1)
			default:
				_, _ = conn.WriteToUDPAddrPort(append([]byte(name+" "), buf[:n]...), from)
			}
		}
	}()
	t.Cleanup(func() {
		_ = conn.Close()
		<-done
	})
	return conn.LocalAddr().String()
}

// packets is clients that send datagrams and never send one again.
type packets struct {
	t        *testing.T
	answered atomic.Int64
	noted    atomic.Int64
}

func (p *packets) dial(from string, n *group.Node) (*net.UDPConn, error) {
	to, err := net.ResolveUDPAddr("udp", n.Traffic)
	if err != nil {
		return nil, err
	}
	return net.DialUDP("udp", &net.UDPAddr{IP: net.ParseIP(from)}, to)
}

// ask sends one datagram after the other, each when the one before is answered, until ctx ends. All answers come from one instance.
func (p *packets) ask(ctx context.Context, from string, n *group.Node) {
	c, err := p.dial(from, n)
	if err != nil {
		p.t.Error(err)
		return
	}
	defer c.Close()
	is, buf := "", make([]byte, 2048)
	for i := 0; ctx.Err() == nil; i++ {
		text := fmt.Sprint(from, " ", i)
		_, err := c.Write([]byte(text))
		size := 0
		if err == nil {
			_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
			size, err = c.Read(buf)
		}
		name, rest, _ := strings.Cut(string(buf[:size]), " ")
		if err != nil || rest != text || is != "" && is != name {
			p.t.Errorf("node %s: %q came back as %q from %s, before from %s: %v", n.Name, text, rest, name, is, err)
			return
		}
		is = name
		p.answered.Add(1)
	}
}

// note sends a datagram each interval, to which there is no answer.
func (p *packets) note(ctx context.Context, from string, n *group.Node, every time.Duration) {
	c, err := p.dial(from, n)
	if err != nil {
		p.t.Error(err)
		return
	}
	defer c.Close()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for ctx.Err() == nil {
		if _, err := c.Write([]byte("note")); err != nil {
			p.t.Errorf("node %s: %v", n.Name, err)
			return
		}
		p.noted.Add(1)
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

// TestUpgradeKeepsDatagrams: the programs of a follower and of the leader are replaced while clients of a udp listener ask, each its next question when the last one is answered, and others send
// what is not answered. Not one datagram is lost, and every client stays on its instance.
func TestUpgradeKeepsDatagrams(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	s := set(t, ctx, program, stage.Options{})
	h := adopt(t)
	var noted atomic.Int64
	text := strings.Replace(s.Configuration(), "clusters:\n", fmt.Sprintf("  - {name: echo, address: %q, protocol: udp, cluster: echo}\nclusters:\n", s.Group.Listener()), 1)
	text += fmt.Sprintf("  - name: echo\n    instances:\n      - {name: i1, listeners: [\"udp://%s\"]}\n      - {name: i2, listeners: [\"udp://%s\"]}\n", echoes(t, "i1", &noted), echoes(t, "i2", &noted))
	if err := s.Group.Apply(ctx, text); err != nil {
		t.Fatal(err)
	}
	leader, err := s.Group.Leader(ctx)
	if err != nil {
		t.Fatal(err)
	}
	loaded, stop := context.WithCancel(ctx)
	defer stop()
	p := &packets{t: t}
	var all sync.WaitGroup
	for i, n := range s.Group.Nodes {
		for j := range 8 {
			all.Go(func() { p.ask(loaded, fmt.Sprintf("127.3.%d.%d", i, 1+j), n) })
		}
		all.Go(func() { p.note(loaded, fmt.Sprintf("127.3.%d.100", i), n, 5*time.Millisecond) })
	}
	began := time.Now()
	for _, n := range []*group.Node{s.Group.Other(leader), leader} {
		before := p.answered.Load()
		poll(t, ctx, "clients are answered", func() error {
			if got := p.answered.Load(); got < before+1000 {
				return fmt.Errorf("%d answers", got-before)
			}
			return nil
		})
		h.upgrade(ctx, n)
	}
	stop()
	all.Wait()
	took := time.Since(began).Seconds()
	t.Logf("%d answers (%.0f a second), %d datagrams without one (%.0f a second)", p.answered.Load(), float64(p.answered.Load())/took, p.noted.Load(), float64(p.noted.Load())/took)
	poll(t, ctx, "what was sent has arrived", func() error {
		if sent, got := p.noted.Load(), noted.Load(); sent != got {
			return fmt.Errorf("%d datagrams were sent, %d arrived", sent, got)
		}
		return nil
	})
}

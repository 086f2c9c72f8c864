package lb

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// streamApp is an instance that speaks first: it sends its name and then whatever it gets.
type streamApp struct {
	t    testing.TB
	name string
	ln   net.Listener

	mu    sync.Mutex
	conns []net.Conn
}

// newStreamApp starts an instance; serve may be nil. serve gets a connection and closes nothing.
func newStreamApp(t testing.TB, name string, serve func(net.Conn)) *streamApp {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a := &streamApp{t: t, name: name, ln: ln}
	if serve == nil {
		serve = func(c net.Conn) {
			if _, err := fmt.Fprintln(c, name); err == nil {
				io.Copy(c, c)
			}
		}
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			a.mu.Lock()
			a.conns = append(a.conns, c)
			a.mu.Unlock()
			all.Go(func() {
				defer c.Close()
				serve(c)
			})
		}
	})
	t.Cleanup(func() {
		a.kill()
		all.Wait()
	})
	return a
}

func (a *streamApp) url() string { return "tcp://" + a.ln.Addr().String() }

// kill ends the instance as the end of its process would.
func (a *streamApp) kill() {
	a.ln.Close()
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, c := range a.conns {
		c.(*net.TCPConn).SetLinger(0)
		c.Close()
	}
}

// accepted counts the connections that the instance has had.
func (a *streamApp) accepted() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.conns)
}

// streamConf has a listener of protocol tcp that leads to cluster c1 with the given instances.
func streamConf(apps ...*streamApp) *config.Config {
	c := conf()
	for _, a := range apps {
		c.Clusters[0].Instances = append(c.Clusters[0].Instances, inst(a.name, a.url()))
	}
	c.Listeners = []config.Listener{{Name: "web", Address: "127.0.0.1:0", Protocol: "tcp", Cluster: "c1"}}
	k := &c.Clusters[0]
	k.Modules, k.Health.Type = nil, "tcp"
	k.Affinity = config.Affinity{Type: "source", IdleTimeout: config.Duration(30 * time.Minute)}
	return c
}

// streamClient is a connection through the balancer.
type streamClient struct {
	*net.TCPConn
	t testing.TB
	r *bufio.Reader
}

// connect opens a stream from an address of this machine.
func (r *rig) connect(from string) *streamClient {
	r.t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: 10 * time.Second}
	c, err := d.Dial("tcp", r.addr())
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	return &streamClient{c.(*net.TCPConn), r.t, bufio.NewReader(c)}
}

// line reads one; what went wrong takes its place.
func (c *streamClient) line() string {
	text, err := c.r.ReadString('\n')
	if err != nil {
		return fmt.Sprintf("%q, then %v", text, err)
	}
	return strings.TrimSuffix(text, "\n")
}

// echo sends a line and wants it back.
func (c *streamClient) echo(text string) {
	c.t.Helper()
	if _, err := fmt.Fprintln(c, text); err != nil {
		c.t.Fatal(err)
	}
	if got := c.line(); got != text {
		c.t.Fatalf("%s came back as %s", text, got)
	}
}

// instanceOf connects, reads who answers, and ends the stream.
func (r *rig) instanceOf(from string) string {
	r.t.Helper()
	c := r.connect(from)
	defer c.Close()
	return c.line()
}

//go:build servers

package acme

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"

	"github.com/holdfast-lb/holdfast/chaos/proc"
	"github.com/holdfast-lb/holdfast/internal/certtest"
)

// The external account that the authority wants.
const (
	accountID  = "kid-1"
	accountKey = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"
)

// pebble is the authority. It forgets everything when it ends.
type pebble struct {
	r        *rig
	ca       *certtest.CA // of its own server
	names    *names
	port     int
	http     int // where http-01 and tls-alpn-01 are asked for
	tls      int
	process  *proc.Process
	log      string
	restarts int
}

func newPebble(r *rig, http, https int) *pebble {
	r.t.Helper()
	ports, err := proc.Ports(2, "127.0.0.1")
	if err != nil {
		r.t.Fatal(err)
	}
	p := &pebble{r: r, ca: certtest.NewCA(r.t, "directory"), names: newNames(r.t), port: ports[0], http: http, tls: https}
	leaf := p.ca.Server("127.0.0.1")
	p.write("dir.pem", leaf.ChainPEM())
	p.write("dir.key", leaf.KeyPEM())
	return p
}

func (p *pebble) write(name string, data []byte) {
	p.r.t.Helper()
	if err := os.WriteFile(filepath.Join(p.r.dir, name), data, 0o600); err != nil {
		p.r.t.Fatal(err)
	}
}

func (p *pebble) directory() string { return fmt.Sprintf("https://127.0.0.1:%d/dir", p.port) }

// start runs it; its certificates are good for so many seconds.
func (p *pebble) start(seconds int) {
	p.r.t.Helper()
	config, err := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress": fmt.Sprintf("127.0.0.1:%d", p.port), "certificate": filepath.Join(p.r.dir, "dir.pem"), "privateKey": filepath.Join(p.r.dir, "dir.key"),
		"httpPort": p.http, "tlsPort": p.tls, "externalAccountBindingRequired": true, "externalAccountMACKeys": map[string]string{accountID: accountKey},
		"retryAfter": map[string]int{"authz": 1, "order": 1}, "keyAlgorithm": "ecdsa",
		"profiles": map[string]any{"default": map[string]any{"description": "the only one", "validityPeriod": seconds}},
	}})
	if err != nil {
		p.r.t.Fatal(err)
	}
	p.write("pebble.json", config)
	p.restarts++
	p.log = filepath.Join(p.r.dir, fmt.Sprintf("pebble-%d.log", p.restarts))
	p.process, err = p.r.set.Start(proc.Spec{
		Name: "pebble", Path: os.Getenv("HOLDFAST_PEBBLE"), Args: []string{"-strict", "-config", filepath.Join(p.r.dir, "pebble.json"), "-dnsserver", p.names.addr},
		Env: []string{"PEBBLE_VA_NOSLEEP=1", "PEBBLE_AUTHZREUSE=0", "PEBBLE_WFE_NONCEREJECT=20"}, Log: p.log,
	})
	if err != nil {
		p.r.t.Fatal(err)
	}
	p.r.poll("pebble listens", func() error {
		if !p.process.Alive() {
			return fmt.Errorf("it has ended: %s", p.process.Tail(20, nil))
		}
		c, err := tls.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", p.port), &tls.Config{RootCAs: p.ca.Pool()})
		if err == nil {
			c.Close()
		}
		return err
	})
}

// orders counts those that have been made since it started.
func (p *pebble) orders() int {
	p.r.t.Helper()
	b, err := os.ReadFile(p.log)
	if err != nil {
		p.r.t.Fatal(err)
	}
	return bytes.Count(b, []byte(" orders in the db"))
}

// names is the DNS that the authority asks.
type names struct {
	addr string

	mu    sync.Mutex
	of    map[string]string // by name, without the dot at its end
	held  chan struct{}     // nobody is answered until it is closed; nil: everybody is
	asked chan struct{}     // gets one value, when somebody asks while it is held
}

func newNames(t *testing.T) *names {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &names{addr: conn.LocalAddr().String(), of: map[string]string{}}
	ln, err := net.Listen("tcp", n.addr) // which is the one that Pebble asks
	if err != nil {
		t.Fatal(err)
	}
	for _, server := range []*dns.Server{{PacketConn: conn, Handler: dns.HandlerFunc(n.answer)}, {Listener: ln, Handler: dns.HandlerFunc(n.answer)}} {
		go server.ActivateAndServe()
		t.Cleanup(func() { n.release(); server.Shutdown() })
	}
	return n
}

func (n *names) answer(w dns.ResponseWriter, q *dns.Msg) {
	n.mu.Lock()
	held, asked := n.held, n.asked
	n.mu.Unlock()
	if held != nil {
		select {
		case asked <- struct{}{}:
		default:
		}
		<-held
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	m := new(dns.Msg)
	m.SetReply(q)
	name := strings.ToLower(strings.TrimSuffix(q.Question[0].Name, "."))
	if ip := net.ParseIP(n.of[name]); ip != nil && q.Question[0].Qtype == dns.TypeA {
		m.Answer = append(m.Answer, &dns.A{Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET}, A: ip})
	}
	w.WriteMsg(m)
}

// lead has a name lead to a host.
func (n *names) lead(name, host string) {
	n.mu.Lock()
	n.of[name] = host
	n.mu.Unlock()
}

// hold keeps answers back, and gives what gets a value when somebody asks.
func (n *names) hold() <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.held, n.asked = make(chan struct{}), make(chan struct{}, 1)
	return n.asked
}

func (n *names) release() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.held != nil {
		close(n.held)
		n.held = nil
	}
}

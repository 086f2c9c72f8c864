package streams

import (
	"bufio"
	"context"
	"crypto/sha1"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/admin/client"
	"github.com/holdfast-lb/holdfast/chaos/group"
	"github.com/holdfast-lb/holdfast/chaos/proc"
	"github.com/holdfast-lb/holdfast/internal/certtest"
)

// socketsVariable, when set, has this program be an instance that listens there and takes WebSockets: a process of its own, because each socket is a descriptor at its instance as well.
const socketsVariable = "HOLDFAST_TEST_SOCKETS"

// serveSockets accepts WebSockets and sends back whatever comes.
func serveSockets(address string) error {
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	for {
		c, err := ln.Accept()
		if err != nil {
			return err
		}
		go serveSocket(c)
	}
}

func serveSocket(c net.Conn) {
	defer c.Close()
	r, err := http.ReadRequest(bufio.NewReaderSize(c, 4<<10))
	if err != nil {
		return
	}
	sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	if _, err := fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: %s\r\n\r\n", base64.StdEncoding.EncodeToString(sum[:])); err != nil {
		return
	}
	buf := make([]byte, 256)
	for {
		n, err := c.Read(buf)
		if n > 0 {
			_, err = c.Write(buf[:n])
		}
		if err != nil {
			return
		}
	}
}

// socket is a WebSocket through a node.
type socket struct {
	net.Conn
	by     *group.Node
	secure bool
}

// openSocket opens one; c is nil without TLS.
func openSocket(ctx context.Context, by *group.Node, addr string, c *tls.Config) (*socket, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	s := &socket{Conn: conn, by: by, secure: c != nil}
	if c != nil {
		s.Conn = tls.Client(conn, c)
	}
	_, err = io.WriteString(s, "GET /ws HTTP/1.1\r\nHost: site.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	var head []byte
	for one := make([]byte, 1); err == nil && !strings.HasSuffix(string(head), "\r\n\r\n") && len(head) < 4<<10; {
		if _, err = io.ReadFull(s, one); err == nil { // not one byte more: what follows is the WebSocket's
			head = append(head, one[0])
		}
	}
	if err == nil && (!strings.HasPrefix(string(head), "HTTP/1.1 101 ") || !strings.Contains(string(head), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")) {
		err = fmt.Errorf("the answer is %q", head)
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("node %s: %w", by.Name, err)
	}
	return s, nil
}

// ping sends a masked frame of a few bytes and wants it back.
func (s *socket) ping() error {
	_ = s.SetDeadline(time.Now().Add(30 * time.Second))
	frame := []byte("\x89\x84\x00\x00\x00\x00ping")
	back := make([]byte, len(frame))
	_, err := s.Write(frame)
	if err == nil {
		_, err = io.ReadFull(s, back)
	}
	if err == nil && string(back) != string(frame) {
		err = fmt.Errorf("%q came back", back)
	}
	return err
}

// each does something with all of a list, some at a time, and gives the errors.
func each[T any](list []T, do func(T) error) error {
	var mu sync.Mutex
	var errs []error
	var all sync.WaitGroup
	room := make(chan struct{}, 32)
	for _, x := range list {
		room <- struct{}{}
		all.Go(func() {
			defer func() { <-room }()
			if err := do(x); err != nil {
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, err)
			}
		})
	}
	all.Wait()
	if len(errs) > 5 {
		errs = append(errs[:5], fmt.Errorf("and %d more", len(errs)-5))
	}
	return errors.Join(errs...)
}

// resident is the memory of a process, in bytes.
func resident(t *testing.T, n *group.Node) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", n.Process().Pid()))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return kib << 10
}

// howMany is the number of WebSockets: few for every day; make test-sockets has ten thousand.
func howMany(t *testing.T) int {
	text := os.Getenv("HOLDFAST_SOCKETS")
	if text == "" {
		return 300
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 6 {
		t.Fatalf("HOLDFAST_SOCKETS=%q", text)
	}
	return n
}

// socketRig is three nodes with a listener in clear text and one with TLS, before one instance for WebSockets.
func socketRig(t *testing.T) (r *rig, yaml func(more string) string, secure map[*group.Node]string, ca *certtest.CA) {
	r = newRig(t)
	ports, err := proc.Ports(2, "127.0.0.1", "127.0.0.2", "127.0.0.3")
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprintf("127.0.0.1:%d", ports[0])
	if _, err := r.set.Start(proc.Spec{Name: "sockets", Path: self, Env: []string{socketsVariable + "=" + address}, Log: filepath.Join(r.dir, "sockets.log")}); err != nil {
		t.Fatal(err)
	}
	ca = certtest.NewCA(t, "root")
	leaf := ca.Server("site.example")
	if _, err := r.Nodes[0].Client.AddCertificate(r.ctx, client.NewCertificateRequest{Name: "site", CertificateRequest: certificate(leaf)}); err != nil {
		t.Fatal(err)
	}
	yaml = func(more string) string {
		return fmt.Sprintf(`
listeners:
  - {name: web, address: %q}
  - {name: webs, address: ":%d", protocol: https, certificates: [site]}
clusters:
  - name: app
    health: {type: tcp, interval: 1s}
    modules: [{contextRoot: /}%s]
    instances: [{name: i1, listeners: ["http://%s"]}]
`, r.Listener(), ports[1], more, address)
	}
	secure = map[*group.Node]string{}
	for _, n := range r.Nodes {
		host, _, err := net.SplitHostPort(n.Traffic)
		if err != nil {
			t.Fatal(err)
		}
		secure[n] = net.JoinHostPort(host, fmt.Sprint(ports[1]))
	}
	r.configure(yaml(""))
	return r, yaml, secure, ca
}

func certificate(leaf *certtest.Leaf) client.CertificateRequest {
	return client.CertificateRequest{Certificate: string(leaf.ChainPEM()), Key: string(leaf.KeyPEM())}
}

// TestIdleWebSocketsStayOpen: half of them by TLS, on three nodes. The configuration is changed, the certificate rotated, and the leader killed: all on the nodes that live are open, and go on.
func TestIdleWebSocketsStayOpen(t *testing.T) {
	r, yaml, secure, ca := socketRig(t)
	// Once a socket is open everywhere, the nodes have all that they need only once.
	trust := &tls.Config{RootCAs: ca.Pool(), ServerName: "site.example", NextProtos: []string{"http/1.1"}}
	var open []*socket
	t.Cleanup(func() {
		for _, s := range open {
			s.Close()
		}
	})
	var mu sync.Mutex
	dial := func(count int, by func(*group.Node) (string, *tls.Config)) {
		t.Helper()
		list := make([]int, count)
		for i := range list {
			list[i] = i
		}
		if err := each(list, func(i int) error {
			n := r.Nodes[i%len(r.Nodes)]
			addr, c := by(n)
			s, err := openSocket(r.ctx, n, addr, c)
			if err == nil {
				mu.Lock()
				defer mu.Unlock()
				open = append(open, s)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	plain := func(n *group.Node) (string, *tls.Config) { return n.Traffic, nil }
	byTLS := func(n *group.Node) (string, *tls.Config) { return secure[n], trust }
	used := func() (sum int64) {
		for _, n := range r.Nodes {
			sum += resident(t, n)
		}
		return sum
	}
	r.poll("the instance is up", func() error {
		s, err := openSocket(r.ctx, r.Nodes[0], r.Nodes[0].Traffic, nil)
		if err != nil {
			return err
		}
		return s.Close()
	})
	dial(60, plain)
	dial(60, byTLS)
	half := howMany(t) / 2
	before := used()
	dial(half, plain)
	between := used()
	dial(half, byTLS)
	after := used()
	t.Logf("%d WebSockets are open; each takes %d bytes of a node, %d by TLS", len(open), (between-before)/int64(half), (after-between)/int64(half))
	pings := func(when string) {
		t.Helper()
		began := time.Now()
		if err := each(open, (*socket).ping); err != nil {
			t.Fatalf("%s: %v", when, err)
		}
		t.Logf("%s: %d are open, each has answered within %v", when, len(open), time.Since(began).Round(time.Millisecond))
	}
	pings("at first")
	r.configure(yaml(", {contextRoot: /other, retries: 0}"))
	pings("after a change of the configuration")
	if _, err := r.Nodes[1].Client.RotateCertificate(r.ctx, "site", certificate(ca.Server("site.example", "www.site.example"))); err != nil {
		t.Fatal(err)
	}
	r.poll("every node presents the other certificate", func() error {
		for _, n := range r.Nodes {
			c, err := tls.Dial("tcp", secure[n], trust)
			if err != nil {
				return err
			}
			names := c.ConnectionState().PeerCertificates[0].DNSNames
			c.Close()
			if len(names) != 2 {
				return fmt.Errorf("node %s presents %v", n.Name, names)
			}
		}
		return nil
	})
	pings("after the rotation")
	leader, err := r.Leader(r.ctx)
	if err != nil {
		t.Fatal(err)
	}
	leader.Kill()
	if next, err := r.Leader(r.ctx); err != nil || next == leader {
		t.Fatalf("%v %v", next, err)
	}
	live := open[:0:0]
	for _, s := range open {
		if s.by == leader {
			s.Close()
		} else {
			live = append(live, s)
		}
	}
	open = live
	pings("after the death of the leader")
}

package chaos

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quic-go/quic-go/http3"

	"github.com/holdfast-lb/holdfast/admin/client"
	"github.com/holdfast-lb/holdfast/chaos/group"
	"github.com/holdfast-lb/holdfast/chaos/stage"
	"github.com/holdfast-lb/holdfast/internal/certtest"
)

// modern is clients that speak HTTP/3 alone.
type modern struct {
	t         *testing.T
	port      int
	trust     *tls.Config
	begun     atomic.Int64  // downloads
	release   chan struct{} // lets the second half of one come
	asked     atomic.Int64
	connected atomic.Int64
}

// modernHalf is half of a download in bytes.
const modernHalf = 1 << 20

// halves is an instance in this process: it answers with its name, and downloads come in two halves, the second one when it may.
func halves(t *testing.T, name string, begun *atomic.Int64, release <-chan struct{}) (addr string) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/download") {
			_, _ = io.WriteString(w, name)
			return
		}
		_, err := w.Write(make([]byte, modernHalf))
		if err == nil {
			err = http.NewResponseController(w).Flush()
		}
		if err == nil {
			begun.Add(1)
			select {
			case <-release:
			case <-r.Context().Done():
			}
			_, _ = w.Write(make([]byte, modernHalf))
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func (m *modern) url(n *group.Node, path string) string {
	host, _, err := net.SplitHostPort(n.Traffic)
	if err != nil {
		m.t.Error(err)
	}
	return fmt.Sprintf("https://%s:%d/long%s", host, m.port, path)
}

func (m *modern) transport() *http3.Transport { return &http3.Transport{TLSClientConfig: m.trust} }

// get gives the body of an answer, which is of status 200.
func (m *modern) get(ctx context.Context, c *http.Client, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := c.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != 200 {
		err = errors.New(resp.Status)
	}
	return b, err
}

// ask sends one request after the other until ctx ends, all of one session; with fresh, each on a connection of its own. None fails, none is sent again.
func (m *modern) ask(ctx context.Context, n *group.Node, fresh bool) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		m.t.Error(err)
		return
	}
	tr := m.transport()
	defer func() { _ = tr.Close() }()
	is, p := "", newPace(10*time.Millisecond)
	for i := 0; ctx.Err() == nil; i++ {
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
		got, err := m.get(limited, &http.Client{Transport: tr, Jar: jar}, m.url(n, "/ok"))
		cancel()
		if err != nil || is != "" && is != string(got) {
			m.t.Errorf("node %s, request %d: %q after %q, %v", n.Name, i, got, is, err)
			return
		}
		is = string(got)
		m.asked.Add(1)
		if fresh {
			m.connected.Add(1)
			_ = tr.Close()
			tr = m.transport()
		}
		p.next(ctx)
	}
}

// upgradeDuringDownload replaces a node's program while a download is under way, whose second half comes when the new process serves and clients have been answered by it.
func (m *modern) upgradeDuringDownload(ctx context.Context, h *heirs, n *group.Node) {
	m.t.Helper()
	tr := m.transport()
	defer tr.Close()
	before := m.begun.Load()
	type result struct {
		size int
		err  error
	}
	whole := make(chan result, 1)
	go func() {
		b, err := m.get(ctx, &http.Client{Transport: tr}, m.url(n, "/download"))
		whole <- result{len(b), err}
	}()
	poll(m.t, ctx, "the download is under way", func() error {
		if m.begun.Load() == before {
			return errors.New("it has not begun")
		}
		return nil
	})
	done, err := n.Client.UpgradeBinary(ctx, client.BinaryUpgrade{ReadyWithinMilli: 60_000})
	if err != nil {
		m.t.Fatal(err)
	}
	asked, connected := m.asked.Load(), m.connected.Load()
	poll(m.t, ctx, "clients are answered while both processes are there", func() error {
		if m.asked.Load() < asked+200 || m.connected.Load() < connected+20 {
			return errors.New("not often enough")
		}
		return nil
	})
	select {
	case r := <-whole:
		m.t.Errorf("node %s: the download has ended before its second half: %d bytes, %v", n.Name, r.size, r.err)
	default:
		m.release <- struct{}{}
		if r := <-whole; r.err != nil || r.size != 2*modernHalf {
			m.t.Errorf("node %s: the download that was under way: %d bytes, %v", n.Name, r.size, r.err)
		}
	}
	h.ended(n)
	h.succeeded(n, done.Pid)
}

// serveModern configures a listener for HTTP/3 on all nodes, with instances that answer as halves do, and returns when it serves.
func serveModern(t *testing.T, ctx context.Context, s *stage.Stage) *modern {
	t.Helper()
	m := &modern{t: t, release: make(chan struct{})}
	ports := portOfNodes(t, s)
	ca := certtest.NewCA(t, "root")
	leaf := ca.Server("a.example")
	if _, err := s.Group.Nodes[0].Client.AddCertificate(ctx, client.NewCertificateRequest{Name: "site", CertificateRequest: client.CertificateRequest{Certificate: string(leaf.ChainPEM()), Key: string(leaf.KeyPEM())}}); err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(s.Configuration(), "clusters:\n", fmt.Sprintf("  - {name: webs, address: \":%d\", protocol: https, certificates: [site], http3: true}\nclusters:\n", ports[0]), 1)
	text += "  - name: long\n    affinity: {type: insert, name: LONG}\n    modules: [{contextRoot: /long}]\n    instances:\n"
	for _, name := range []string{"i1", "i2"} {
		text += fmt.Sprintf("      - {name: %s, listeners: [%q]}\n", name, halves(t, name, &m.begun, m.release))
	}
	if err := s.Group.Apply(ctx, text); err != nil {
		t.Fatal(err)
	}
	m.port, m.trust = ports[0], &tls.Config{RootCAs: ca.Pool(), ServerName: "a.example", NextProtos: []string{http3.NextProtoH3}}
	for _, n := range s.Group.Nodes {
		poll(t, ctx, "HTTP/3 is served", func() error {
			tr := m.transport()
			defer tr.Close()
			limited, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			_, err := m.get(limited, &http.Client{Transport: tr}, m.url(n, "/ok"))
			return err
		})
	}
	return m
}

// TestUpgradeKeepsHTTP3: the programs of a follower and of the leader are replaced while clients of HTTP/3 ask, some on a kept connection and some on a new one for each request. No request fails, every
// session stays on its instance, and a download that began before the upgrade comes whole.
func TestUpgradeKeepsHTTP3(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	s := set(t, ctx, program, stage.Options{})
	h := adopt(t)
	m := serveModern(t, ctx, s)
	leader, err := s.Group.Leader(ctx)
	if err != nil {
		t.Fatal(err)
	}
	loaded, stop := context.WithCancel(ctx)
	defer stop()
	var all sync.WaitGroup
	upgraded := []*group.Node{s.Group.Other(leader), leader}
	for _, n := range upgraded {
		for i := range 4 {
			all.Go(func() { m.ask(loaded, n, i == 0) })
		}
	}
	began := time.Now()
	for _, n := range upgraded {
		m.upgradeDuringDownload(ctx, h, n)
	}
	stop()
	all.Wait()
	took := time.Since(began).Seconds()
	t.Logf("%d requests (%.0f a second), %d of them on a connection of their own", m.asked.Load(), float64(m.asked.Load())/took, m.connected.Load())
}

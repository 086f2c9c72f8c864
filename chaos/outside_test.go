package chaos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/admin/client"
	"github.com/holdfast-lb/holdfast/chaos/load"
	"github.com/holdfast-lb/holdfast/chaos/proc"
	"github.com/holdfast-lb/holdfast/chaos/stage"
)

// outsideNode starts a node whose own log, access log, DNS port and hook belong to what is outside of the group.
const outsideNode = `#!/bin/sh
if [ "$1" = serve ]; then
	export HOLDFAST_ACCESS_LOG="DIR/$3.access" HOLDFAST_DNS_ADDR="127.0.0.${3#n}:DNSPORT" HOLDFAST_DNS_ZONE=lb.example HOLDFAST_VIP_HOOK=DIR/hook
	exec PROGRAM "$@" 2>"DIR/$3.log"
fi
exec PROGRAM "$@"
`

// hungHook is a program that is never done while its node runs.
const hungHook = `#!/bin/sh
echo "$1" >>DIR/hook.ran
while kill -0 $PPID 2>/dev/null; do sleep 1; done
`

// TestNothingOutsideIsOnThePath: UCD-22. What the group has to do with, and is no part of it, hangs: the store of the backups takes connections and never answers, a hook never ends, whoever reads
// the nodes' logs reads no more, scrapers and DNS clients ask and take no answer. Requests of known sessions and new sessions go on, without one that fails. Phases in which all is
// well and phases in which all hangs take turns, so that what else happens on the machine meets both.
func TestNothingOutsideIsOnThePath(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	dir, ports := outside(t)
	store := newHole(t)
	var sinks []*sink
	for _, name := range []string{"n1", "n2", "n3"} {
		sinks = append(sinks, newSink(t, filepath.Join(dir, name+".log")), newSink(t, filepath.Join(dir, name+".access")))
	}
	s := set(t, ctx, func() (string, error) { return filepath.Join(dir, "node"), nil }, stage.Options{Env: []string{
		"HOLDFAST_BACKUP_TO=s3://backups/shop", "HOLDFAST_BACKUP_EVERY=1m", "HOLDFAST_S3_ENDPOINT=http://" + store.ln.Addr().String(), "AWS_ACCESS_KEY_ID=x", "AWS_SECRET_ACCESS_KEY=y", "AWS_REGION=z",
	}})
	l := crowd(t, ctx, s, 22, 120)
	const every = 50 * time.Millisecond // few enough that a machine without time to spare fails none
	known, err := l.Probe(ctx, every, stage.Plain, false)
	if err != nil {
		t.Fatal(err)
	}
	fresh, err := l.Probe(ctx, every, stage.Insert, true)
	if err != nil {
		t.Fatal(err)
	}
	waits := map[bool][2]*load.Latencies{}
	for round := range 6 {
		hung := round%2 == 1
		store.hang(hung)
		for _, k := range sinks {
			if err := k.hang(hung); err != nil {
				t.Fatal(err)
			}
		}
		stop := func() {}
		if hung {
			stop = deaf(t, s, ports)
		}
		known.Mark()
		fresh.Mark()
		talk(t, ctx, s, 3*time.Second)
		a, b := known.Gap(), fresh.Gap()
		stop()
		t.Logf("outside hangs %v: known sessions: %v; new ones: %v", hung, a, b)
		if a.Failed+b.Failed > 0 || a.Sent == 0 || b.Sent == 0 || a.Wait.Count()+b.Wait.Count() == 0 {
			t.Errorf("requests failed, or none was made, while what is outside hangs: %v", hung)
		}
		if _, measured := waits[hung]; !measured || round > 1 {
			waits[hung] = [2]*load.Latencies{a.Wait, b.Wait}
		}
	}
	known.Stop()
	fresh.Stop()
	for hung, w := range waits {
		t.Logf("outside hangs %v, last phase: p99 of known sessions %v, of new ones %v", hung, w[0].Quantile(0.99), w[1].Quantile(0.99))
	}
	if store.met() == 0 {
		t.Error("nobody has tried to make a backup")
	}
	if text, err := os.ReadFile(filepath.Join(dir, "hook.ran")); err != nil || len(text) == 0 {
		t.Errorf("no node has run its hook: %v", err)
	}
	for _, k := range sinks {
		if err := k.hang(false); err != nil {
			t.Fatal(err)
		}
	}
	comeBack(t, ctx, s, l)
	holdTables(t, ctx, s, l)
	verdict(t, l)
}

// outside makes the directory of what is outside, with the programs; ports are those of DNS on the three nodes.
func outside(t *testing.T) (dir string, dns []string) {
	t.Helper()
	binary, err := program()
	if err != nil {
		t.Fatal(err)
	}
	free, err := proc.Ports(1, "127.0.0.1", "127.0.0.2", "127.0.0.3")
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	fill := strings.NewReplacer("DIR", dir, "DNSPORT", fmt.Sprint(free[0]), "PROGRAM", binary)
	if err := errors.Join(os.Chmod(dir, 0o755), os.WriteFile(filepath.Join(dir, "node"), []byte(fill.Replace(outsideNode)), 0o755), os.WriteFile(filepath.Join(dir, "hook"), []byte(fill.Replace(hungHook)), 0o755)); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		dns = append(dns, fmt.Sprintf("127.0.0.%d:%d", i+1, free[0]))
	}
	return dir, dns
}

// talk has every node say something in its logs, all the time that a phase takes.
func talk(t *testing.T, ctx context.Context, s *stage.Stage, length time.Duration) {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(length); time.Now().Before(end); <-tick.C {
		for _, n := range s.Group.Nodes {
			_, err := n.Client.Lock(ctx, client.MaintenanceRequest{Owner: "us", Reason: strings.Repeat("a long reason ", 20)})
			if err == nil {
				err = n.Client.Unlock(ctx, "us", false)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
}

// deaf are clients that ask and take no answer: scrapers of the metrics and clients of DNS. The end of them is what it returns.
func deaf(t *testing.T, s *stage.Stage, dns []string) (stop func()) {
	t.Helper()
	var conns []net.Conn
	open := func(network, addr, text string, times int) {
		conn, err := net.DialTimeout(network, addr, 5*time.Second)
		if err != nil {
			t.Errorf("%s: %v", addr, err)
			return
		}
		conns = append(conns, conn)
		_ = conn.SetWriteDeadline(time.Now().Add(50 * time.Millisecond)) // a node that takes no more has been asked enough
		_, _ = io.WriteString(conn, strings.Repeat(text, times))
	}
	query := "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x02lb\x07example\x00\x00\x01\x00\x01"
	for i, n := range s.Group.Nodes {
		at, err := url.Parse(n.Admin)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			open("tcp", at.Host, "GET /metrics HTTP/1.1\r\nHost: "+at.Host+"\r\n\r\n", 10)
			open("tcp", dns[i], string([]byte{0, byte(len(query))})+query, 1000)
		}
		open("udp", dns[i], query, 1)
	}
	return func() {
		for _, c := range conns {
			_ = c.Close()
		}
	}
}

// hole is a store that refuses at once while all is well, and otherwise takes connections and never answers.
type hole struct {
	ln net.Listener

	mu    sync.Mutex
	hangs bool
	taken int
	open  []net.Conn
}

func newHole(t *testing.T) *hole {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &hole{ln: ln}
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			h.take(c)
		}
	}()
	t.Cleanup(func() {
		_ = ln.Close()
		h.hang(false)
	})
	return h
}

func (h *hole) take(c net.Conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.taken++
	if h.hangs {
		h.open = append(h.open, c)
		return
	}
	_, _ = io.WriteString(c, "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
	_ = c.Close()
}

func (h *hole) hang(on bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.hangs = on
	if !on {
		for _, c := range h.open {
			_ = c.Close()
		}
		h.open = nil
	}
}

func (h *hole) met() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.taken
}

// sink is a pipe at a path that somebody reads, or nobody.
type sink struct {
	f    *os.File
	path string

	mu    sync.Mutex
	cond  *sync.Cond
	hangs bool
	over  bool
}

func newSink(t *testing.T, path string) *sink {
	t.Helper()
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|syscall.O_NONBLOCK, 0) // both ways, so that it neither waits for a writer nor ends with one
	if err != nil {
		t.Fatal(err)
	}
	k := &sink{f: f, path: path}
	k.cond = sync.NewCond(&k.mu)
	done := make(chan struct{})
	go func() {
		defer close(done)
		k.read()
	}()
	t.Cleanup(func() {
		k.mu.Lock()
		k.over = true
		k.mu.Unlock()
		k.cond.Broadcast()
		_ = f.Close()
		<-done
	})
	return k
}

func (k *sink) read() {
	buffer := make([]byte, 64<<10)
	for {
		k.mu.Lock()
		for k.hangs && !k.over {
			k.cond.Wait()
		}
		over := k.over
		k.mu.Unlock()
		if over {
			return
		}
		if _, err := k.f.Read(buffer); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return
		}
	}
}

// hang has nobody read any more, with the pipe full, or somebody read again.
func (k *sink) hang(on bool) error {
	k.mu.Lock()
	k.hangs = on
	k.mu.Unlock()
	k.cond.Broadcast()
	if !on {
		return k.f.SetReadDeadline(time.Time{})
	}
	if err := k.f.SetReadDeadline(time.Unix(1, 0)); err != nil {
		return err
	}
	fd, err := syscall.Open(k.path, syscall.O_WRONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return fmt.Errorf("fill %s: %w", k.path, err)
	}
	defer syscall.Close(fd)
	for size := 4096; size > 0; {
		if _, err := syscall.Write(fd, make([]byte, size)); err != nil {
			if !errors.Is(err, syscall.EAGAIN) {
				return fmt.Errorf("fill %s: %w", k.path, err)
			}
			size /= 2
		}
	}
	return nil
}

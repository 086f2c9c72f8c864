package raftnode

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/pprof"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
	"github.com/holdfast-lb/holdfast/raftnode/pki"
	"github.com/holdfast-lb/holdfast/storage"
)

// within fails the test when ok does not hold in time.
func within(t testing.TB, d time.Duration, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(d)
	defer deadline.Stop()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.C:
			if !ok() { // this process may have stood still since it was asked
				t.Fatalf("after %v: %s", d, what)
			}
			return
		}
	}
}

// mostStall is how long this process may stand still in a test in which nobody is elected, with the profile lan.
var mostStall = timings["lan"].heartbeat / 4

// member is one node of a test group, which can be stopped and started again on the same directory and address.
type member struct {
	t     testing.TB
	opt   Options
	node  *Node
	dir   *storage.Dir
	state *fsm.State
	err   chan error
	stop  context.CancelFunc
}

func testLogger(name string) *slog.Logger {
	w := io.Discard
	level := slog.LevelWarn
	if os.Getenv("HF_TEST_LOG") != "" {
		w, level = os.Stderr, slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level})).With("node", name)
}

// newMember opens nothing yet.
func newMember(t testing.TB, name string, opt Options) *member {
	t.Helper()
	opt.Name = name
	if opt.PeerAddr == "" {
		opt.PeerAddr = "127.0.0.1:0"
	}
	if opt.Timing == "" {
		opt.Timing = "lan"
	}
	opt.Version = "test"
	if opt.Steady == 0 {
		opt.Steady = 20 * time.Millisecond
	}
	m := &member{t: t, opt: opt}
	m.opt.TLSDir = filepath.Join(roomFor(t, opt.Timing), name)
	t.Cleanup(m.halt)
	return m
}

// roomFor is where a member's files go. The time-outs of fast are shorter than a sync of a disk that other packages' tests keep busy: its members
// write to memory where the system has a directory for that.
func roomFor(t testing.TB, timing string) string {
	t.Helper()
	if timing == "fast" {
		if dir, err := os.MkdirTemp("/dev/shm", "holdfast"); err == nil {
			t.Cleanup(func() {
				if err := os.RemoveAll(dir); err != nil {
					t.Error(err)
				}
			})
			return dir
		}
	}
	return t.TempDir()
}

// open makes the node. Its address is fixed from then on.
func (m *member) open() error {
	m.t.Helper()
	var err error
	root := filepath.Join(m.opt.TLSDir, "data")
	if m.dir, err = storage.Open(root); err != nil {
		return err
	}
	o := m.opt
	o.TLSDir = ""
	o.Dir, o.State, o.Logger = m.dir, fsm.New(), testLogger(m.opt.Name)
	if m.node, err = Open(o); err != nil {
		return errors.Join(err, m.dir.Close())
	}
	m.state = o.State
	m.opt.PeerAddr = m.node.tcp.Addr().String()
	return nil
}

func (m *member) mustOpen() {
	m.t.Helper()
	if err := m.open(); err != nil {
		m.t.Fatalf("open %s: %v", m.opt.Name, err)
	}
}

func (m *member) run() {
	ctx, stop := context.WithCancel(context.Background())
	m.stop = stop
	m.err = make(chan error, 1)
	node, done := m.node, m.err
	go func() {
		err := node.Run(ctx)
		if err != nil {
			node.log.Error("Run", "error", err)
		}
		done <- err
	}()
}

// halt stops the node gracefully, if it runs.
func (m *member) halt() { m.end(true) }

// crash stops the node without handing anything over.
func (m *member) crash() { m.end(false) }

func (m *member) end(handOver bool) {
	if m.node == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := m.node.shut(ctx, handOver); err != nil {
		m.t.Errorf("stop %s: %v", m.opt.Name, err)
		_ = pprof.Lookup("goroutine").WriteTo(os.Stderr, 2)
	}
	if m.stop != nil {
		m.stop()
		<-m.err
		m.stop = nil
	}
	if err := m.dir.Close(); err != nil {
		m.t.Errorf("close %s: %v", m.opt.Name, err)
	}
	m.node = nil
}

func (m *member) again() {
	m.t.Helper()
	m.mustOpen()
	m.run()
}

type group []*member

func initString(t testing.TB) string {
	t.Helper()
	s, err := pki.NewInit("test", time.Hour, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// expectTimed is expectGroup with a profile of intervals.
func expectTimed(t testing.TB, size int, timing string) group {
	t.Helper()
	return expectGroup(t, size, func(o *Options) { o.Timing = timing })
}

// expectGroup opens (and does not run) size nodes that will found a group together.
func expectGroup(t testing.TB, size int, change ...func(*Options)) group {
	t.Helper()
	token := initString(t)
	var g group
	var addrs []string
	for i := range size {
		opt := Options{BootstrapExpect: size, JoinToken: token}
		for _, f := range change {
			f(&opt)
		}
		g = append(g, newMember(t, fmt.Sprintf("n%d", i+1), opt))
		g[i].mustOpen()
		addrs = append(addrs, g[i].node.Addr())
		g[i].opt.Join = addrs
	}
	for _, m := range g {
		m.opt.Join = addrs
		m.node.opt.Join = addrs
	}
	return g
}

// startGroup gives a group that serves.
func startGroup(t testing.TB, size int) group {
	t.Helper()
	g := expectGroup(t, size)
	for _, m := range g {
		m.run()
	}
	g.ready()
	return g
}

// ready waits until all running nodes know a leader and the group.
func (g group) ready() {
	for _, m := range g {
		if m.node != nil {
			m.t.Helper()
			within(m.t, 20*time.Second, m.opt.Name+" is not ready", func() bool { return m.node.Ready() == nil })
		}
	}
}

// leader waits until a running node leads and is ready.
func (g group) leader() *member {
	g[0].t.Helper()
	var found *member
	within(g[0].t, 20*time.Second, "no leader", func() bool {
		for _, m := range g {
			if m.node == nil {
				continue
			}
			if l := m.node.lead.Load(); l != nil {
				select {
				case <-l.ready:
					found = m
					return true
				default:
				}
			}
		}
		return false
	})
	return found
}

func (g group) followers() (out group) {
	l := g.leader()
	for _, m := range g {
		if m != l && m.node != nil {
			out = append(out, m)
		}
	}
	return out
}

func ctxFor(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

func testKey(i int) (k fsm.Key) {
	binary.BigEndian.PutUint64(k[:], uint64(i)*0x9e3779b97f4a7c15)
	binary.BigEndian.PutUint64(k[8:], uint64(i))
	return k
}

// configure gives the group two instances and their ids.
func (g group) configure() (a, b fsm.InstanceID) {
	t := g[0].t
	t.Helper()
	c, err := config.Parse("test", []byte(`
clusters:
  - name: c
    modules: [{contextRoot: /}]
    instances:
      - {name: a, listeners: ["http://127.0.0.1:1"]}
      - {name: b, listeners: ["http://127.0.0.1:2"]}
`))
	if err != nil {
		t.Fatal(err)
	}
	r, err := g[0].node.Propose(ctxFor(t, 10*time.Second), &fsm.ConfigSet{Actor: "test", Config: c})
	if err != nil || r.Code != fsm.CodeOK {
		t.Fatalf("configure: %+v, %v", r, err)
	}
	for _, m := range g {
		within(t, 5*time.Second, "configuration on "+m.opt.Name, func() bool { return m.state.Revision().Number == r.Revision })
	}
	a, _ = g[0].state.InstanceID("c", "a")
	b, _ = g[0].state.InstanceID("c", "b")
	return a, b
}

// record has op recorded, as a client that does not give up would: on a busy machine a group can be without a leader for
// longer than three election time-outs.
func (m *member) record(op fsm.SessionOp) fsm.SessionResult {
	m.t.Helper()
	r, err := m.node.Record(ctxFor(m.t, 20*time.Second), op)
	for again := 0; errors.Is(err, ErrNoQuorum) && again < 50; again++ {
		within(m.t, 20*time.Second, "quorum on "+m.opt.Name, m.node.Quorum)
		r, err = m.node.Record(ctxFor(m.t, 20*time.Second), op)
	}
	if err != nil {
		m.t.Fatalf("record on %s: %v", m.opt.Name, err)
	}
	return r
}

// sync is Sync with the same patience.
func (m *member) sync() {
	m.t.Helper()
	err := m.node.Sync(ctxFor(m.t, 20*time.Second))
	for again := 0; errors.Is(err, ErrNoQuorum) && again < 50; again++ {
		within(m.t, 20*time.Second, "quorum on "+m.opt.Name, m.node.Quorum)
		err = m.node.Sync(ctxFor(m.t, 20*time.Second))
	}
	if err != nil {
		m.t.Fatalf("sync on %s: %v", m.opt.Name, err)
	}
}

package storage

import (
	"fmt"
	"io"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

// lines is a state machine that keeps what was applied.
type lines struct {
	mu sync.Mutex
	n  uint64
	at uint64
}

func (l *lines) Apply(e *raft.Log) any {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.n++
	l.at = e.Index
	return nil
}

func (l *lines) Snapshot() (raft.FSMSnapshot, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return linesSnapshot{l.n, l.at}, nil
}

func (l *lines) Restore(r io.ReadCloser) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, err := fmt.Fscan(r, &l.n, &l.at)
	return err
}

func (l *lines) count() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.n
}

type linesSnapshot struct{ n, at uint64 }

func (s linesSnapshot) Persist(sink raft.SnapshotSink) error {
	if _, err := fmt.Fprintln(sink, s.n, s.at); err != nil {
		return err
	}
	return sink.Close()
}

func (linesSnapshot) Release() {}

type raftMember struct {
	dir   *Dir
	fsm   *lines
	trans *raft.InmemTransport
	raft  *raft.Raft
}

func startRaft(t *testing.T, path, name string) *raftMember {
	t.Helper()
	m := &raftMember{dir: mustOpen(t, path), fsm: &lines{}}
	id := testIdentity
	id.Name = name
	if err := m.dir.SetIdentity(id); err != nil {
		t.Fatal(err)
	}
	_, m.trans = raft.NewInmemTransport(raft.ServerAddress(name))
	conf := raft.DefaultConfig()
	conf.LocalID = raft.ServerID(name)
	conf.HeartbeatTimeout, conf.ElectionTimeout, conf.LeaderLeaseTimeout = 100*time.Millisecond, 100*time.Millisecond, 80*time.Millisecond
	conf.CommitTimeout = 2 * time.Millisecond
	conf.TrailingLogs = 20
	conf.SnapshotThreshold = 1 << 30
	conf.RestoreCommittedLogs = true
	conf.Logger = hclog.NewNullLogger()
	var err error
	if m.raft, err = raft.NewRaft(conf, m.fsm, m.dir.Log(), m.dir.Stable(), m.dir.Snapshots(), m.trans); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.raft.Shutdown() })
	return m
}

func (m *raftMember) stop(t *testing.T) {
	t.Helper()
	if err := m.raft.Shutdown().Error(); err != nil {
		t.Fatal(err)
	}
	mustClose(t, m.dir)
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline.C:
			t.Fatalf("not in time: %s", what)
		case <-tick.C:
		}
	}
}

// TestRaftRestart runs raft itself on the stores: write, snapshot, compact, restart, write; then an empty second member is
// brought up by snapshot, which leaves a gap at the front of its log.
func TestRaftRestart(t *testing.T) {
	base := t.TempDir()
	a := startRaft(t, filepath.Join(base, "a"), "a")
	if !a.dir.Empty() {
		t.Error("not empty")
	}
	if err := a.raft.BootstrapCluster(raft.Configuration{Servers: []raft.Server{{ID: "a", Address: "a"}}}).Error(); err != nil {
		t.Fatal(err)
	}
	total := uint64(0)
	write := func(n int) {
		t.Helper()
		// With two members a restart of one costs the other its leadership.
		for range n {
			until(t, "write", func() bool { return a.raft.Apply([]byte("line"), 10*time.Second).Error() == nil })
		}
		total = a.fsm.count()
	}
	write(100)
	if err := a.raft.Snapshot().Error(); err != nil {
		t.Fatal(err)
	}
	until(t, "compaction", func() bool { first, _ := a.dir.Log().FirstIndex(); return first > 50 })
	write(30)
	a.stop(t)
	if _, err := Verify(a.dir.Path()); err != nil {
		t.Fatal(err)
	}
	a = startRaft(t, filepath.Join(base, "a"), "a")
	// All but the last entry was known to be committed on disk, so it is applied before any election.
	until(t, "replay", func() bool { return a.fsm.count() >= total-1 })
	write(10)
	if a.dir.Empty() || total != 140 {
		t.Errorf("applied %d", total)
	}

	b := startRaft(t, filepath.Join(base, "b"), "b")
	a.trans.Connect("b", b.trans)
	b.trans.Connect("a", a.trans)
	if err := a.raft.AddVoter("b", "b", 0, 10*time.Second).Error(); err != nil {
		t.Fatal(err)
	}
	write(10)
	until(t, "second member", func() bool { return b.fsm.count() == total })
	b.stop(t)
	r, err := Verify(b.dir.Path())
	if err != nil || r.FirstIndex < 50 || len(r.Snapshots) != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	b = startRaft(t, filepath.Join(base, "b"), "b")
	b.trans.Connect("a", a.trans)
	a.trans.Connect("b", b.trans)
	write(5)
	until(t, "second member after a restart", func() bool { return b.fsm.count() == total })
	b.stop(t)
	a.stop(t)
}

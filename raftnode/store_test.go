package raftnode

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/storage"
)

// badDisk fails as told.
type badDisk struct {
	*raft.InmemStore
	err error
}

// fullDisk has no room until it is told.
type fullDisk struct {
	*raft.InmemStore
	room atomic.Bool
}

func (d *fullDisk) SetUint64(k []byte, v uint64) error {
	if !d.room.Load() {
		return storage.ErrNoSpace
	}
	return d.InmemStore.SetUint64(k, v)
}

func (d *badDisk) StageCommitIndex(uint64) error      { return nil }
func (d *badDisk) GetCommitIndex() (uint64, error)    { return 5, nil }
func (d *badDisk) StoreLogs([]*raft.Log) error        { return d.err }
func (d *badDisk) GetLog(uint64, *raft.Log) error     { return d.err }
func (d *badDisk) DeleteRange(uint64, uint64) error   { return d.err }
func (d *badDisk) Set([]byte, []byte) error           { return d.err }
func (d *badDisk) SetUint64(k []byte, v uint64) error { return d.err }

func TestDiskGuardStopsTheNode(t *testing.T) {
	corrupt := &storage.CorruptError{Path: "raft.db", Index: 7, Reason: "flipped"}
	fatal := &storage.FatalError{Op: "store", Path: "raft.db", Err: errors.New("EIO")}
	for name, c := range map[string]struct {
		err   error
		call  func(guardedLog, guardedStable) error
		stops bool
		exits bool // raft's goroutine goes no further
	}{
		"store fatal":     {fatal, func(l guardedLog, _ guardedStable) error { return l.StoreLog(&raft.Log{Index: 1}) }, true, false},
		"store full disk": {storage.ErrNoSpace, func(l guardedLog, _ guardedStable) error { return l.StoreLogs(nil) }, false, false},
		"delete corrupt":  {corrupt, func(l guardedLog, _ guardedStable) error { return l.DeleteRange(1, 2) }, true, false},
		"get corrupt":     {corrupt, func(l guardedLog, _ guardedStable) error { return l.GetLog(7, &raft.Log{}) }, true, true},
		"get missing":     {raft.ErrLogNotFound, func(l guardedLog, _ guardedStable) error { return l.GetLog(7, &raft.Log{}) }, false, false},
		"set fatal":       {fatal, func(_ guardedLog, s guardedStable) error { return s.SetUint64([]byte("x"), 1) }, true, true},
		"set ok":          {nil, func(_ guardedLog, s guardedStable) error { return s.Set([]byte("x"), nil) }, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			var stopped error
			g := &diskGuard{stop: func(err error) { stopped = err }}
			g.live.Store(true)
			d := &badDisk{InmemStore: raft.NewInmemStore(), err: c.err}
			returned := false
			var wg sync.WaitGroup
			wg.Add(1)
			go func() {
				defer wg.Done()
				err := c.call(guardedLog{d, g}, guardedStable{d, g})
				returned = true
				if !errors.Is(err, c.err) {
					t.Errorf("got %v", err)
				}
			}()
			wg.Wait()
			if (stopped != nil) != c.stops || returned == c.exits {
				t.Errorf("stopped by %v, returned %v", stopped, returned)
			}
		})
	}
}

// TestFullDiskDelaysAVote: raft would panic; waiting is as safe as a slow disk.
func TestFullDiskDelaysAVote(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		done := make(chan struct{})
		g := &diskGuard{stop: func(err error) { t.Errorf("stopped: %v", err) }, done: done}
		g.live.Store(true)
		d := &fullDisk{InmemStore: raft.NewInmemStore()}
		result := make(chan error, 1)
		go func() { result <- guardedStable{d, g}.SetUint64([]byte("CurrentTerm"), 9) }()
		time.Sleep(time.Minute)
		synctest.Wait()
		select {
		case err := <-result:
			t.Fatalf("returned on a full disk: %v", err)
		default:
		}
		d.room.Store(true)
		if err := <-result; err != nil {
			t.Error(err)
		}
	})
}

// commitLog is an in-memory log with a commit index.
type commitLog struct {
	*raft.InmemStore
	commit uint64
}

func (l *commitLog) StageCommitIndex(i uint64) error { l.commit = i; return nil }
func (l *commitLog) GetCommitIndex() (uint64, error) { return l.commit, nil }

func touchEntry(t *testing.T, i int) []byte {
	t.Helper()
	return fsm.EncodeSessions(time.UnixMilli(1767225600000+int64(i)), []fsm.SessionOp{{Kind: fsm.OpTouch, Key: testKey(i)}})
}

func testLog(t *testing.T, last int) *commitLog {
	t.Helper()
	l := &commitLog{InmemStore: raft.NewInmemStore()}
	for i := 1; i <= last; i++ {
		e := &raft.Log{Index: uint64(i), Term: 1, Type: raft.LogCommand, Data: touchEntry(t, i)}
		if i%5 == 1 {
			e.Type, e.Data = raft.LogNoop, nil
		}
		if err := l.StoreLog(e); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

func TestReplay(t *testing.T) {
	l := testLog(t, 300)
	l.commit = 256 // a no-op
	s := fsm.New()
	if err := replay(l, raft.NewInmemSnapshotStore(), s); err != nil || s.Applied() != 255 {
		t.Fatalf("applied %d, %v: a no-op must not count", s.Applied(), err)
	}
	l.commit = 257
	s = fsm.New()
	if err := replay(l, raft.NewInmemSnapshotStore(), s); err != nil {
		t.Fatal(err)
	}
	if s.Applied() != 257 {
		t.Errorf("applied %d", s.Applied())
	}
	again := fsm.New()
	if err := replay(l, raft.NewInmemSnapshotStore(), again); err != nil || again.Digest() != s.Digest() {
		t.Errorf("second replay differs: %v", err)
	}
	// From a snapshot, with the log cut behind it, and a commit index that is older than the snapshot.
	snaps := raft.NewInmemSnapshotStore()
	_, trans := raft.NewInmemTransport("")
	sink, err := snaps.Create(1, 258, 1, raft.Configuration{}, 1, trans)
	if err != nil {
		t.Fatal(err)
	}
	if err := (fsmSnapshot{s.Snapshot()}).Persist(sink); err != nil {
		t.Fatal(err)
	}
	if err := l.DeleteRange(1, 258); err != nil {
		t.Fatal(err)
	}
	for commit, want := range map[uint64]uint64{100: 257, 280: 280} {
		l.commit = commit
		got := fsm.New()
		if err := replay(l, snaps, got); err != nil || got.Applied() != want {
			t.Errorf("commit %d: applied %d, %v", commit, got.Applied(), err)
		}
	}
	// Without the snapshot there is a hole.
	if err := replay(l, raft.NewInmemSnapshotStore(), fsm.New()); err == nil || !strings.Contains(err.Error(), "begins at entry 259") {
		t.Errorf("hole: %v", err)
	}
	bad := testLog(t, 10)
	bad.commit = 10
	if err := bad.StoreLog(&raft.Log{Index: 7, Term: 1, Data: []byte("not an entry")}); err != nil {
		t.Fatal(err)
	}
	if err := replay(bad, raft.NewInmemSnapshotStore(), fsm.New()); err == nil || !strings.Contains(err.Error(), "entry 7") {
		t.Errorf("damaged entry: %v", err)
	}
}

func TestAdapterSkipsStopsAndSnapshots(t *testing.T) {
	s := fsm.New()
	for i := 1; i <= 5; i++ { // as replay does
		if _, err := s.Apply(uint64(i), touchEntry(t, i)); err != nil {
			t.Fatal(err)
		}
	}
	var stopped error
	var members int
	a := &fsmAdapter{state: s, stop: func(err error) { stopped = err }, applied: &broadcast{}, revised: &broadcast{}, heard: func(time.Time) {},
		members: func(uint64, raft.Configuration) { members++ }}
	entry := func(i int) *raft.Log {
		return &raft.Log{Index: uint64(i), Term: 2, Type: raft.LogCommand, Data: touchEntry(t, i)}
	}
	signalled := a.applied.wait()
	out := a.ApplyBatch([]*raft.Log{entry(3), entry(4)})
	if out[0] != nil || out[1] != nil || s.Applied() != 5 {
		t.Errorf("skipped entries gave %v, applied %d", out, s.Applied())
	}
	if _, err := a.Snapshot(); err == nil {
		t.Error("a snapshot while catching up would have the wrong index")
	}
	conf := &raft.Log{Index: 6, Type: raft.LogConfiguration, Data: raft.EncodeConfiguration(raft.Configuration{})}
	out = a.ApplyBatch([]*raft.Log{entry(5), conf, entry(7)})
	if r, ok := out[2].(fsm.Result); !ok || r.Index != 7 || out[1] != nil || members != 1 || s.Applied() != 7 {
		t.Errorf("gave %+v, %d memberships, applied %d", out, members, s.Applied())
	}
	select {
	case <-signalled:
	default:
		t.Error("nobody was woken")
	}
	snap, err := a.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	var image bytes.Buffer
	if _, err := snap.(fsmSnapshot).s.WriteTo(&image); err != nil {
		t.Fatal(err)
	}
	snap.Release()
	fresh := &fsmAdapter{state: fsm.New(), stop: func(error) {}, applied: &broadcast{}, revised: &broadcast{}, heard: func(time.Time) {}}
	if err := fresh.Restore(io.NopCloser(&image)); err != nil || fresh.state.Digest() != s.Digest() || fresh.delivered != 7 {
		t.Errorf("restore: %v", err)
	}
	if err := fresh.Restore(io.NopCloser(strings.NewReader("garbage"))); err == nil || fresh.state.Digest() != s.Digest() {
		t.Errorf("garbage: %v", err)
	}
	broken := entry(8)
	broken.Data = []byte("garbage")
	digest := s.Digest()
	out = a.ApplyBatch([]*raft.Log{broken, entry(9)})
	if stopped == nil || !strings.Contains(stopped.Error(), "entry 8") || s.Digest() != digest {
		t.Errorf("stopped by %v", stopped)
	}
	for i, r := range out {
		if _, isErr := r.(error); !isErr {
			t.Errorf("result %d after the stop: %v", i, r)
		}
	}
	if _, err := a.Snapshot(); err == nil {
		t.Error("a stopped node takes a snapshot")
	}
}

// TestFailedNodeStops: Run says why, and the others go on without it.
func TestFailedNodeStops(t *testing.T) {
	g := startGroup(t, 3)
	a, _ := g.configure()
	broken := g.leader()
	reason := errors.New("the disk is in doubt")
	broken.node.fail(reason)
	broken.node.fail(errors.New("a later one"))
	select {
	case err := <-broken.err:
		if !errors.Is(err, reason) {
			t.Errorf("Run gave %v", err)
		}
		broken.err <- err // for halt
	case <-time.After(20 * time.Second):
		t.Fatal("Run does not return")
	}
	rest := group{}
	for _, m := range g {
		if m != broken {
			rest = append(rest, m)
		}
	}
	rest.leader()
	rest[0].record(fsm.SessionOp{Kind: fsm.OpAssign, Key: testKey(1), Instance: a})
	if _, err := broken.node.Record(ctxFor(t, 10*time.Second), fsm.SessionOp{Kind: fsm.OpAssign, Key: testKey(2), Instance: a}); err == nil {
		t.Error("a failed node records")
	}
}

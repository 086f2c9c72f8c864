package raftnode

import (
	"errors"
	"io"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/holdfast-lb/holdfast/fsm"
)

// snapshotOfFive is a store with a snapshot of index 5 and term 2.
func snapshotOfFive(t *testing.T) *raft.InmemSnapshotStore {
	t.Helper()
	snaps := raft.NewInmemSnapshotStore()
	addr, trans := raft.NewInmemTransport("")
	servers := []raft.Server{{ID: "self", Address: addr}, {ID: "leader", Address: "leader"}}
	sink, err := snaps.Create(1, 5, 2, raft.Configuration{Servers: servers}, 1, trans)
	if err != nil {
		t.Fatal(err)
	}
	if err := (fsmSnapshot{fsm.New().Snapshot()}).Persist(sink); err != nil {
		t.Fatal(err)
	}
	return snaps
}

func TestNodeLogFillsTheHole(t *testing.T) {
	store := &commitLog{InmemStore: raft.NewInmemStore(), commit: 3}
	for i := uint64(1); i <= 4; i++ { // 5 is in the snapshot only
		if err := store.StoreLog(&raft.Log{Index: i, Term: 2}); err != nil {
			t.Fatal(err)
		}
	}
	l, err := newNodeLog(store, snapshotOfFive(t))
	if err != nil {
		t.Fatal(err)
	}
	var got raft.Log
	if err := l.GetLog(4, &got); err != nil || got.Index != 4 {
		t.Errorf("nothing is behind the snapshot yet: entry 4: %v", err)
	}
	if err := l.GetLog(5, &got); !errors.Is(err, raft.ErrLogNotFound) {
		t.Errorf("nothing is behind the snapshot yet: entry 5: %v", err)
	}
	if err := l.StoreLog(&raft.Log{Index: 6, Term: 2}); err != nil {
		t.Fatal(err)
	}
	if err := l.GetLog(5, &got); err != nil || got.Index != 5 || got.Term != 2 || got.Type != raft.LogNoop {
		t.Errorf("the snapshot's entry: %+v, %v", got, err)
	}
	for _, hidden := range []uint64{1, 4, 7} {
		if err := l.GetLog(hidden, &got); !errors.Is(err, raft.ErrLogNotFound) {
			t.Errorf("entry %d: %v", hidden, err)
		}
	}
	if err := l.GetLog(6, &got); err != nil || got.Index != 6 {
		t.Errorf("entry 6: %v", err)
	}
	// A snapshot whose last entry is in the log hides nothing.
	if err := l.snapshotAt(6, 2); err != nil || l.GetLog(6, &got) != nil || got.Type != raft.LogCommand {
		t.Errorf("entry 6: %+v, %v", got, err)
	}
	if err := l.snapshotAt(5, 2); err != nil || l.snap.Index != 6 {
		t.Errorf("an older snapshot counts: %+v, %v", l.snap, err)
	}
	if i, err := l.GetCommitIndex(); i != 0 || err != nil {
		t.Errorf("commit index %d, %v: raft would run its own restore, see replay", i, err)
	}
	if err := l.StageCommitIndex(6); err != nil || store.commit != 6 {
		t.Errorf("staged %d, %v", store.commit, err)
	}
}

// TestFollowerWithAHoleTakesEntries drives a real raft in the state in which it used to ask for the same snapshot for ever:
// snapshot 5, entry 6, and a leader that sends entry 6 again.
func TestFollowerWithAHoleTakesEntries(t *testing.T) {
	snaps := snapshotOfFive(t)
	store := &commitLog{InmemStore: raft.NewInmemStore()}
	entry := &raft.Log{Index: 6, Term: 2, Type: raft.LogNoop}
	if err := store.StoreLog(entry); err != nil {
		t.Fatal(err)
	}
	if err := store.SetUint64(keyTerm, 2); err != nil {
		t.Fatal(err)
	}
	l, err := newNodeLog(store, snaps)
	if err != nil {
		t.Fatal(err)
	}
	addr, trans := raft.NewInmemTransport("")
	c := timings["wan"].raftConfig("self")
	c.Logger = newRaftLogger(testLogger("self"))
	a := &fsmAdapter{state: fsm.New(), stop: func(error) {}, applied: &broadcast{}, revised: &broadcast{}, members: func(uint64, raft.Configuration) {}, heard: func(time.Time) {}}
	r, err := raft.NewRaft(c, a, l, store, notedSnapshots{snaps, l, &diskGuard{}}, trans)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := r.Shutdown().Error(); err != nil {
			t.Error(err)
		}
	}()
	_, leader := raft.NewInmemTransport("leader")
	leader.Connect(addr, trans)
	req := &raft.AppendEntriesRequest{
		RPCHeader: raft.RPCHeader{ProtocolVersion: 3, ID: []byte("leader"), Addr: []byte("leader")},
		Term:      2, PrevLogEntry: 5, PrevLogTerm: 2,
		Entries: []*raft.Log{entry, {Index: 7, Term: 2, Type: raft.LogNoop}}, LeaderCommitIndex: 6,
	}
	var resp raft.AppendEntriesResponse
	if err := leader.AppendEntries("self", addr, req, &resp); err != nil {
		t.Fatal(err)
	}
	if !resp.Success || r.LastIndex() != 7 {
		t.Errorf("%+v, last index %d", resp, r.LastIndex())
	}
	// And a snapshot that arrives is noted.
	sink, err := notedSnapshots{snaps, l, &diskGuard{}}.Create(1, 9, 2, raft.Configuration{}, 1, trans)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(sink, "x"); err != nil {
		t.Fatal(err)
	}
	if err := sink.Close(); err != nil || l.snap.Index != 9 || !l.hole {
		t.Errorf("noted %+v, %v", l.snap, err)
	}
}

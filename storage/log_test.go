package storage

import (
	"errors"
	"slices"
	"testing"

	"github.com/hashicorp/raft"
)

func TestLogRoundTrip(t *testing.T) {
	d := newDir(t)
	in := entries(1, 130, 200)
	kept := make([]raft.Log, len(in))
	for i, l := range in {
		kept[i] = *l
		kept[i].Extensions = slices.Clone(l.Extensions)
	}
	store(t, d.Log(), in[:1]...)
	store(t, d.Log(), in[1:64]...)
	store(t, d.Log(), in[64:]...)
	for i := range kept {
		deepEqual(t, "the caller's entry", *in[i], kept[i])
	}
	wantEntries(t, d.Log(), 1, 130, 200)
	mustClose(t, d)
	d = mustOpen(t, d.Path())
	wantEntries(t, d.Log(), 1, 130, 200)
	var l raft.Log
	for _, i := range []uint64{0, 131, sealIndex} {
		if err := d.Log().GetLog(i, &l); err != raft.ErrLogNotFound {
			t.Errorf("GetLog(%d): %v", i, err)
		}
	}
}

func TestLogEmpty(t *testing.T) {
	d := newDir(t)
	wantEntries(t, d.Log(), 0, 0, 0)
	if !d.Empty() {
		t.Error("a fresh directory is not empty")
	}
	if c, err := d.Log().GetCommitIndex(); c != 0 || err != nil {
		t.Errorf("commit index %d, %v", c, err)
	}
	if err := d.Log().StoreLogs(nil); err != nil {
		t.Error(err)
	}
	if err := d.Log().DeleteRange(1, 10); err != nil {
		t.Error(err)
	}
	// Data and Extensions that are nil stay nil.
	store(t, d.Log(), &raft.Log{Index: 1, Term: 1, Type: raft.LogNoop})
	var l raft.Log
	if err := d.Log().GetLog(1, &l); err != nil || l.Data != nil || l.Extensions != nil {
		t.Errorf("%+v, %v", l, err)
	}
	if d.Empty() {
		t.Error("a directory with an entry is empty")
	}
}

func TestStoreLogsRefuses(t *testing.T) {
	d := newDir(t)
	store(t, d.Log(), entries(1, 5, 10)...)
	for name, logs := range map[string][]*raft.Log{
		"index 0":       {entry(0, 1)},
		"present":       {entry(5, 1)},
		"twice":         {entry(6, 1), entry(6, 1)},
		"descending":    {entry(7, 1), entry(6, 1)},
		"reserved":      {entry(sealIndex, 1)},
		"second is bad": {entry(6, 1), entry(2, 1)},
	} {
		if err := d.Log().StoreLogs(logs); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	wantEntries(t, d.Log(), 1, 5, 10)
	store(t, d.Log(), entry(6, 10))
	wantEntries(t, d.Log(), 1, 6, 10)
}

func TestNoStateBeforeIdentity(t *testing.T) {
	d := mustOpen(t, t.TempDir()+"/d")
	if err := d.Log().StoreLog(entry(1, 1)); !errors.Is(err, ErrNoIdentity) {
		t.Error(err)
	}
	if err := d.Stable().SetUint64([]byte("CurrentTerm"), 1); !errors.Is(err, ErrNoIdentity) {
		t.Error(err)
	}
	if err := d.Stable().Set([]byte("promise"), []byte("x")); err != nil {
		t.Error(err)
	}
	if !d.Empty() {
		t.Error("not empty")
	}
}

func TestCommitIndex(t *testing.T) {
	d := newDir(t)
	want := func(w uint64) {
		t.Helper()
		if c, err := d.Log().GetCommitIndex(); c != w || err != nil {
			t.Fatalf("commit index %d, %v; want %d", c, err, w)
		}
	}
	stage := func(i uint64) {
		t.Helper()
		if err := d.Log().StageCommitIndex(i); err != nil {
			t.Fatal(err)
		}
	}
	reopen := func() {
		t.Helper()
		mustClose(t, d)
		d = mustOpen(t, d.Path())
	}
	stage(3)
	want(0) // staged alone it is nowhere
	store(t, d.Log(), entries(1, 10, 10)...)
	want(3)
	stage(99) // more than there is
	store(t, d.Log(), entry(11, 10))
	want(11)
	stage(12)
	reopen()
	want(11) // lost with the process: no entries came
	store(t, d.Log(), entries(12, 20, 10)...)
	want(11) // nothing staged by this process yet
	stage(15)
	if err := d.Stable().SetUint64([]byte("CurrentTerm"), 7); err != nil {
		t.Fatal(err)
	}
	want(11) // only StoreLogs takes it along
	store(t, d.Log(), entry(21, 10))
	want(15)
	if err := d.Log().DeleteRange(13, 21); err != nil {
		t.Fatal(err)
	}
	want(12) // never above the last index
	reopen()
	want(12)
	if err := d.Log().DeleteRange(1, 12); err != nil {
		t.Fatal(err)
	}
	want(0)
	reopen()
	want(0)
	wantEntries(t, d.Log(), 0, 0, 0)
}

func TestDeleteRange(t *testing.T) {
	d := newDir(t)
	n := uint64(3*deleteStep + 17)
	store(t, d.Log(), entries(1, n, 30)...)
	writeSnapshot(t, d, n, 1, []byte("covers what is deleted"))
	check := func(lo, hi uint64) {
		t.Helper()
		wantEntries(t, d.Log(), lo, hi, 30)
		mustClose(t, d)
		d = mustOpen(t, d.Path())
		wantEntries(t, d.Log(), lo, hi, 30)
	}
	del := func(lo, hi uint64) {
		t.Helper()
		if err := d.Log().DeleteRange(lo, hi); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Log().DeleteRange(10, 20); err == nil {
		t.Error("a hole was made")
	}
	del(0, 9)
	check(10, n)
	del(10, 2*deleteStep+100)
	check(2*deleteStep+101, n)
	// A conflicting suffix, and other entries at the same indexes in its place.
	del(n-5, n)
	for i := n - 5; i <= n; i++ {
		e := entry(i, 40)
		e.Term = 1000
		store(t, d.Log(), e)
	}
	del(n-5, n+100)
	store(t, d.Log(), entries(n-5, n, 30)...)
	check(2*deleteStep+101, n)
	del(1, n)
	check(0, 0)
	writeSnapshot(t, d, 4999, 1, []byte("from another node"))
	store(t, d.Log(), entries(5000, 5003, 30)...)
	check(5000, 5003)
}

func TestLogGap(t *testing.T) {
	d := newDir(t)
	store(t, d.Log(), entries(1, 10, 20)...)
	store(t, d.Log(), entries(50, 60, 20)...)
	writeSnapshot(t, d, 49, 1, []byte("state"))
	mustClose(t, d)
	d = mustOpen(t, d.Path())
	var l raft.Log
	for i, found := range map[uint64]bool{10: true, 11: false, 49: false, 50: true} {
		if err := d.Log().GetLog(i, &l); (err == nil) != found || err != nil && err != raft.ErrLogNotFound {
			t.Errorf("GetLog(%d): %v", i, err)
		}
	}
	if err := d.Log().DeleteRange(1, 52); err != nil {
		t.Fatal(err)
	}
	wantEntries(t, d.Log(), 53, 60, 20)
	mustClose(t, d)
	// The snapshot ends before the log begins.
	_, err := Open(d.Path())
	wantCorrupt(t, err, d.log.path)
}

func TestUseAfterClose(t *testing.T) {
	d := newDir(t)
	store(t, d.Log(), entry(1, 1))
	mustClose(t, d)
	mustClose(t, d)
	var l raft.Log
	_, err1 := d.Log().LastIndex()
	_, err2 := d.Stable().Get([]byte("x"))
	for i, err := range []error{
		d.Log().GetLog(1, &l), d.Log().StoreLog(entry(2, 1)), d.Log().DeleteRange(1, 1), err1, err2,
		d.Stable().Set([]byte("x"), nil), d.SetIdentity(testIdentity),
	} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("call %d: %v", i, err)
		}
	}
}

// TestConcurrentUse appends, compacts, votes and reads at once, as raft does from its goroutines.
func TestConcurrentUse(t *testing.T) {
	d := newDir(t)
	l := d.Log()
	store(t, l, entries(1, 2000, 20)...)
	done := make(chan error, 3)
	go func() {
		for i := uint64(2001); i <= 2150; i++ {
			if err := l.StoreLog(entry(i, 20)); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	go func() { done <- errors.Join(l.DeleteRange(1, 900), l.DeleteRange(1, 1800)) }()
	go func() {
		for i := uint64(1); i <= 40; i++ {
			if err := d.Stable().SetUint64([]byte("CurrentTerm"), i); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for running := 3; running > 0; {
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			running--
		default:
			var got raft.Log
			for _, i := range []uint64{1, 900, 1790, 1900, 2100} {
				if err := l.GetLog(i, &got); err != nil && err != raft.ErrLogNotFound {
					t.Fatal(err)
				} else if err == nil && !sameEntry(&got, entry(i, 20)) {
					t.Fatalf("entry %d is another", i)
				}
			}
		}
	}
	writeSnapshot(t, d, 1800, 1, []byte("state"))
	mustClose(t, d)
	d = mustOpen(t, d.Path())
	wantEntries(t, d.Log(), 1801, 2150, 20)
}

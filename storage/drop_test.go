package storage

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/hashicorp/raft"
)

// filled gives a directory with a long log, two snapshots, a term and a vote.
func filled(t *testing.T) *Dir {
	t.Helper()
	d := newDir(t)
	var logs []*raft.Log
	for i := uint64(1); i <= 3*deleteStep; i++ {
		logs = append(logs, entry(i, 10))
	}
	if err := d.Log().StoreLogs(logs); err != nil {
		t.Fatal(err)
	}
	for _, index := range []uint64{400, 800} {
		_, trans := raft.NewInmemTransport("x")
		sink, err := d.Snapshots().Create(raft.SnapshotVersionMax, index, 9, raft.Configuration{}, 1, trans)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(sink, "state"); err != nil {
			t.Fatal(err)
		}
		if err := sink.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(d.Stable().SetUint64([]byte("CurrentTerm"), 31), d.Stable().Set([]byte("LastVoteCand"), []byte("n2"))); err != nil {
		t.Fatal(err)
	}
	return d
}

// wantDropped checks that nothing is left but who the node is and whom it has voted for.
func wantDropped(t *testing.T, d *Dir) {
	t.Helper()
	first, err1 := d.Log().FirstIndex()
	last, err2 := d.Log().LastIndex()
	commit, err3 := d.Log().GetCommitIndex()
	list, err4 := d.Snapshots().List()
	term, err5 := d.Stable().GetUint64([]byte("CurrentTerm"))
	vote, err6 := d.Stable().Get([]byte("LastVoteCand"))
	if err := errors.Join(err1, err2, err3, err4, err5, err6); err != nil {
		t.Fatal(err)
	}
	if id, ok := d.Identity(); first != 0 || last != 0 || commit != 0 || len(list) != 0 || term != 31 || string(vote) != "n2" || !ok || id != testIdentity {
		t.Errorf("log %d..%d, committed %d, %d snapshots, term %d, vote %q, identity %+v", first, last, commit, len(list), term, vote, id)
	}
}

func TestDropState(t *testing.T) {
	d := filled(t)
	for range 2 { // it can be repeated
		if err := d.DropState(); err != nil {
			t.Fatal(err)
		}
		wantDropped(t, d)
	}
	mustClose(t, d)
	d = mustOpen(t, d.Path())
	wantDropped(t, d)
	if err := d.Log().StoreLog(entry(1, 10)); err != nil { // and it goes on
		t.Fatal(err)
	}
	mustClose(t, d)
	if last, err := mustOpen(t, d.Path()).Log().LastIndex(); err != nil || last != 1 {
		t.Errorf("last index %d, %v", last, err)
	}
}

// TestDropStateInterrupted: a part of it leaves a directory that opens, and the next call does the rest.
func TestDropStateInterrupted(t *testing.T) {
	for name, part := range map[string]func(*testing.T, *Dir){
		"the log is gone": func(t *testing.T, d *Dir) {
			if err := d.log.DeleteRange(1, 3*deleteStep); err != nil {
				t.Fatal(err)
			}
		},
		"the log is declared gone": func(t *testing.T, d *Dir) {
			d.log.write.Lock()
			defer d.log.write.Unlock()
			if err := d.log.declare(d.log.cur, span{1, 3 * deleteStep}); err != nil {
				t.Fatal(err)
			}
		},
		"one snapshot is gone too": func(t *testing.T, d *Dir) {
			if err := d.log.DeleteRange(1, 3*deleteStep); err != nil {
				t.Fatal(err)
			}
			dir := filepath.Join(d.path, snapshotDir)
			ids, err := snapshotIDs(dir)
			if err != nil || len(ids) != 2 {
				t.Fatal(ids, err)
			}
			if err := os.Rename(filepath.Join(dir, ids[1]), filepath.Join(dir, ids[1]+".tmp")); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := filled(t)
			part(t, d)
			mustClose(t, d)
			d = mustOpen(t, d.Path())
			if err := d.DropState(); err != nil {
				t.Fatal(err)
			}
			wantDropped(t, d)
		})
	}
}

func TestDropStateOfAClosedDirectory(t *testing.T) {
	d := filled(t)
	mustClose(t, d)
	if err := d.DropState(); !errors.Is(err, ErrClosed) {
		t.Errorf("got %v", err)
	}
	if last, err := mustOpen(t, d.Path()).Log().LastIndex(); err != nil || last != 3*deleteStep {
		t.Errorf("last index %d, %v", last, err)
	}
}

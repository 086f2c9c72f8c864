package storage

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// burst makes a log that was long once: entries 1 to n, of which the last keep stay.
func burst(t testing.TB, d *Dir, n, keep uint64, size int) {
	t.Helper()
	if err := d.Stable().SetUint64([]byte("CurrentTerm"), 9); err != nil {
		t.Fatal(err)
	}
	for i := uint64(1); i <= n; i += 500 {
		if err := d.Log().StageCommitIndex(i); err != nil {
			t.Fatal(err)
		}
		store(t, d.Log(), entries(i, min(n, i+499), size)...)
	}
	writeSnapshot(t, d, n-keep, 1, []byte("state"))
}

func logSize(t testing.TB, d *Dir) (size, free int64) {
	t.Helper()
	size, free, err := d.LogFile()
	if err != nil {
		t.Fatal(err)
	}
	return size, free
}

// TestLogFileShrinksAfterABurst, while it is read, written and in use: all is there, and the file is small again.
func TestLogFileShrinksAfterABurst(t *testing.T) {
	d := newDir(t)
	const n, keep, size = 3000, 50, 40_000
	burst(t, d, n, keep, size)
	before, _ := logSize(t, d)
	stop := make(chan struct{})
	var readers sync.WaitGroup
	readers.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			var l raft.Log
			if err := d.Log().GetLog(n, &l); err != nil {
				t.Errorf("read beside it: %v", err)
				return
			}
		}
	})
	start := time.Now()
	if err := d.Log().DeleteRange(1, n-keep); err != nil {
		t.Fatal(err)
	}
	took := time.Since(start)
	close(stop)
	readers.Wait()
	after, free := logSize(t, d)
	t.Logf("%d MiB before, %d MiB after, %d MiB of it free; the deletion took %v", before>>20, after>>20, free>>20, took)
	if before < 110<<20 || after > 32<<20 {
		t.Errorf("the file has %d bytes, had %d", after, before)
	}
	wantEntries(t, d.Log(), n-keep+1, n, size)
	store(t, d.Log(), entries(n+1, n+10, size)...)
	mustClose(t, d)
	if _, err := Verify(d.Path()); err != nil {
		t.Fatal(err)
	}
	d = mustOpen(t, d.Path())
	wantEntries(t, d.Log(), n-keep+1, n+10, size)
	commit, err := d.Log().GetCommitIndex()
	term, terr := d.Stable().GetUint64([]byte("CurrentTerm"))
	if commit < n-499 || term != 9 || errors.Join(err, terr) != nil {
		t.Errorf("commit index %d, term %d, %v, %v", commit, term, err, terr)
	}
}

// TestLogFileShrinksAtStart, when there is too much in use for doing it while a node runs.
func TestLogFileShrinksAtStart(t *testing.T) {
	d := newDir(t)
	const n, keep, size = 4000, 500, 40_000 // 20 MB stay
	burst(t, d, n, keep, size)
	if err := d.Log().DeleteRange(1, n-keep); err != nil {
		t.Fatal(err)
	}
	before, _ := logSize(t, d)
	mustClose(t, d)
	writeFile(t, filepath.Join(d.Path(), boltName+".new"), []byte("left by a crash"))
	start := time.Now()
	d = mustOpen(t, d.Path())
	after, _ := logSize(t, d)
	t.Logf("%d MiB before, %d MiB after; the start took %v", before>>20, after>>20, time.Since(start))
	if before < 140<<20 || after > 48<<20 {
		t.Errorf("the file has %d bytes, had %d", after, before)
	}
	wantEntries(t, d.Log(), n-keep+1, n, size)
	if _, err := os.Stat(filepath.Join(d.Path(), boltName+".new")); !os.IsNotExist(err) {
		t.Errorf("the copy is left: %v", err)
	}
	again := readFile(t, filepath.Join(d.Path(), boltName))
	mustClose(t, d)
	d = mustOpen(t, d.Path())
	if now, _ := logSize(t, d); int64(len(again)) != now {
		t.Errorf("the next start makes %d bytes of %d", now, len(again))
	}
}

// TestLogFileStaysWhenTheCopyFails: nothing is lost for want of what would only save room.
func TestLogFileStaysWhenTheCopyFails(t *testing.T) {
	d := newDir(t)
	const n, keep, size = 3000, 50, 40_000
	burst(t, d, n, keep, size)
	blocked := filepath.Join(d.Path(), boltName+".new")
	if err := os.MkdirAll(filepath.Join(blocked, "in the way"), 0o700); err != nil {
		t.Fatal(err)
	}
	before, _ := logSize(t, d)
	if err := d.Log().DeleteRange(1, n-keep); err != nil {
		t.Fatal(err)
	}
	after, free := logSize(t, d)
	if after != before || free < 100<<20 || d.log.Failed() != nil {
		t.Errorf("%d bytes of which %d are free, had %d; %v", after, free, before, d.log.Failed())
	}
	wantEntries(t, d.Log(), n-keep+1, n, size)
	store(t, d.Log(), entries(n+1, n+10, size)...)
	wantEntries(t, d.Log(), n-keep+1, n+10, size)
}

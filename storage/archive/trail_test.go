package archive

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// base puts a whole state as of index into dir.
func base(t *testing.T, dir string, epoch uint32, index uint64) Header {
	t.Helper()
	h := testHeader()
	h.Epoch, h.Index, h.Confirmed, h.Term = epoch, index, index, 5+index/90
	f, err := Create(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Discard()
	if _, err := f.Write(written(t, h, text(100))); err != nil {
		t.Fatal(err)
	}
	if err := f.Commit(filepath.Join(dir, h.Name()), true); err != nil {
		t.Fatal(err)
	}
	return h
}

func openTrail(t *testing.T, dir string) *Trail {
	t.Helper()
	trail, err := OpenTrail(dir)
	if err != nil {
		t.Fatal(err)
	}
	return trail
}

// follow appends the entries behind the trail's position up to last, and marks each tenth and the last.
func follow(t *testing.T, trail *Trail, last uint64) {
	t.Helper()
	at, _ := trail.Position()
	for i := at.Index + 1; i <= last; i++ {
		if err := trail.Append(testEntry(i)); err != nil {
			t.Fatal(err)
		}
		if i%10 == 0 || i == last {
			if err := trail.Mark(testMark(i)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// replayed gives the entries behind h, which must be those that were written.
func replayed(t *testing.T, dir string, h Header) (ReplayEnd, error) {
	t.Helper()
	r, err := OpenReplay(dir)
	if err != nil {
		t.Fatal(err)
	}
	next := h.Index + 1
	return r.Behind(h, func(rec Record) error {
		if e := rec.Entry; e != nil {
			if e.Index != next || !bytes.Equal(e.Data, testEntry(next).Data) {
				t.Fatalf("entry %d, want %d", e.Index, next)
			}
			next++
		}
		return nil
	})
}

// TestTrailGoesOn: over restarts, torn tails and further states nothing is lost, twice or out of order.
func TestTrailGoesOn(t *testing.T) {
	dir := t.TempDir()
	trail := openTrail(t, dir)
	if _, ok := trail.Position(); ok {
		t.Fatal("an empty directory has a position")
	}
	if err := trail.Append(testEntry(1)); err == nil {
		t.Error("an entry without a state")
	}
	first := base(t, dir, 2, 77)
	if err := trail.Based(first); err != nil {
		t.Fatal(err)
	}
	follow(t, trail, 100)
	var inUse *InUseError
	if _, err := OpenTrail(dir); !errors.As(err, &inUse) || inUse.PID != os.Getpid() {
		t.Errorf("a second writer: %v", err)
	}
	if err := trail.Close(); err != nil {
		t.Fatal(err)
	}
	for round, last := range []uint64{100, 100, 115, 140} { // the first two add nothing
		trail = openTrail(t, dir)
		if at, ok := trail.Position(); !ok || at.Index != max(100, []uint64{100, 100, 100, 115}[round]) || at.Epoch != 2 || at.Mark.Index != at.Index {
			t.Fatalf("round %d: %+v", round, at)
		}
		if err := trail.Mark(testMark(min(last, 100))); round < 2 && err != nil {
			t.Fatal(err)
		}
		follow(t, trail, last)
		if err := trail.Close(); err != nil {
			t.Fatal(err)
		}
		// It was stopped in the middle of a block.
		list, err := ListSegments(dir)
		if err != nil {
			t.Fatal(err)
		}
		f, err := os.OpenFile(list[len(list)-1].Path, os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write(segment(t, 80)[:70]); err != nil {
			t.Fatal(err)
		}
		_ = f.Close()
	}
	end, err := replayed(t, dir, first)
	if err != nil || end.Index != 140 || !end.Torn {
		t.Errorf("%+v, %v", end, err)
	}
	// A state in the middle changes nothing for the log; the older state still has it all.
	trail = openTrail(t, dir)
	second := base(t, dir, 2, 130)
	if err := trail.Based(second); err != nil {
		t.Fatal(err)
	}
	follow(t, trail, 150)
	for _, h := range []Header{first, second} {
		if end, err := replayed(t, dir, h); err != nil || end.Index != 150 {
			t.Errorf("from %d: %+v, %v", h.Index, end, err)
		}
	}
	// Of two states the older one goes, and the segments that nobody else needs.
	gone, err := trail.Prune(1)
	if err != nil || len(gone) != 3 {
		t.Errorf("gone: %v, %v", gone, err)
	}
	if end, err := replayed(t, dir, second); err != nil || end.Index != 150 {
		t.Errorf("after Prune: %+v, %v", end, err)
	}
	// A state that is ahead of the log, and then one of the next epoch with lower indexes: the log begins anew.
	third, fourth := base(t, dir, 2, 200), base(t, dir, 3, 120)
	for _, h := range []Header{third, fourth} {
		if err := trail.Based(h); err != nil {
			t.Fatal(err)
		}
		follow(t, trail, h.Index+10)
		if end, err := replayed(t, dir, h); err != nil || end.Index != h.Index+10 {
			t.Errorf("epoch %d: %+v, %v", h.Epoch, end, err)
		}
	}
	if end, err := replayed(t, dir, second); !errors.Is(err, ErrDamaged) || end.Index != 150 {
		t.Errorf("over a gap: %+v, %v", end, err)
	}
	if err := trail.Close(); err != nil {
		t.Fatal(err)
	}
	trail = openTrail(t, dir)
	defer trail.Close()
	if at, _ := trail.Position(); at.Epoch != 3 || at.Index != 130 {
		t.Errorf("%+v", at)
	}
	stranger := fourth
	stranger.GroupID = "another"
	if err := trail.Based(stranger); err == nil {
		t.Error("a state of another group was taken")
	}
}

// TestTrailFindsDamage: a byte in any file but its torn end, a file that is cut, taken away or exchanged.
func TestTrailFindsDamage(t *testing.T) {
	dir := t.TempDir()
	trail := openTrail(t, dir)
	h := base(t, dir, 2, 77)
	if err := trail.Based(h); err != nil {
		t.Fatal(err)
	}
	for _, last := range []uint64{95, 120, 135} {
		follow(t, trail, last)
		if err := trail.Close(); err != nil {
			t.Fatal(err)
		}
		trail = openTrail(t, dir)
	}
	if err := trail.Close(); err != nil {
		t.Fatal(err)
	}
	list, err := ListSegments(dir)
	if err != nil || len(list) != 3 {
		t.Fatalf("%d segments, %v", len(list), err)
	}
	for n, s := range list {
		good, err := os.ReadFile(s.Path)
		if err != nil {
			t.Fatal(err)
		}
		try := func(what string, b []byte) {
			t.Helper()
			if err := os.WriteFile(s.Path, b, 0o600); err != nil {
				t.Fatal(err)
			}
			end, err := replayed(t, dir, h)
			if err == nil && len(end.Passed) == 0 && (n < 2 || !end.Torn || end.Index < 120) || end.Index > 135 {
				t.Errorf("segment %d %s: %+v, %v", n, what, end, err)
			}
		}
		for i := 0; i < len(good); i += 3 {
			bad := bytes.Clone(good)
			bad[i] ^= 0x10
			try("flipped", bad)
		}
		if n < 2 {
			for i := 0; i < len(good); i += 11 {
				try("cut", good[:i])
			}
		}
		if err := os.WriteFile(s.Path, good, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// Another history of the same indexes in the middle.
	if err := os.WriteFile(list[1].Path, otherSegment(t, list[1].Head), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := OpenReplay(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Behind(h, func(Record) error { return nil }); !errors.Is(err, ErrDamaged) {
		t.Errorf("exchanged: %v", err)
	}
	if err := os.Remove(list[1].Path); err != nil {
		t.Fatal(err)
	}
	if end, err := replayed(t, dir, h); !errors.Is(err, ErrDamaged) || end.Index != 95 {
		t.Errorf("taken away: %+v, %v", end, err)
	}
}

func otherSegment(t *testing.T, h SegmentHead) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := NewSegmentWriter(&b, h)
	for i := h.After + 1; err == nil && i <= 120; i++ {
		e := testEntry(i)
		e.Data = bytes.ToUpper(e.Data)
		err = w.Entry(e)
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestTwoGroupsInOneDirectory(t *testing.T) {
	dir := t.TempDir()
	base(t, dir, 2, 77)
	h := testHeader()
	h.GroupID = "another"
	if err := os.WriteFile(filepath.Join(dir, "x.hfb"), written(t, h, nil), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenTrail(dir); err == nil {
		t.Error("opened")
	}
	if _, err := OpenReplay(dir); err == nil {
		t.Error("read")
	}
	if _, err := OpenReplay(filepath.Join(dir, "none")); err == nil {
		t.Error("a directory that is not there")
	}
}

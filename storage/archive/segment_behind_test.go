package archive

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// behindArchive has a state, a log that goes on to entry 95, and a newer state as of entry 88, in the middle of the segment. It gives that state, the segment and the offset from which on its bytes are needed.
func behindArchive(t *testing.T) (dir string, newest Header, path string, needed int) {
	t.Helper()
	dir = t.TempDir()
	trail := openTrail(t, dir)
	first := base(t, dir, 2, 77)
	if err := trail.Based(first); err != nil {
		t.Fatal(err)
	}
	follow(t, trail, 95)
	newest = base(t, dir, 2, 88)
	if err := errors.Join(trail.Based(newest), trail.Close()); err != nil {
		t.Fatal(err)
	}
	list, err := ListSegments(dir)
	if err != nil || len(list) != 1 {
		t.Fatalf("%d segments, %v", len(list), err)
	}
	path = list[0].Path
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	e := testEntry(89)
	var buf bytes.Buffer
	w, err := NewSegmentWriter(&buf, SegmentHead{GroupID: "g", GroupName: "g", Epoch: 1, After: 88, AfterTerm: 1, Created: begun})
	if err != nil {
		t.Fatal(err)
	}
	head := buf.Len()
	if err := w.Entry(e); err != nil {
		t.Fatal(err)
	}
	if needed = bytes.Index(b, buf.Bytes()[head:]); needed < 0 {
		t.Fatal("the entry behind the state is not in the segment")
	}
	return dir, newest, path, needed
}

// TestDamageBeforeTheStateCostsNothingBehindIt: whichever byte of the log before the newest state has flipped, everything behind that state is there, and the damage is said. From that state on each flipped byte is an error.
func TestDamageBeforeTheStateCostsNothingBehindIt(t *testing.T) {
	dir, newest, path, needed := behindArchive(t)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	silent := 0
	for i := range whole {
		b := bytes.Clone(whole)
		b[i] ^= 1 << (i % 8)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		end, err := replayed(t, dir, newest)
		switch {
		case i < needed && (err != nil || end.Index != 95 || len(end.Passed) != 1 || end.Torn):
			t.Fatalf("byte %d of %d (needed from %d on): %+v, %v", i, len(whole), needed, end, err)
		case i >= needed && err == nil && end.Index == 95 && !end.Torn:
			silent++
		}
	}
	if silent > 0 {
		t.Errorf("%d flips behind the state are not found", silent)
	}
}

// TestTornAwayBeforeTheState: a hole of several blocks, zeroes over all that is before the state, and nothing left behind it.
func TestTornAwayBeforeTheState(t *testing.T) {
	dir, newest, path, needed := behindArchive(t)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func([]byte) []byte
		index  uint64
	}{
		"zeroes from the first byte": {func(b []byte) []byte { clear(b[:needed]); return b }, 95},
		"a hole":                     {func(b []byte) []byte { clear(b[needed/3 : needed/2]); return b }, 95},
		"two holes":                  {func(b []byte) []byte { clear(b[needed/4 : needed/3]); clear(b[needed/2 : needed-3]); return b }, 95},
		"cut off in a hole":          {func(b []byte) []byte { clear(b[needed/3 : needed/2]); return b[:needed] }, 88},
	} {
		if err := os.WriteFile(path, c.change(bytes.Clone(whole)), 0o600); err != nil {
			t.Fatal(err)
		}
		end, err := replayed(t, dir, newest)
		if err != nil || end.Index != c.index || len(end.Passed) != 1 {
			t.Errorf("%s: %+v, %v", name, end, err)
		}
	}
	// The entry behind the state is gone, and later ones are there: nothing is left out in silence.
	b := bytes.Clone(whole)
	clear(b[needed-5 : needed+5])
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if end, err := replayed(t, dir, newest); !errors.Is(err, ErrDamaged) || end.Index != 88 {
		t.Errorf("a hole over the entry behind the state: %+v, %v", end, err)
	}
	// All of them are gone, and a mark says that they were there.
	b = bytes.Clone(whole)
	clear(b[needed/2 : bytes.LastIndex(b, []byte("HBLK"))])
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if end, err := replayed(t, dir, newest); !errors.Is(err, ErrDamaged) || end.Index != 88 {
		t.Errorf("a hole over all entries behind the state: %+v, %v", end, err)
	}
	// A writer goes on behind the state, and sets this aside.
	trail := openTrail(t, dir)
	defer trail.Close()
	if at, _ := trail.Position(); at.Index != 88 || len(trail.Mended()) != 1 {
		t.Errorf("a writer: %+v, %v", at, trail.Mended())
	}
}

// TestSegmentsWithoutAHead are placed by their names; one whose name says nothing may be what comes next.
func TestSegmentsWithoutAHead(t *testing.T) {
	dir, newest, path, _ := behindArchive(t)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[0] ^= 1
	if err := errors.Join(os.Remove(path), os.WriteFile(filepath.Join(dir, "other.hfs"), b, 0o600)); err != nil {
		t.Fatal(err)
	}
	if end, err := replayed(t, dir, newest); !errors.Is(err, ErrDamaged) || end.Index != 88 {
		t.Errorf("a segment of nowhere: %+v, %v", end, err)
	}
	for name, want := range map[string]SegmentHead{
		"shop-2-78.hfs": {GroupID: "id", GroupName: "shop", Epoch: 2, After: 77}, "shop-2.hfs": {}, "shop-0-5.hfs": {}, "shop-2-1.hfs": {}, "shop-a-7.hfs": {}, "other-2-78.hfs": {},
		"shop-2-78-9.hfs": {}, "shop-4294967296-78.hfs": {}, "shop-2--78.hfs": {},
	} {
		if s, ok := (SegmentFile{Path: "/x/" + name}).byName("shop", "id"); ok != (want.Epoch > 0) || s.Head != want {
			t.Errorf("%s: %+v, %v", name, s.Head, ok)
		}
	}
}

// TestABlockInABlock: what an entry holds is never taken for an entry, however it looks.
func TestABlockInABlock(t *testing.T) {
	var inner bytes.Buffer
	w, err := NewSegmentWriter(&inner, SegmentHead{GroupID: "g", GroupName: "g", Epoch: 1, After: 6, AfterTerm: 1, Created: begun})
	if err != nil {
		t.Fatal(err)
	}
	at := inner.Len()
	if err := w.Entry(LogEntry{Index: 7, Term: 1, Command: true, Data: []byte("forged")}); err != nil {
		t.Fatal(err)
	}
	var outer bytes.Buffer
	w, err = NewSegmentWriter(&outer, SegmentHead{GroupID: "g", GroupName: "g", Epoch: 1, After: 4, AfterTerm: 1, Created: begun})
	if err != nil {
		t.Fatal(err)
	}
	for i, data := range [][]byte{inner.Bytes()[at:], []byte("six"), []byte("seven")} {
		if err := w.Entry(LogEntry{Index: uint64(5 + i), Term: 1, Command: true, Data: data}); err != nil {
			t.Fatal(err)
		}
	}
	b := outer.Bytes()
	b[bytes.Index(b, inner.Bytes()[at:])-1] ^= 1 // in what is around it
	path := filepath.Join(t.TempDir(), "s.hfs")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	var got string
	end, err := readSegmentBehind(path, 6, 1, func(rec Record) error {
		if rec.Entry != nil && rec.Entry.Index == 7 {
			got = string(rec.Entry.Data)
		}
		return nil
	})
	if err != nil || got != "seven" || end.Passed == nil {
		t.Errorf("%q, %+v, %v", got, end, err)
	}
}

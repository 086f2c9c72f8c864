package archive

import (
	"bytes"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// threeSegments is an archive with a state as of entry 77 and segments up to 95, 120 and 135. It gives the files by their names.
func threeSegments(t *testing.T) (dir string, h Header, files map[string][]byte) {
	t.Helper()
	dir = t.TempDir()
	h = base(t, dir, 2, 77)
	for _, last := range []uint64{95, 120, 135} {
		trail := openTrail(t, dir)
		follow(t, trail, last)
		if err := trail.Close(); err != nil {
			t.Fatal(err)
		}
	}
	files = map[string][]byte{}
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		if files[e.Name()], err = os.ReadFile(filepath.Join(dir, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	return dir, h, files
}

// copyOf writes files into a directory of their own.
func copyOf(t *testing.T, files map[string][]byte) string {
	t.Helper()
	dir := t.TempDir()
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// goesOn opens a damaged directory, follows the group again to entry 150, and looks that everything behind h is there. It gives how far the archive was, and what was said.
func goesOn(t *testing.T, dir string, h Header, what string) (from uint64, mended []error) {
	t.Helper()
	trail, err := OpenTrail(dir)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	at, _ := trail.Position()
	mended = trail.Mended()
	if end, err := replayed(t, dir, h); err != nil || end.Index > at.Index {
		t.Fatalf("%s: before it goes on: %+v, %v; the position is %d", what, end, err, at.Index)
	}
	follow(t, trail, 150)
	if err := trail.Close(); err != nil {
		t.Fatal(err)
	}
	if end, err := replayed(t, dir, h); err != nil || end.Index != 150 || end.Torn {
		t.Fatalf("%s: %+v, %v", what, end, err)
	}
	trail = openTrail(t, dir)
	if again, _ := trail.Position(); again.Index != 150 || len(trail.Mended()) > 0 {
		t.Fatalf("%s: opened once more: %+v, %v", what, again, trail.Mended())
	}
	if err := trail.Close(); err != nil {
		t.Fatal(err)
	}
	return at.Index, mended
}

// TestStandbyGoesOnBeforeTheDamage: whichever byte of the log has flipped, what was proven before it stays, the rest is set aside, byte for byte, and the log that follows makes the archive whole again. What a newer version
// may have written is left alone.
func TestStandbyGoesOnBeforeTheDamage(t *testing.T) {
	_, h, files := threeSegments(t)
	starts := []uint64{77, 95, 120}
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(files)), func(n string) bool { return filepath.Ext(n) != SegmentExt })
	slices.SortFunc(names, func(a, b string) int { return len(a) - len(b) }) // 78, 96, 121
	for n, name := range names {
		good := files[name]
		for i := 0; i < len(good); i += 41 { // not each one: a follow costs many syncs
			bad := maps.Clone(files)
			bad[name] = bytes.Clone(good)
			bad[name][i] ^= 1 << (i % 8)
			dir := copyOf(t, bad)
			if i >= 8 && i < 12 { // the version
				if _, err := OpenTrail(dir); !errors.Is(err, ErrNewer) && !errors.Is(err, ErrDamaged) {
					t.Fatalf("%s, version: %v", name, err)
				}
				continue
			}
			from, mended := goesOn(t, dir, h, name)
			aside, err := Aside(dir)
			if err != nil {
				t.Fatal(err)
			}
			if n == 0 && len(mended) == 0 && from == 135 && i < bytes.Index(good, []byte("command 78")) { // only what is before the first entry: it is passed over
				continue
			}
			torn := n == 2 && len(mended) == 0 // the last block: nothing whole is behind it
			if from < starts[n] && from != 90 && from != 110 || from > 135 || !torn && (len(mended) != 1 || len(aside) != 3-n && len(aside) != 4-n) {
				t.Fatalf("%s, byte %d: from %d, said %v, set aside %v", name, i, from, mended, aside)
			}
			if torn {
				continue
			}
			if b, err := os.ReadFile(filepath.Join(dir, name[:len(name)-len(SegmentExt)]+AsideExt)); err != nil || !bytes.Equal(b, bad[name]) {
				t.Fatalf("%s, byte %d: what was set aside has %d bytes, %v", name, i, len(b), err)
			}
		}
	}
}

// TestStandbyGoesOnWithoutASegment: one is taken away, is another one, or says nothing of where it belongs.
func TestStandbyGoesOnWithoutASegment(t *testing.T) {
	_, h, files := threeSegments(t)
	head := testSegmentHead()
	head.After, head.AfterTerm = 95, 6
	for what, c := range map[string]struct {
		change func(map[string][]byte)
		from   uint64
	}{
		"the first one is gone":  {func(m map[string][]byte) { delete(m, "shop-2-78.hfs") }, 77},
		"the second one is gone": {func(m map[string][]byte) { delete(m, "shop-2-96.hfs") }, 95},
		"another history":        {func(m map[string][]byte) { m["shop-2-96.hfs"] = otherSegment(t, head) }, 0},
		"all zeroes":             {func(m map[string][]byte) { clear(m["shop-2-96.hfs"]) }, 95},
		"empty":                  {func(m map[string][]byte) { m["shop-2-96.hfs"] = nil }, 95},
		"cut within":             {func(m map[string][]byte) { m["shop-2-96.hfs"] = m["shop-2-96.hfs"][:900] }, 0},
		"a stray file":           {func(m map[string][]byte) { m["what.hfs"] = bytes.Repeat([]byte("what"), 99) }, 135},
	} {
		t.Run(what, func(t *testing.T) {
			bad := map[string][]byte{}
			for name, b := range files {
				bad[name] = bytes.Clone(b)
			}
			c.change(bad)
			from, mended := goesOn(t, copyOf(t, bad), h, what)
			if c.from != 0 && from != c.from || len(mended) == 0 {
				t.Errorf("from %d, said %v", from, mended)
			}
			t.Log(from, mended)
		})
	}
}

// TestNewerSegmentsAreLeftAlone: a program that is too old for an archive does not write into it, and says so.
func TestNewerSegmentsAreLeftAlone(t *testing.T) {
	_, _, files := threeSegments(t)
	files["shop-2-121.hfs"][8] = 2
	dir := copyOf(t, files)
	_, err := OpenTrail(dir)
	if !errors.Is(err, ErrNewer) {
		t.Errorf("%v", err)
	}
	for name, b := range files {
		if now, err := os.ReadFile(filepath.Join(dir, name)); err != nil || !bytes.Equal(now, b) {
			t.Errorf("%s has changed: %v", name, err)
		}
	}
}

// TestWhatWasSetAsideGoes: with the log that it was part of, not before.
func TestWhatWasSetAsideGoes(t *testing.T) {
	_, h, files := threeSegments(t)
	files["shop-2-96.hfs"][500] ^= 4
	dir := copyOf(t, files)
	if _, mended := goesOn(t, dir, h, "damaged"); len(mended) != 1 {
		t.Fatal(mended)
	}
	trail := openTrail(t, dir)
	defer trail.Close()
	for _, c := range []struct {
		state uint64
		left  int
	}{{90, 2}, {140, 0}} {
		if err := trail.Based(base(t, dir, 2, c.state)); err != nil {
			t.Fatal(err)
		}
		if _, err := trail.Prune(1); err != nil {
			t.Fatal(err)
		}
		if aside, err := Aside(dir); err != nil || len(aside) != c.left {
			t.Errorf("behind the state of %d: %v, %v", c.state, aside, err)
		}
	}
}

// FuzzOpenTrail: whatever a segment holds, a writer opens the directory or leaves it alone; it loses no byte that it does not keep, but for a torn end.
func FuzzOpenTrail(f *testing.F) {
	good := segment(f, 100)
	f.Add(good)
	f.Add(good[:300])
	f.Add([]byte{})
	for _, at := range []int{0, 8, 20, 150, 400, 900} {
		bad := bytes.Clone(good)
		bad[at] ^= 1
		f.Add(bad)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		dir := t.TempDir()
		h := base(t, dir, 2, 77)
		path := filepath.Join(dir, "shop-2-78.hfs")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		trail, err := OpenTrail(dir)
		if err != nil {
			if !errors.Is(err, ErrNewer) {
				t.Fatal(err)
			}
			if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, b) {
				t.Fatalf("it has changed: %v", err)
			}
			return
		}
		defer trail.Close()
		at, _ := trail.Position()
		if r, err := OpenReplay(dir); err != nil {
			t.Fatal(err)
		} else if end, err := r.Behind(h, ignore); err != nil || end.Index != at.Index {
			t.Fatalf("it is at %d; the archive: %+v, %v", at.Index, end, err)
		}
		if len(trail.Mended()) == 0 {
			if now, err := os.ReadFile(path); err != nil || !bytes.HasPrefix(b, now) {
				t.Fatalf("it has changed and nothing was said: %v", err)
			}
			return
		}
		aside, err := os.ReadFile(filepath.Join(dir, "shop-2-78"+AsideExt))
		if err != nil || !bytes.Equal(aside, b) {
			t.Fatalf("what was set aside is not what was there: %d bytes of %d, %v", len(aside), len(b), err)
		}
	})
}

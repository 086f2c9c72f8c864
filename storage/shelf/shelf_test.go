package shelf

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// bench is a shelf with a clock that a test turns.
type bench struct {
	*Shelf
	path string
	now  time.Time
}

func open(t *testing.T, path string, most int64) *bench {
	t.Helper()
	b := &bench{path: path, now: time.Unix(1000, 0)}
	s, err := Open(path, Options{MaxBytes: most, Now: func() time.Time { return b.now }})
	if err != nil {
		t.Fatal(err)
	}
	b.Shelf = s
	return b
}

func (b *bench) put(t *testing.T, data string) Hash {
	t.Helper()
	h := sha256.Sum256([]byte(data))
	if err := b.Put(h, []byte(data)); err != nil {
		t.Fatal(err)
	}
	return h
}

func (b *bench) want(t *testing.T, h Hash, data string) {
	t.Helper()
	if got, err := b.Get(h); err != nil || string(got) != data {
		t.Fatalf("%q, %v, want %q", got, err, data)
	}
}

func (b *bench) wantUsage(t *testing.T, values int, size int64) {
	t.Helper()
	if n, bytes := b.Usage(); n != values || bytes != size {
		t.Errorf("%d values, %d bytes; want %d and %d", n, bytes, values, size)
	}
}

// TestKeepsAndGives: what was put is there, also after the shelf was opened anew; the same bytes are there once.
func TestKeepsAndGives(t *testing.T) {
	path := filepath.Join(t.TempDir(), "copies")
	b := open(t, path, 1000)
	if _, err := b.Get(Hash{1}); !errors.Is(err, ErrAbsent) || b.Has(Hash{1}) {
		t.Fatalf("%v", err)
	}
	if there, err := b.Keep(Hash{1}); there || err != nil {
		t.Fatalf("%t, %v", there, err)
	}
	one, two := b.put(t, "one"), b.put(t, "twotwo")
	b.put(t, "one")
	b.want(t, one, "one")
	b.wantUsage(t, 2, 9)
	b = open(t, path, 1000)
	b.want(t, one, "one")
	b.want(t, two, "twotwo")
	b.wantUsage(t, 2, 9)
	if info, err := os.Stat(b.file(one)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

// TestNeverWrong: bytes that do not have their hash are neither taken nor given.
func TestNeverWrong(t *testing.T) {
	b := open(t, t.TempDir(), 1000)
	if err := b.Put(Hash{1}, []byte("x")); !errors.Is(err, ErrWrong) {
		t.Fatalf("%v", err)
	}
	for name, spoil := range map[string]func(string) error{
		"flipped": func(p string) error { return os.WriteFile(p, []byte("valuE"), 0o600) }, "cut": func(p string) error { return os.Truncate(p, 2) },
		"longer": func(p string) error { return os.WriteFile(p, []byte("value and more"), 0o600) }, "gone": os.Remove, "empty": func(p string) error { return os.Truncate(p, 0) },
	} {
		h := b.put(t, "value")
		if err := spoil(b.file(h)); err != nil {
			t.Fatal(err)
		}
		if got, err := b.Get(h); !errors.Is(err, ErrAbsent) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		if b.Has(h) {
			t.Errorf("%s: is still there", name)
		}
		b.wantUsage(t, 0, 0)
		h = b.put(t, "value")
		if err := spoil(b.file(h)); err != nil {
			t.Fatal(err)
		}
		b.put(t, "value") // writes what is not as it should be
		b.want(t, h, "value")
		b.wantUsage(t, 1, 5)
	}
}

// TestOpensAfterCrash: what is left of a write that was cut off goes, and what is not the shelf's stays.
func TestOpensAfterCrash(t *testing.T) {
	path := t.TempDir()
	b := open(t, path, 1000)
	h := b.put(t, "one")
	dir := filepath.Dir(b.file(h))
	for _, name := range []string{temporary + "ABC", "zz", hex.EncodeToString(make([]byte, 31)), "README"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(path, "note"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	other := sha256.Sum256([]byte("dir"))
	if err := os.MkdirAll(b.file(other), 0o700); err != nil {
		t.Fatal(err)
	}
	b = open(t, path, 1000)
	b.want(t, h, "one")
	b.wantUsage(t, 1, 3)
	if _, err := os.Stat(filepath.Join(dir, temporary+"ABC")); !os.IsNotExist(err) {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "README")); err != nil {
		t.Error(err)
	}
	if b.Has(other) {
		t.Error("a directory is no value")
	}
	if _, err := b.Get(other); err == nil || errors.Is(err, ErrAbsent) {
		t.Errorf("%v", err)
	}
	if _, err := Open(filepath.Join(path, "note"), Options{}); err == nil {
		t.Error("a file is no shelf")
	}
}

// TestFull: what does not fit is refused, nothing of it stays, and what is thrown away gives its room back.
func TestFull(t *testing.T) {
	b := open(t, t.TempDir(), 10)
	b.put(t, "12345678")
	h := sha256.Sum256([]byte("abc"))
	if err := b.Put(h, []byte("abc")); !errors.Is(err, ErrFull) || b.Has(h) {
		t.Fatalf("%v", err)
	}
	b.wantUsage(t, 1, 8)
	b.now = b.now.Add(Fresh)
	b.Sweep(b.Now(), func(Hash) bool { return false })
	b.put(t, "abc")
	b.wantUsage(t, 1, 3)
	room := errors.New("the disk is full")
	b.opt.Room = func(size int) error {
		if size > 3 {
			return room
		}
		return nil
	}
	data := []byte("xyz1")
	if err := b.Put(sha256.Sum256(data), data); !errors.Is(err, ErrFull) || !errors.Is(err, room) {
		t.Errorf("%v", err)
	}
	b.wantUsage(t, 1, 3)
}

// TestBrokenDisk: a write that fails leaves nothing behind, and takes no room.
func TestBrokenDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	b := open(t, path, 1000)
	if err := os.WriteFile(path, nil, 0o600); err != nil { // where the directory should be
		t.Fatal(err)
	}
	data := []byte("x")
	if err := b.Put(sha256.Sum256(data), data); err == nil || errors.Is(err, ErrFull) {
		t.Errorf("%v", err)
	}
	b.wantUsage(t, 0, 0)
}

// TestSweep: what nobody needs goes when its time is over: soon when somebody has needed it, and later when it may just be about to be named.
func TestSweep(t *testing.T) {
	b := open(t, t.TempDir(), 1000)
	needs := map[Hash]bool{}
	sweep := func() int {
		n, _ := b.Sweep(b.Now(), func(h Hash) bool { return needs[h] })
		return n
	}
	one, two := b.put(t, "one"), b.put(t, "two")
	needs[one] = true
	if n := sweep(); n != 0 {
		t.Fatal(n)
	}
	b.now = b.now.Add(Fresh - 1)
	if n := sweep(); n != 0 {
		t.Fatal(n)
	}
	b.now = b.now.Add(1)
	if n := sweep(); n != 1 || b.Has(two) || !b.Has(one) {
		t.Fatal(n)
	}
	delete(needs, one)
	b.now = b.now.Add(Spent - 1)
	if n := sweep(); n != 0 {
		t.Fatal("it went at once")
	}
	b.put(t, "one") // somebody is about to name it again
	b.now = b.now.Add(Fresh - 1)
	if n := sweep(); n != 0 {
		t.Fatal("it went before it could be named")
	}
	needs[one] = true
	sweep()
	delete(needs, one)
	b.now = b.now.Add(Spent)
	if n := sweep(); n != 1 || b.Has(one) {
		t.Fatal(n)
	}
	b.wantUsage(t, 0, 0)
	// Bytes that are put again between the question and the answer stay.
	three := b.put(t, "three")
	b.now = b.now.Add(2 * Fresh)
	n, _ := b.Sweep(b.Now(), func(h Hash) bool { _, _ = b.Keep(h); return false })
	if n != 0 || !b.Has(three) {
		t.Errorf("%d", n)
	}
}

// TestFindsWhatAnotherProcessPut: a node that is handed from one process to the next has one shelf.
func TestFindsWhatAnotherProcessPut(t *testing.T) {
	path := t.TempDir()
	old, next := open(t, path, 1000), open(t, path, 1000)
	h := old.put(t, "late")
	if !next.Has(h) {
		t.Fatal("it is not found")
	}
	next.want(t, h, "late")
	next.wantUsage(t, 1, 4)
}

// TestManyAtOnce: many write, read and sweep the same values.
func TestManyAtOnce(t *testing.T) {
	b := open(t, t.TempDir(), 1<<20)
	var all sync.WaitGroup
	for w := range 4 {
		all.Go(func() {
			for i := range 25 {
				data := bytes.Repeat(fmt.Append(nil, i%5), 100)
				h := sha256.Sum256(data)
				if err := b.Put(h, data); err != nil {
					t.Error(err)
				}
				if got, err := b.Get(h); err != nil || !bytes.Equal(got, data) {
					t.Errorf("%d: %v", w, err)
				}
				b.Sweep(b.Now(), func(Hash) bool { return i%2 == 0 })
			}
		})
	}
	all.Wait()
	b.wantUsage(t, 5, 500)
}

// TestReadersTakeNothingGoodAway: who has found a file missing or damaged takes it away only if it is so still.
func TestReadersTakeNothingGoodAway(t *testing.T) {
	b := open(t, t.TempDir(), 1000)
	data := []byte("value")
	h := sha256.Sum256(data)
	b.put(t, "value")
	b.discard(h) // as Get does that has read before the value was put
	b.want(t, h, "value")
	b.wantUsage(t, 1, 5)
	if err := os.WriteFile(b.file(h), bytes.ToUpper(data), 0o600); err != nil {
		t.Fatal(err)
	}
	b.discard(h)
	if b.Has(h) {
		t.Error("a damaged file stays")
	}
}

package storage

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// smallDir makes a closed directory whose raft.db has a branch page, several leaves, and stale copies of pages from earlier
// transactions: entries smallFirst..smallLast, term 9, commit index smallLast-1.
func smallDir(t testing.TB) string {
	t.Helper()
	d := newDir(t)
	if err := d.Stable().SetUint64([]byte("CurrentTerm"), 9); err != nil {
		t.Fatal(err)
	}
	for i := uint64(1); i <= smallLast+3; i += 2 {
		store(t, d.Log(), entries(i, i+1, smallSize)...)
	}
	if err := errors.Join(d.Log().DeleteRange(smallLast-1, 1000), d.Log().DeleteRange(1, smallFirst-1)); err != nil {
		t.Fatal(err)
	}
	if err := d.Log().StageCommitIndex(smallLast - 1); err != nil {
		t.Fatal(err)
	}
	store(t, d.Log(), entries(smallLast-1, smallLast, smallSize)...)
	writeSnapshot(t, d, smallFirst-1, 1, []byte("state"))
	mustClose(t, d)
	return d.Path()
}

const (
	smallFirst, smallLast = 3, 14
	smallSize             = 600
)

// trueOrNamed opens a directory whose raft.db was tampered with: all is as smallDir left it, or an error names the file.
func trueOrNamed(t *testing.T, path, what string) (refused bool) {
	t.Helper()
	d, err := Open(path)
	if err != nil {
		if !strings.Contains(err.Error(), filepath.Join(path, boltName)) {
			t.Fatalf("%s: error does not name the file: %v", what, err)
		}
		return true
	}
	defer func() { mustClose(t, d) }()
	wantEntries(t, d.Log(), smallFirst, smallLast, smallSize)
	term, err := d.Stable().GetUint64([]byte("CurrentTerm"))
	commit, cerr := d.Log().GetCommitIndex()
	if term != 9 || commit != smallLast-1 || err != nil || cerr != nil {
		t.Fatalf("%s: term %d, commit index %d, %v, %v", what, term, commit, err, cerr)
	}
	return false
}

// TestEveryByteFlipped changes each byte of raft.db in turn, in one bit or in all: both meta pages, all that is in use, and
// what is not (there is no page of free pages: bbolt keeps none with NoFreelistSync). The check alone runs for every byte; the
// whole of Open, with all entries read through bbolt, for every byte of page headers and first elements and for some of the
// others: it must agree with the check.
func TestEveryByteFlipped(t *testing.T) {
	path := smallDir(t)
	name := filepath.Join(path, boltName)
	whole := readFile(t, name)
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	put := func(i int, b byte) {
		if _, err := f.WriteAt([]byte{b}, int64(i)); err != nil {
			t.Fatal(err)
		}
	}
	meta, _, _ := newestMeta(f)
	scan := &boltScan{data: whole, meta: meta, seen: make([]bool, meta.end)}
	scan.mark(t)
	image := append([]byte{}, whole...)
	flipped, opened, refused := 0, 0, 0
	for i, b := range whole {
		p, in := uint64(i)/meta.pageSize, uint64(i)%meta.pageSize
		used := p < meta.end && scan.seen[p]
		for n, mask := range []byte{1 << (i % 8), 0xff} {
			if n > 0 && i%9 != 0 {
				continue
			}
			image[i] = b ^ mask
			_, err := checkImage(filepath.Join(path, boltName), image, -1)
			flipped++
			if err != nil {
				wantCorrupt(t, err, name)
				refused++
			}
			if used && in < 120 || i%37 == 0 {
				opened++
				put(i, b^mask)
				if trueOrNamed(t, path, fmt.Sprintf("byte %d ^ %#x", i, mask)) != (err != nil) {
					t.Fatalf("byte %d ^ %#x: Open and the check (%v) disagree", i, mask, err)
				}
				put(i, b)
			}
		}
		image[i] = b
	}
	if trueOrNamed(t, path, "as it was") {
		t.Fatal("the undamaged file is refused")
	}
	t.Logf("%d flips, %d refused, the others without effect; %d opened and read", flipped, refused, opened)
	if refused < (smallLast-smallFirst+1)*smallSize {
		t.Errorf("only %d of %d flips were refused: the entries alone have more bytes", refused, flipped)
	}
}

// mark finds the pages that are in use.
func (s *boltScan) mark(t *testing.T) {
	t.Helper()
	s.seen[0], s.seen[1] = true, true
	reason := s.page(s.meta.root, 0, nil, nil, func(flags uint32, key, value []byte) string {
		return s.bucket(value, func(uint32, []byte, []byte) string { return "" })
	})
	if reason != "" {
		t.Fatal(reason)
	}
}

// TestStalePages copies each page over each other one: pages that were good once, in the wrong place.
func TestStalePages(t *testing.T) {
	path := smallDir(t)
	name := filepath.Join(path, boltName)
	whole := readFile(t, name)
	page := os.Getpagesize()
	for from := 0; from < len(whole); from += page {
		for to := 0; to < len(whole); to += page {
			bad := append([]byte{}, whole...)
			copy(bad[to:to+page], whole[from:from+page])
			if from/page >= 2 {
				copy(bad[to:to+8], whole[to:to+8]) // with the right page number, or it would be too easy
			}
			writeFile(t, name, bad)
			trueOrNamed(t, path, fmt.Sprintf("page %d over page %d", from/page, to/page))
		}
	}
}

// TestRolledBackFile points the newest meta page at what an older one pointed at: all of it valid, but older.
func TestRolledBackFile(t *testing.T) {
	d := newDir(t)
	store(t, d.Log(), entries(1, 10, 50)...)
	name := filepath.Join(d.Path(), boltName)
	before := readFile(t, name)
	store(t, d.Log(), entries(11, 12, 50)...)
	mustClose(t, d)
	after := readFile(t, name)
	page := os.Getpagesize()
	m0, _ := parseMeta(after[pageHeaderSize:])
	m1, _ := parseMeta(after[page+pageHeaderSize:])
	newest := 0
	if m1.tx > m0.tx {
		newest = page
	}
	for what, damage := range map[string]func(b []byte) []byte{
		"newest meta lost":     func(b []byte) []byte { clear(b[newest : newest+page]); return b },
		"newest meta stale":    func(b []byte) []byte { copy(b[newest:newest+page], before[newest:newest+page]); return b },
		"data stale, meta new": func(b []byte) []byte { return append(append([]byte{}, b[:2*page]...), before[2*page:]...) },
	} {
		b := damage(append([]byte{}, after...))
		writeFile(t, name, b)
		d, err := Open(d.Path())
		if err == nil {
			last, _ := d.Log().LastIndex()
			mustClose(t, d)
			// A lost write of the last meta page is the one thing that cannot be told from a transaction that never was.
			if what == "newest meta stale" && last == 10 {
				continue
			}
			t.Fatalf("%s: opened with last index %d", what, last)
		}
		wantCorrupt(t, err, name)
	}
}

// TestTruncated cuts raft.db at every 512 bytes, and tears its last page.
func TestTruncated(t *testing.T) {
	path := smallDir(t)
	name := filepath.Join(path, boltName)
	whole := readFile(t, name)
	meta, _, _ := newestMeta(strings.NewReader(string(whole)))
	used := int(meta.end * meta.pageSize)
	for size := 0; size <= len(whole); size += 512 {
		writeFile(t, name, whole[:size])
		if refused := trueOrNamed(t, path, fmt.Sprintf("cut at %d", size)); refused != (size < used) {
			t.Fatalf("cut at %d of %d bytes, %d in use: refused is %v", size, len(whole), used, refused)
		}
		if _, err := Verify(path); (err != nil) != (size < used) {
			t.Fatalf("cut at %d: Verify: %v", size, err)
		}
	}
	for torn := 512; torn < int(meta.pageSize); torn += 512 {
		for _, p := range []int{0, 1, used/int(meta.pageSize) - 1} {
			bad := append([]byte{}, whole...)
			clear(bad[p*int(meta.pageSize)+torn : (p+1)*int(meta.pageSize)])
			writeFile(t, name, bad)
			trueOrNamed(t, path, fmt.Sprintf("page %d torn after %d bytes", p, torn))
		}
	}
}

// TestNotALog puts other things in the place of raft.db.
func TestNotALog(t *testing.T) {
	path := smallDir(t)
	name := filepath.Join(path, boltName)
	for what, data := range map[string][]byte{
		"empty":   nil,
		"zeros":   make([]byte, 1<<16),
		"text":    []byte(strings.Repeat("not a log\n", 5000)),
		"garbage": entry(1, 1<<16).Data,
	} {
		writeFile(t, name, data)
		_, err := Open(path)
		wantCorrupt(t, err, name)
		_, err = Verify(path)
		wantCorrupt(t, err, name)
		t.Log(what, "refused")
	}
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	_, err := Open(path)
	wantCorrupt(t, err, name)
	_, err = Verify(path)
	wantCorrupt(t, err, name)
	if err := os.Mkdir(name, 0o700); err != nil {
		t.Fatal(err)
	}
	_, err = Open(path)
	wantCorrupt(t, err, name)
}

// TestStateWithoutOwner removes node.json: a log must not get another owner.
func TestStateWithoutOwner(t *testing.T) {
	path := smallDir(t)
	remove(t, filepath.Join(path, nodeName))
	_, err := Open(path)
	wantCorrupt(t, err, filepath.Join(path, nodeName))
	_, err = Verify(path)
	wantCorrupt(t, err, filepath.Join(path, nodeName))
}

// TestDamageWhileOpen damages a file under a running node: reads give an error, no panic, no other data.
func TestDamageWhileOpen(t *testing.T) {
	for _, how := range []string{"overwritten", "cut"} {
		t.Run(how, func(t *testing.T) {
			d := newDir(t)
			store(t, d.Log(), entries(1, 200, 300)...)
			name := filepath.Join(d.Path(), boltName)
			st, err := os.Stat(name)
			if err != nil {
				t.Fatal(err)
			}
			f, err := os.OpenFile(name, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = f.Close() }()
			page := os.Getpagesize()
			if how == "cut" { // reading behind the end of the file is a SIGBUS
				err = f.Truncate(int64(2 * page))
			} else {
				_, err = f.WriteAt(entry(1, int(st.Size())-2*page).Data, int64(2*page))
			}
			if err != nil {
				t.Fatal(err)
			}
			bad := 0
			for i := uint64(1); i <= 200; i++ {
				l := *entry(9, 9)
				err := d.Log().GetLog(i, &l)
				if err == nil && !sameEntry(&l, entry(i, 300)) {
					t.Fatalf("entry %d is another", i)
				}
				if err != nil {
					wantCorrupt(t, err, name)
					bad++
					if !sameEntry(&l, entry(9, 9)) {
						t.Fatal("the caller's entry was changed")
					}
				}
			}
			if bad == 0 {
				t.Error("no read failed")
			}
			var fatal *FatalError
			if err := d.Log().StoreLog(entry(201, 10)); !errors.As(err, &fatal) {
				t.Errorf("write on a damaged file: %v", err)
			}
		})
	}
}

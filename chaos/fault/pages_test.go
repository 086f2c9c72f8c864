package fault

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"go.etcd.io/bbolt"
)

// logOf writes a log as a node does, and compacts it: most of the file are pages of older states then. It gives the entries that are there, and what was in it before.
func logOf(t *testing.T, path string, entries int) (have, gone [][]byte) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{NoFreelistSync: true, NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	update := func(do func(logs *bbolt.Bucket) error) {
		t.Helper()
		err := db.Update(func(tx *bbolt.Tx) error {
			if _, err := tx.CreateBucketIfNotExists([]byte("conf")); err != nil {
				return err
			}
			logs, err := tx.CreateBucketIfNotExists([]byte("logs"))
			if err != nil {
				return err
			}
			return do(logs)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	key := func(i int) []byte { return binary.BigEndian.AppendUint64(nil, uint64(i)) }
	for i := range 2 * entries {
		value := fmt.Appendf(nil, "<entry %d %s>", i, bytes.Repeat([]byte{'x'}, i%300))
		update(func(logs *bbolt.Bucket) error { return logs.Put(key(i), value) })
		if i < entries {
			gone = append(gone, value)
		} else {
			have = append(have, value)
		}
	}
	update(func(logs *bbolt.Bucket) error {
		for i := range entries {
			if err := logs.Delete(key(i)); err != nil {
				return err
			}
		}
		return nil
	})
	return have, gone
}

// TestOnlyEntriesThatAreReadAreDamaged: of a real file, each entry is in one span, whole, and nothing is that was before; as many bytes as were asked for are changed, all of them there.
func TestOnlyEntriesThatAreReadAreDamaged(t *testing.T) {
	for _, entries := range []int{1, 3, 1000} { // inline, a leaf, a tree
		dir := t.TempDir()
		path := filepath.Join(dir, logFile)
		have, gone := logOf(t, path, entries)
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		spans, err := entriesOf(data)
		if err != nil {
			t.Fatalf("%d entries: %v", entries, err)
		}
		within := make([]bool, len(data))
		var read []byte
		for _, s := range spans {
			for at := s.at; at < s.at+s.size; at++ {
				if within[at] {
					t.Fatalf("byte %d is in two spans", at)
				}
				within[at] = true
			}
			read = append(read, data[s.at:s.at+s.size]...)
		}
		for _, value := range have {
			if bytes.Count(read, value) != 1 {
				t.Errorf("%d entries: %.20s is there %d times", entries, value, bytes.Count(read, value))
			}
		}
		left := 0
		for _, value := range gone {
			if bytes.Contains(read, value) {
				t.Errorf("%d entries: %.20s is not there any more", entries, value)
			}
			if bytes.Contains(data, value) {
				left++
			}
		}
		if entries == 1000 && (left < 10 || len(read) > len(data)*3/4) {
			t.Errorf("%d of the older entries are in the file, and %d of %d bytes are read: this shows nothing", left, len(read), len(data))
		}
		for _, n := range []int{1, 16, 256} {
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
			name, err := changeFile(dir, logFile, Order{Amount: Amount(n), Random: rand.New(rand.NewPCG(uint64(n), 1))})
			if err != nil || name != logFile {
				t.Fatalf("%q, %v", name, err)
			}
			changed, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			count := 0
			for at := range data {
				if changed[at] != data[at] {
					count++
					if !within[at] {
						t.Errorf("%d entries: byte %d is in no entry", entries, at)
					}
				}
			}
			if count != min(n, len(read)) {
				t.Errorf("%d entries: %d bytes were changed, not %d", entries, count, n)
			}
		}
	}
}

// TestWhatANodeSaysOfDamage: behind a place in its log, in the words of its errors.
func TestWhatANodeSaysOfDamage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "n1.log")
	before := "level=ERROR msg=\"/n1/raft.db is damaged: at entry 3: checksum mismatch\"\n"
	if err := os.WriteFile(path, []byte(before+"level=INFO msg=ready\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if !saysDamage(path, 0) || saysDamage(path, int64(len(before))) || saysDamage(path+".none", 0) {
		t.Error("what is said is not found, or what was said before is")
	}
}

// FuzzEntries: whatever a file is, it is read within its bounds.
func FuzzEntries(f *testing.F) {
	f.Add([]byte{}, 0, byte(0))
	f.Fuzz(func(t *testing.T, text []byte, at int, b byte) {
		for _, data := range [][]byte{text, nil} {
			if data == nil {
				path := filepath.Join(t.TempDir(), logFile)
				logOf(t, path, 3)
				var err error
				if data, err = os.ReadFile(path); err != nil {
					t.Fatal(err)
				}
				data[uint(at)%uint(len(data))] ^= b
			}
			spans, err := entriesOf(data)
			for _, s := range spans {
				if err == nil && (s.at < 0 || s.size < 0 || s.at+s.size > len(data)) {
					t.Errorf("%+v of %d bytes", s, len(data))
				}
			}
		}
	})
}

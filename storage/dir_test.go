package storage

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/fnv"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// fixMeta makes the checksum of the meta page at off good.
func fixMeta(b []byte, off int) {
	m := b[off+pageHeaderSize:]
	h := fnv.New64a()
	_, _ = h.Write(m[:56])
	binary.NativeEndian.PutUint64(m[56:], h.Sum64())
}

func TestModes(t *testing.T) {
	d := newDir(t)
	writeSnapshot(t, d, 3, 1, []byte("state"))
	key := filepath.Join(d.TLSDir(), "node.key")
	mustClose(t, d)
	private := func() {
		t.Helper()
		err := filepath.WalkDir(d.Path(), func(p string, e fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := e.Info()
			if err == nil && info.Mode().Perm()&0o077 != 0 {
				t.Errorf("%s has mode %v", p, info.Mode())
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	writeFile(t, key, []byte("secret"))
	for _, p := range []string{d.Path(), d.TLSDir()} {
		if err := os.Chmod(p, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range []string{key, filepath.Join(d.Path(), boltName)} {
		if err := os.Chmod(p, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	d = mustOpen(t, d.Path())
	private()
	if len(d.Warnings()) < 2 {
		t.Errorf("warnings: %v", d.Warnings())
	}
	mustClose(t, d)
	d = mustOpen(t, d.Path())
	if len(d.Warnings()) != 0 {
		t.Errorf("warnings: %v", d.Warnings())
	}
	shared := t.TempDir()
	if err := os.Chmod(shared, 0o1777); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(shared); err == nil {
		t.Error("a directory that everybody may write to was taken over")
	}
}

func TestIdentityOnce(t *testing.T) {
	d := mustOpen(t, filepath.Join(t.TempDir(), "a", "b"))
	if _, ok := d.Identity(); ok {
		t.Error("a fresh directory has an identity")
	}
	for _, id := range []Identity{{}, {Name: "a", NodeID: "b"}, {Name: "a\n", NodeID: "b", GroupID: "c"}, {Name: string(make([]byte, 300)), NodeID: "b", GroupID: "c"}} {
		if err := d.SetIdentity(id); err == nil {
			t.Errorf("%+v was taken", id)
		}
	}
	id := testIdentity
	id.NodeID = NewNodeID()
	if len(id.NodeID) != 36 || id.NodeID == NewNodeID() {
		t.Error(id.NodeID)
	}
	if err := errors.Join(d.SetIdentity(id), d.SetIdentity(id)); err != nil {
		t.Fatal(err)
	}
	if err := d.SetIdentity(testIdentity); err == nil {
		t.Error("another identity was taken")
	}
	mustClose(t, d)
	if got, ok := mustOpen(t, d.Path()).Identity(); !ok || got != id {
		t.Errorf("%+v", got)
	}
}

// TestOpenLeavesFileAlone holds bbolt and raft-boltdb to what openBolt relies on: opening writes nothing.
func TestOpenLeavesFileAlone(t *testing.T) {
	d := newDir(t)
	store(t, d.Log(), entries(1, 100, 100)...)
	mustClose(t, d)
	name := filepath.Join(d.Path(), boltName)
	before := readFile(t, name)
	for range 3 {
		mustClose(t, mustOpen(t, d.Path()))
	}
	if !bytes.Equal(before, readFile(t, name)) {
		t.Error("opening changed raft.db")
	}
	d = mustOpen(t, d.Path())
	store(t, d.Log(), entries(101, 110, 100)...) // and it is not read-only
	wantEntries(t, d.Log(), 1, 110, 100)
}

func TestStable(t *testing.T) {
	d := newDir(t)
	s := d.Stable()
	if _, err := s.Get([]byte("x")); err == nil || err.Error() != "not found" {
		t.Error(err)
	}
	if n, err := s.GetUint64([]byte("x")); n != 0 || err == nil || err.Error() != "not found" {
		t.Error(n, err)
	}
	value := []byte("node-1")
	if err := errors.Join(s.Set([]byte("LastVoteCand"), value), s.SetUint64([]byte("LastVoteTerm"), 1<<63), s.Set([]byte("empty"), nil)); err != nil {
		t.Fatal(err)
	}
	value[0] = 'X' // the store has its own copy
	if err := s.SetAll(Pair{[]byte("all"), nil}, Pair{[]byte("empty"), make([]byte, maxValueSize+1)}); err == nil {
		t.Error("one of two values is too long, and both were taken")
	}
	if _, err := s.Get([]byte("all")); !errors.Is(err, ErrKeyNotFound) {
		t.Errorf("one of two values is stored: %v", err)
	}
	if err := s.SetAll(Pair{[]byte("LastVoteTerm"), binary.BigEndian.AppendUint64(nil, 1<<63)}, Pair{[]byte("empty"), nil}); err != nil {
		t.Fatal(err)
	}
	for _, bad := range [][2]int{{maxValueKey + 1, 1}, {1, maxValueSize + 1}} {
		if err := s.Set(make([]byte, bad[0]), make([]byte, bad[1])); err == nil {
			t.Errorf("%v was taken", bad)
		}
	}
	for i := range maxValues {
		if err := s.Set([]byte{byte(i)}, nil); err != nil && i < maxValues-3 {
			t.Fatal(err)
		} else if err == nil && i >= maxValues-3 {
			t.Error("too many keys")
		}
	}
	for range 2 {
		v, err := s.Get([]byte("LastVoteCand"))
		n, nerr := s.GetUint64([]byte("LastVoteTerm"))
		e, eerr := s.Get([]byte("empty"))
		if string(v) != "node-1" || n != 1<<63 || len(e) != 0 || errors.Join(err, nerr, eerr) != nil {
			t.Errorf("%q %d %q %v %v %v", v, n, e, err, nerr, eerr)
		}
		if _, err := s.GetUint64([]byte("LastVoteCand")); err == nil {
			t.Error("text read as a number")
		}
		mustClose(t, d)
		d = mustOpen(t, d.Path())
		s = d.Stable()
	}
}

func TestVerifyReport(t *testing.T) {
	d := newDir(t)
	if err := d.Stable().SetUint64([]byte("CurrentTerm"), 4); err != nil {
		t.Fatal(err)
	}
	store(t, d.Log(), entries(1, 60, 100)...)
	if err := d.Log().StageCommitIndex(55); err != nil {
		t.Fatal(err)
	}
	store(t, d.Log(), entries(61, 70, 100)...)
	id := writeSnapshot(t, d, 30, 1, []byte("state"))
	if err := d.Log().DeleteRange(1, 20); err != nil {
		t.Fatal(err)
	}
	mustClose(t, d)
	before := readFile(t, filepath.Join(d.Path(), boltName))
	r, err := Verify(d.Path())
	if err != nil {
		t.Fatal(err)
	}
	want := Report{
		Path: d.Path(), Identity: testIdentity, HasIdentity: true, FirstIndex: 21, LastIndex: 70, LastTerm: 2, CommitIndex: 55, CurrentTerm: 4,
		Entries: 50, LogBytes: r.LogBytes, FileBytes: int64(len(before)),
		Snapshots: []SnapshotReport{{ID: id, Index: 30, Term: 1, Bytes: 5}},
		Values:    map[string][]byte{"CurrentTerm": {0, 0, 0, 0, 0, 0, 0, 4}}, newest: r.newest,
	}
	deepEqual(t, "report", r, want)
	if !bytes.Equal(before, readFile(t, filepath.Join(d.Path(), boltName))) {
		t.Error("Verify changed raft.db")
	}
	for _, p := range []string{filepath.Join(d.Path(), "nothing"), filepath.Join(d.Path(), nodeName)} {
		if _, err := Verify(p); err == nil {
			t.Errorf("%s: verified", p)
		}
	}
}

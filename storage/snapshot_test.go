package storage

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/raft"
)

func writeSnapshot(t testing.TB, d *Dir, index, term uint64, state []byte) string {
	t.Helper()
	_, trans := raft.NewInmemTransport("127.0.0.1:1")
	conf := raft.Configuration{Servers: []raft.Server{{ID: "n1", Address: "127.0.0.1:1"}}}
	sink, err := d.Snapshots().Create(1, index, term, conf, 1, trans)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sink.Write(state); err != nil {
		t.Fatal(err)
	}
	if err := sink.Close(); err != nil {
		t.Fatal(err)
	}
	return sink.ID()
}

func TestSnapshotRoundTrip(t *testing.T) {
	d := newDir(t)
	state := bytes.Repeat([]byte("state "), 5000)
	store(t, d.Log(), entries(1, 20, 10)...)
	for i := uint64(5); i <= 20; i += 5 {
		writeSnapshot(t, d, i, 1, append(state, byte(i)))
	}
	mustClose(t, d)
	d = mustOpen(t, d.Path())
	list, err := d.Snapshots().List()
	if err != nil || len(list) != 2 || list[0].Index != 20 || list[1].Index != 15 {
		t.Fatalf("%+v, %v", list, err)
	}
	meta, r, err := d.Snapshots().Open(list[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(r)
	if cerr := r.Close(); err != nil || cerr != nil || !bytes.Equal(got, append(state, 20)) || meta.Index != 20 || len(meta.Configuration.Servers) != 1 {
		t.Fatalf("content differs: %d bytes, %+v, %v", len(got), meta, err)
	}
	if len(d.Warnings()) != 0 {
		t.Error(d.Warnings())
	}
}

func TestSnapshotCancelledOrUnfinished(t *testing.T) {
	d := newDir(t)
	_, trans := raft.NewInmemTransport("127.0.0.1:1")
	sink, err := d.Snapshots().Create(1, 3, 1, raft.Configuration{}, 1, trans)
	if err != nil {
		t.Fatal(err)
	}
	if err := sink.Cancel(); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Snapshots().Create(1, 4, 1, raft.Configuration{}, 1, trans); err != nil {
		t.Fatal(err)
	}
	mustClose(t, d) // as if the process had died
	d = mustOpen(t, d.Path())
	left, err := os.ReadDir(filepath.Join(d.Path(), snapshotDir))
	if err != nil || len(left) != 0 || !d.Empty() {
		t.Errorf("%v, %v", left, err)
	}
}

// TestSnapshotDamage breaks the newest of two snapshots in every way and both, with a log that makes up for it and one that
// does not.
func TestSnapshotDamage(t *testing.T) {
	damages := map[string]func(t *testing.T, dir string) string{
		"state flipped": func(t *testing.T, dir string) string { return flip(t, filepath.Join(dir, snapshotStateFile), 7) },
		"state cut": func(t *testing.T, dir string) string {
			p := filepath.Join(dir, snapshotStateFile)
			writeFile(t, p, readFile(t, p)[:3])
			return p
		},
		"state gone": func(t *testing.T, dir string) string { return remove(t, filepath.Join(dir, snapshotStateFile)) },
		"meta gone":  func(t *testing.T, dir string) string { return remove(t, filepath.Join(dir, snapshotMetaFile)) },
		"meta garbage": func(t *testing.T, dir string) string {
			return overwrite(t, filepath.Join(dir, snapshotMetaFile), "\x00garbage")
		},
		"meta empty": func(t *testing.T, dir string) string { return overwrite(t, filepath.Join(dir, snapshotMetaFile), "") },
		"address edited": func(t *testing.T, dir string) string {
			p := filepath.Join(dir, snapshotMetaFile)
			return overwrite(t, p, strings.Replace(string(readFile(t, p)), "127.0.0.1:1", "127.0.0.1:2", 1))
		},
	}
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			d := newDir(t)
			store(t, d.Log(), entries(1, 20, 10)...)
			old := writeSnapshot(t, d, 10, 1, []byte("the older state"))
			newer := writeSnapshot(t, d, 15, 1, []byte("the newer state"))
			mustClose(t, d)

			path := copyTree(t, d.Path())
			damaged := damage(t, filepath.Join(path, snapshotDir, newer))
			if _, err := Verify(path); err == nil || !strings.Contains(err.Error(), damaged) {
				t.Fatalf("Verify: %v", err)
			}
			// The older snapshot and the log hold everything: go on and say so.
			c := mustOpen(t, path)
			list, err := c.Snapshots().List()
			if err != nil || len(list) != 1 || list[0].ID != old || len(c.Warnings()) != 1 {
				t.Fatalf("%+v, %v, %v", list, err, c.Warnings())
			}
			// The log begins behind the older snapshot: refuse.
			if err := c.Log().DeleteRange(1, 12); err != nil {
				t.Fatal(err)
			}
			mustClose(t, c)
			_, err = Open(path)
			wantNeeded(t, err, damaged, "the newest that is whole ends at entry 10, and the log begins with entry 13")
			_, err = Verify(path)
			wantNeeded(t, err, damaged, "the newest that is whole ends at entry 10, and the log begins with entry 13")
			// The log ends before the damaged snapshot does: refuse, although nothing has a hole.
			path = copyTree(t, d.Path())
			c = mustOpen(t, path)
			if err := c.Log().DeleteRange(11, 20); err != nil {
				t.Fatal(err)
			}
			mustClose(t, c)
			damaged = damage(t, filepath.Join(path, snapshotDir, newer))
			_, err = Open(path)
			wantCorrupt(t, err, damaged)
			// No log at all and no whole snapshot: never silently empty.
			c = mustOpen(t, copyTree(t, d.Path()))
			if err := c.Log().DeleteRange(1, 20); err != nil {
				t.Fatal(err)
			}
			mustClose(t, c)
			damage(t, filepath.Join(c.Path(), snapshotDir, newer))
			damage(t, filepath.Join(c.Path(), snapshotDir, old))
			if _, err := Open(c.Path()); err == nil || !strings.Contains(err.Error(), snapshotDir) {
				t.Fatalf("Open: %v", err)
			}
		})
	}
}

// TestTheOnlySnapshotIsDamaged: it is what is damaged, not the log, which begins behind it; and it is said once.
func TestTheOnlySnapshotIsDamaged(t *testing.T) {
	d := newDir(t)
	store(t, d.Log(), entries(1, 20, 10)...)
	id := writeSnapshot(t, d, 15, 1, []byte("the state"))
	if err := d.Log().DeleteRange(1, 15); err != nil {
		t.Fatal(err)
	}
	mustClose(t, d)
	damaged := flip(t, filepath.Join(d.Path(), snapshotDir, id, snapshotStateFile), 3)
	_, err := Open(d.Path())
	wantNeeded(t, err, damaged, "there is no other snapshot, and the log begins with entry 16")
	_, err = Verify(d.Path())
	wantNeeded(t, err, damaged, "there is no other snapshot, and the log begins with entry 16")
}

// wantNeeded wants a damaged snapshot that is needed, named once, and nothing else.
func wantNeeded(t *testing.T, err error, damaged, then string) {
	t.Helper()
	wantCorrupt(t, err, damaged)
	if text := err.Error(); strings.Count(text, damaged) != 1 || strings.Count(text, "is damaged") != 1 || strings.Contains(text, boltName) || !strings.Contains(text, "nothing makes up for it: "+then) {
		t.Errorf("got %v", err)
	}
}

func TestSnapshotEveryByteFlipped(t *testing.T) {
	d := newDir(t)
	state := []byte("a small replicated state")
	id := writeSnapshot(t, d, 10, 3, state)
	mustClose(t, d)
	dir := filepath.Join(d.Path(), snapshotDir)
	for _, name := range []string{snapshotMetaFile, snapshotStateFile, snapshotSumFile} {
		p := filepath.Join(dir, id, name)
		whole := readFile(t, p)
		for i := range whole {
			for _, mask := range []byte{1, 0x20, 0x80, 0xff} {
				bad := bytes.Clone(whole)
				bad[i] ^= mask
				writeFile(t, p, bad)
				if meta, err := readSnapshot(dir, id); err == nil {
					t.Fatalf("%s: byte %d flipped by %#x is taken: %+v", name, i, mask, meta)
				}
			}
		}
		writeFile(t, p, whole)
	}
	if _, err := readSnapshot(dir, id); err != nil {
		t.Fatal(err)
	}
}

func flip(t testing.TB, path string, at int64) string {
	t.Helper()
	b := readFile(t, path)
	b[at] ^= 0x10
	writeFile(t, path, b)
	return path
}

func remove(t testing.TB, path string) string {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	return path
}

func overwrite(t testing.TB, path, data string) string {
	t.Helper()
	writeFile(t, path, []byte(data))
	return path
}

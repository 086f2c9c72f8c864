package storage

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

var testIdentity = Identity{Name: "n1", NodeID: "0b0e4c1e-6b34-4a3e-9f34-2f2d2f0a0001", GroupID: "g-1", Epoch: 1}

func mustOpen(t testing.TB, path string) *Dir {
	t.Helper()
	d, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

// newDir gives a fresh directory with an identity.
func newDir(t testing.TB) *Dir {
	t.Helper()
	d := mustOpen(t, filepath.Join(t.TempDir(), "data"))
	if err := d.SetIdentity(testIdentity); err != nil {
		t.Fatal(err)
	}
	return d
}

func mustClose(t testing.TB, d *Dir) {
	t.Helper()
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
}

// entry makes the same entry for the same index every time; size is that of its data.
func entry(index uint64, size int) *raft.Log {
	r := rand.New(rand.NewPCG(index, 1))
	data := make([]byte, size)
	for i := range data {
		data[i] = byte(r.Uint32())
	}
	l := &raft.Log{Index: index, Term: 1 + index/50, Type: raft.LogCommand, Data: data, AppendedAt: time.Unix(1_800_000_000+int64(index), 12345)}
	if index%7 == 0 {
		l.Extensions = fmt.Appendf(nil, "ext-%d", index)
	}
	return l
}

func entries(lo, hi uint64, size int) []*raft.Log {
	var out []*raft.Log
	for i := lo; i <= hi; i++ {
		out = append(out, entry(i, size))
	}
	return out
}

func store(t testing.TB, l raft.LogStore, logs ...*raft.Log) {
	t.Helper()
	if err := l.StoreLogs(logs); err != nil {
		t.Fatal(err)
	}
}

func sameEntry(a, b *raft.Log) bool {
	return a.Index == b.Index && a.Term == b.Term && a.Type == b.Type && bytes.Equal(a.Data, b.Data) &&
		bytes.Equal(a.Extensions, b.Extensions) && a.AppendedAt.Equal(b.AppendedAt)
}

// wantEntries requires the log to be exactly lo..hi as made by entry.
func wantEntries(t testing.TB, l raft.LogStore, lo, hi uint64, size int) {
	t.Helper()
	first, err1 := l.FirstIndex()
	last, err2 := l.LastIndex()
	if err1 != nil || err2 != nil || first != lo || last != hi {
		t.Fatalf("log is %d..%d (%v, %v), want %d..%d", first, last, err1, err2, lo, hi)
	}
	if lo == 0 {
		return
	}
	for i := lo; i <= hi; i++ {
		var got raft.Log
		if err := l.GetLog(i, &got); err != nil {
			t.Fatal(err)
		}
		if !sameEntry(&got, entry(i, size)) {
			t.Fatalf("entry %d is not what was stored: %+v", i, got)
		}
	}
}

// wantCorrupt requires a *CorruptError that names path and a way out.
func wantCorrupt(t testing.TB, err error, path string) {
	t.Helper()
	var c *CorruptError
	if !errors.As(err, &c) {
		t.Fatalf("error %v, want a *CorruptError", err)
	}
	if c.Path != path || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "join again") {
		t.Fatalf("error does not name %s and a way out: %v", path, err)
	}
}

// copyTree copies a closed data directory to a fresh one.
func copyTree(t testing.TB, from string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	if _, err := secureFiles(to); err != nil { // CopyFS does not keep modes
		t.Fatal(err)
	}
	return to
}

func readFile(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func writeFile(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func deepEqual(t testing.TB, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%s: %+v, want %+v", what, got, want)
	}
}

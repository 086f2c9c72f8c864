package storage

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/hashicorp/raft"
)

// inspected is what Inspect handed out.
type inspected struct {
	snapshot string
	index    uint64
	entries  []*raft.Log
}

func inspect(dir string) (in inspected, r Report, err error) {
	r, err = Inspect(dir, Inspector{
		Snapshot: func(meta raft.SnapshotMeta, from io.Reader) error {
			b, err := io.ReadAll(from)
			in.snapshot, in.index = string(b), meta.Index
			return err
		},
		Entry: func(l *raft.Log) error {
			in.entries = append(in.entries, l)
			return nil
		},
	})
	return in, r, err
}

// TestInspect: what a node would start with is handed out in order, and nothing is changed, also where Open would tidy up.
func TestInspect(t *testing.T) {
	d := newDir(t)
	all := entries(1, 70, 100)
	store(t, d.Log(), entries(1, 70, 100)...)
	if in, _, err := inspect(d.Path()); !errors.As(err, new(*LockedError)) || in.entries != nil {
		t.Fatalf("while a node has it: %v", err)
	}
	writeSnapshot(t, d, 20, 1, []byte("older"))
	writeSnapshot(t, d, 30, 1, []byte("state"))
	if err := d.Log().DeleteRange(1, 20); err != nil {
		t.Fatal(err)
	}
	mustClose(t, d)
	leftover := filepath.Join(d.Path(), boltName+".new")
	if err := os.WriteFile(leftover, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(d.Path(), boltName)
	if err := os.Chmod(log, 0o644); err != nil {
		t.Fatal(err)
	}
	before := readFile(t, log)

	in, r, err := inspect(d.Path())
	if err != nil || r.LastIndex != 70 || in.snapshot != "state" || in.index != 30 || len(in.entries) != 40 {
		t.Fatalf("%+v, snapshot %q of %d, %d entries, %v", r, in.snapshot, in.index, len(in.entries), err)
	}
	for i, l := range in.entries {
		if want := all[30+i]; l.Index != want.Index || l.Term != want.Term || l.Type != want.Type || !bytes.Equal(l.Data, want.Data) {
			t.Fatalf("entry %d is %+v, want %+v", i, l, want)
		}
	}
	if st, err := os.Stat(log); err != nil || st.Mode().Perm() != 0o644 || !bytes.Equal(before, readFile(t, log)) {
		t.Errorf("the log was touched: %v %v", st, err)
	}
	if _, err := os.Stat(leftover); err != nil {
		t.Errorf("it has tidied up: %v", err)
	}

	stop := errors.New("stop")
	for name, to := range map[string]Inspector{
		"snapshot": {Snapshot: func(raft.SnapshotMeta, io.Reader) error { return stop }},
		"entry":    {Snapshot: func(raft.SnapshotMeta, io.Reader) error { return nil }, Entry: func(*raft.Log) error { return stop }},
	} {
		if _, err := Inspect(d.Path(), to); !errors.Is(err, stop) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for i := range before {
		before[i] ^= 0x55
	}
	if err := os.WriteFile(log, before, 0o600); err != nil {
		t.Fatal(err)
	}
	if in, _, err := inspect(d.Path()); !errors.As(err, new(*CorruptError)) || in.snapshot != "" || in.entries != nil {
		t.Errorf("damaged: %+v, %v", in, err)
	}
	for _, path := range []string{filepath.Join(d.Path(), "none"), log} {
		if _, _, err := inspect(path); err == nil {
			t.Errorf("%s was inspected", path)
		}
	}
	if in, r, err := inspect(t.TempDir()); err != nil || r.HasIdentity || in.entries != nil {
		t.Errorf("empty: %+v, %v", r, err)
	}
}

// TestVerifyNamesANewerFormatOnce: an identity of a newer version is not called missing as well.
func TestVerifyNamesANewerFormatOnce(t *testing.T) {
	d := mustOpen(t, t.TempDir())
	if err := errors.Join(d.SetIdentity(testIdentity), d.Stable().SetUint64([]byte("CurrentTerm"), 3), d.Close()); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(d.Path(), nodeName)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, bytes.Replace(b, []byte(`"format": 1`), []byte(`"format": 9`), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = Verify(d.Path())
	var format *FormatError
	var damaged *CorruptError
	if !errors.As(err, &format) || errors.As(err, &damaged) {
		t.Errorf("%v", err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := Verify(d.Path()); !errors.As(err, &damaged) {
		t.Errorf("without it: %v", err)
	}
}

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"github.com/holdfast-lb/holdfast/storage"
	"github.com/holdfast-lb/holdfast/storage/archive"
)

func TestSizesForPeople(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1536: "1.5 KiB", 5 << 20: "5.0 MiB", 3 << 30: "3.0 GiB"} {
		if got := bytesText(n); got != want {
			t.Errorf("%d: %s", n, got)
		}
	}
}

// TestMeterIsBrief: one line every ten seconds, and on a terminal one that changes and goes.
func TestMeterIsBrief(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	run := func(terminal bool) string {
		var out strings.Builder
		m := &meter{w: &out, what: "backup", terminal: terminal, now: func() time.Time { return now }, start: now, last: now}
		for range 100 { // a MiB every 250 ms: 25 s
			now = now.Add(250 * time.Millisecond)
			_, _ = m.Write(make([]byte, 1<<20))
		}
		m.done()
		return out.String()
	}
	if got := run(false); got != "backup: 40.0 MiB, 4.0 MiB/s\nbackup: 80.0 MiB, 4.0 MiB/s\n" {
		t.Errorf("%q", got)
	}
	if got := run(true); strings.Count(got, "\r") != 101 || strings.Contains(got, "\n") || !strings.HasSuffix(got, "100.0 MiB, 4.0 MiB/s\r\x1b[K") {
		t.Errorf("%q", got)
	}
}

// TestRestorePlanNamesWhatIsLost: session data and keys that applications wrote after the archive are as lost as assignments, and somebody is to know that before --accept-loss.
func TestRestorePlanNamesWhatIsLost(t *testing.T) {
	var out strings.Builder
	if err := writeRegroupPlan(&out, regrouped{Archive: archiveView{Sessions: new(int)}}); err != nil {
		t.Fatal(err)
	}
	replaced, stays, _ := strings.Cut(out.String(), ";")
	for _, want := range []string{"assignments", "session data and keys", "configuration", "quiesces", "schedules", "workflows"} {
		if !strings.Contains(replaced, want) {
			t.Errorf("%s: not said to be replaced: %s", want, out.String())
		}
	}
	for _, want := range []string{"access tokens", "certificates", "files", "history", "events"} {
		if !strings.Contains(stays, want) {
			t.Errorf("%s: not said to stay: %s", want, out.String())
		}
	}
}

// TestTimeOutOfWhatTakesLong: a backup, a new program or a new leader is not given up after the 30 seconds of other commands, and --help does not say so.
func TestTimeOutOfWhatTakesLong(t *testing.T) {
	for _, args := range [][]string{{"backup", "create"}, {"upgrade-binary"}, {"node", "transfer"}, {"status"}} {
		_, out, _ := command(t, "http://127.0.0.1:1", append(args, "--help")...)
		if _, line, _ := strings.Cut(out, "--timeout TIME"); !strings.Contains(line, "go on for longer unless it is set (default 30s)") {
			t.Errorf("%q: %s", args, out)
		}
	}
}

// TestVerifyTellsDamageFromWhatCannotBeRead: "damaged" is for bytes that are not those that were written, whatever came before them. A disk that fails on the way says nothing of the archive. Both have failed, and a command that has ends with 1.
func TestVerifyTellsDamageFromWhatCannotBeRead(t *testing.T) {
	group := newFakeGroup()
	b, err := group.backup(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	var whole bytes.Buffer
	if err := errors.Join(b.Write(&whole), b.Close()); err != nil {
		t.Fatal(err)
	}
	spoilt := bytes.Clone(whole.Bytes())
	spoilt[len(spoilt)/2] ^= 1
	fails := &os.PathError{Op: "read", Path: "shop.hfb", Err: syscall.EIO}
	verify := func(in io.Reader, path string) (damaged, failed bool, said string) {
		t.Helper()
		var out, errOut bytes.Buffer
		status := run(t.Context(), []string{"backup", "verify", "-o", "json", path}, in, &out, &errOut)
		var answer struct{ Archives []archiveView }
		if err := json.Unmarshal(out.Bytes(), &answer); err != nil || len(answer.Archives) != 1 {
			t.Fatalf("%q: %v", &out, err)
		}
		a := answer.Archives[0]
		if want := map[bool]int{true: exitDone, false: exitFailed}[a.Error == ""]; status != want || a.Verified != (a.Error == "") {
			t.Errorf("exit status %d, want %d: %+v", status, want, a)
		}
		return a.Damaged, a.Error != "", errOut.String()
	}
	for name, tc := range map[string]struct {
		in              io.Reader
		damaged, failed bool
		words           string
	}{
		"whole":            {bytes.NewReader(whole.Bytes()), false, false, ""},
		"one bit":          {bytes.NewReader(spoilt), true, true, "damaged"},
		"cut off":          {bytes.NewReader(whole.Bytes()[:whole.Len()-9]), true, true, "it is cut off"},
		"empty":            {strings.NewReader(""), true, true, "it is cut off"},
		"fails at once":    {iotest.ErrReader(fails), false, true, "it cannot be read to its end, so whether it is whole is not known: read shop.hfb: input/output error"},
		"fails on the way": {io.MultiReader(bytes.NewReader(whole.Bytes()[:whole.Len()/2]), iotest.ErrReader(fails)), false, true, "input/output error"},
		"fails at the end": {io.MultiReader(bytes.NewReader(whole.Bytes()), iotest.ErrReader(fails)), false, true, "input/output error"},
	} {
		if damaged, failed, said := verify(tc.in, "-"); damaged != tc.damaged || failed != tc.failed || !strings.Contains(said, tc.words) || !damaged && strings.Contains(said, "damaged") {
			t.Errorf("%s: damaged %t, want %t and %q: %s", name, damaged, tc.damaged, tc.words, said)
		}
	}

	dir := filepath.Join(t.TempDir(), "data")
	d, err := storage.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(d.SetIdentity(storage.Identity{Name: "n1", NodeID: storage.NewNodeID(), GroupID: "0f0e0d0c-0b0a-4908-8706-050403020100"}), d.Close()); err != nil {
		t.Fatal(err)
	}
	identity := filepath.Join(dir, "node.json")
	text, err := os.ReadFile(identity)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(identity, bytes.Replace(text, []byte("n1"), []byte("n2"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	if damaged, _, said := verify(nil, dir); !damaged || !strings.Contains(said, "node.json is damaged") {
		t.Errorf("a data directory that was edited: damaged %t: %s", damaged, said)
	}
	if err := errors.Join(os.Remove(identity), os.Symlink(identity, identity)); err != nil { // nobody can read it
		t.Fatal(err)
	}
	if damaged, failed, said := verify(nil, dir); damaged || !failed || strings.Contains(said, "is damaged") {
		t.Errorf("a data directory that cannot be read: damaged %t: %s", damaged, said)
	}
}

func TestIsDamage(t *testing.T) {
	corrupt := func(err error) error { return &storage.CorruptError{Path: "raft.db", Reason: "r", Err: err} }
	denied := &fs.PathError{Op: "open", Path: "state.bin", Err: syscall.EACCES}
	for want, list := range map[bool][]error{
		true: {
			corrupt(nil), corrupt(errors.New("wrong CRC")), corrupt(errors.New("unexpected fault address")), corrupt(&fs.PathError{Op: "open", Path: "state.bin", Err: syscall.ENOENT}), fmt.Errorf("read x: %w", archive.ErrDamaged),
			errors.Join(denied, corrupt(nil)), fmt.Errorf("verify: %w", errors.Join(corrupt(denied), corrupt(nil))),
		},
		false: {
			nil, denied, corrupt(denied), corrupt(errors.Join(errors.New("unexpected fault address"), &fs.PathError{Op: "read", Path: "raft.db", Err: syscall.EIO})), fmt.Errorf("verify: %w", corrupt(fmt.Errorf("snapshot: %w", &fs.PathError{Op: "read", Path: "state.bin", Err: syscall.EIO}))),
			fmt.Errorf("read: %w", archive.ErrNewer), errors.Join(denied, io.ErrUnexpectedEOF), &storage.LockedError{Path: "LOCK"},
		},
	} {
		for _, err := range list {
			if isDamage(err) != want {
				t.Errorf("%v: damage %t", err, !want)
			}
		}
	}
}

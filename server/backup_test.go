package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/raftnode/pki"
	"github.com/holdfast-lb/holdfast/storage"
	"github.com/holdfast-lb/holdfast/storage/archive"
)

// download takes an archive from a node as anybody would.
func download(t *testing.T, s *Server) []byte {
	t.Helper()
	client := &http.Client{}
	defer client.CloseIdleConnections()
	resp, err := client.Get("http://" + s.AdminAddr().String() + "/v1/backup")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("status %d, %v: %.300s", resp.StatusCode, err, b)
	}
	return b
}

// smallGroup is a group of one with a configuration and sessions.
func smallGroup(t *testing.T) *testGroup {
	t.Helper()
	g := startGroup(t, 1)
	g.configure(t, "http://127.0.0.1:1")
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	id, _ := g.servers[0].state.InstanceID("cluster1", "i1")
	for i := range 40 {
		if _, err := g.servers[0].node.Record(ctx, fsm.SessionOp{Kind: fsm.OpAssign, Key: fsm.Key{byte(i), 1}, Instance: id}); err != nil {
			t.Fatal(err)
		}
	}
	return g
}

// TestBackupAndRestore: what a node sends is its state, and the group that begins again from it has that state in the next epoch.
func TestBackupAndRestore(t *testing.T) {
	g := smallGroup(t)
	s := g.servers[0]
	b := download(t, s)
	report, err := VerifyArchive(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	h := report.Header
	if report.Sessions != 40 || report.Revision != 1 || h.Epoch != 1 || h.GroupName != "test" || h.Node != "n1" || len(h.Members) != 1 || h.Confirmed != h.Index || report.Size != uint64(len(b)) {
		t.Errorf("%+v", report)
	}
	to := Restoration{DataDir: filepath.Join(t.TempDir(), "new"), Name: "n7"}
	restored, err := RestoreArchive(bytes.NewReader(b), to)
	if err != nil {
		t.Fatal(err)
	}
	if restored.Sessions != 40 || restored.Header.Epoch != 2 || restored.Digest == report.Digest {
		t.Errorf("%+v", restored)
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(to.DataDir), "*")); err != nil || len(left) != 1 {
		t.Errorf("beside it: %v, %v", left, err)
	}
	disk, err := OpenDisk(to.DataDir, "test", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if disk.Report.Digest != restored.Digest || disk.Report.Header.Members[0].Name != "n7" {
		t.Errorf("%+v", disk.Report)
	}
	if _, err := OpenDisk(to.DataDir, "test", time.Now()); !isLocked(err) {
		t.Errorf("a second time at once: %v", err)
	}
	var again bytes.Buffer
	if err := errors.Join(disk.Write(&again), disk.Close()); err != nil {
		t.Fatal(err)
	}
	if r, err := VerifyArchive(&again); err != nil || r.Digest != restored.Digest {
		t.Errorf("%+v, %v", r, err)
	}

	c := Defaults()
	c.Name, c.DataDir, c.PeerAddr, c.AdminAddr, c.LogLevel = "n7", to.DataDir, "127.0.0.1:0", "127.0.0.1:0", "warn"
	n, err := New(c, g.out)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	eventually(t, "the restored group leads", func() error {
		if i := n.node.Info(); i.Leader != "n7" {
			return fmt.Errorf("leader %q", i.Leader)
		}
		return nil
	})
	if n.state.Len() != 40 || n.state.Group().Epoch != 2 || n.state.Revision().Number != 1 {
		t.Errorf("%d sessions, epoch %d, revision %d", n.state.Len(), n.state.Group().Epoch, n.state.Revision().Number)
	}
	cancel()
	if err := errors.Join(<-done, n.Close()); err != nil {
		t.Error(err)
	}
	// Of a node that runs nothing is taken from its disk.
	if _, err := OpenDisk(s.dir.Path(), "test", time.Now()); !isLocked(err) {
		t.Errorf("a node that runs: %v", err)
	}
}

func isLocked(err error) bool {
	var locked *storage.LockedError
	return errors.As(err, &locked)
}

// listing is everything below a directory.
func listing(t *testing.T, dir string) (list []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

// TestDamagedArchivesRestoreNothing: every flipped byte is found, and the directory is as it was.
func TestDamagedArchivesRestoreNothing(t *testing.T) {
	b := download(t, smallGroup(t).servers[0])
	dir := t.TempDir()
	for i := range b {
		bad := bytes.Clone(b)
		bad[i] ^= 0x55
		_, err := RestoreArchive(bytes.NewReader(bad), Restoration{DataDir: dir, Name: "n1"})
		if !errors.Is(err, archive.ErrDamaged) && !errors.Is(err, archive.ErrNewer) {
			t.Fatalf("byte %d of %d: %v", i, len(b), err)
		}
	}
	if _, err := RestoreArchive(bytes.NewReader(b[:len(b)-1]), Restoration{DataDir: dir, Name: "n1"}); !errors.Is(err, archive.ErrDamaged) {
		t.Errorf("cut off: %v", err)
	}
	if left := listing(t, dir); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
	t.Logf("%d bytes flipped in turn", len(b))
}

// repacked gives an archive with another header around the same state.
func repacked(t *testing.T, b []byte, change func(*archive.Header), tail string) []byte {
	t.Helper()
	r, err := archive.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	h := r.Header()
	change(&h)
	var out bytes.Buffer
	if err := writeArchive(&out, h, io.MultiReader(r, strings.NewReader(tail))); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestArchivesThatAreWholeButWrong: all hashes are right, but what is said is not what is there.
func TestArchivesThatAreWholeButWrong(t *testing.T) {
	b := download(t, smallGroup(t).servers[0])
	if _, err := VerifyArchive(bytes.NewReader(repacked(t, b, func(*archive.Header) {}, ""))); err != nil {
		t.Fatalf("unchanged: %v", err)
	}
	for name, c := range map[string]struct {
		change func(*archive.Header)
		tail   string
		want   error
	}{
		"group":  {func(h *archive.Header) { h.GroupID = "another" }, "", archive.ErrDamaged},
		"name":   {func(h *archive.Header) { h.GroupName = "another" }, "", archive.ErrDamaged},
		"epoch":  {func(h *archive.Header) { h.Epoch++ }, "", archive.ErrDamaged},
		"index":  {func(h *archive.Header) { h.Index++ }, "", archive.ErrDamaged},
		"time":   {func(h *archive.Header) { h.GroupTime = h.GroupTime.Add(time.Second) }, "", archive.ErrDamaged},
		"schema": {func(h *archive.Header) { h.Schema = fsm.Schema + 1 }, "", archive.ErrNewer},
		"tail":   {func(*archive.Header) {}, "more", fsm.ErrSnapshotDamaged},
	} {
		if _, err := VerifyArchive(bytes.NewReader(repacked(t, b, c.change, c.tail))); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var other bytes.Buffer
	h := archive.Header{GroupID: "g", GroupName: "g", Epoch: 1, Index: 1, Term: 1, GroupTime: time.Now(), Created: time.Now(), Schema: 1}
	if err := writeArchive(&other, h, strings.NewReader("no snapshot at all, but long enough for the head of one")); err != nil {
		t.Fatal(err)
	}
	if _, err := VerifyArchive(&other); !errors.Is(err, fsm.ErrSnapshotDamaged) {
		t.Errorf("no state: %v", err)
	}
}

// TestRestoreOverwritesNothing: what is there stays, and what could not be finished goes.
func TestRestoreOverwritesNothing(t *testing.T) {
	b := download(t, smallGroup(t).servers[0])
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "photos"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	certificates := t.TempDir()
	ca, err := pki.NewCA(pki.NewGroupID(), "other", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	creds, err := pki.SelfIssue(ca, "n1", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := creds.Save(certificates); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		to   Restoration
		want string
	}{
		"not empty":    {Restoration{DataDir: full, Name: "n1"}, `is not empty (there is "photos" in it)`},
		"a file":       {Restoration{DataDir: file, Name: "n1"}, "not a directory"},
		"no directory": {Restoration{Name: "n1"}, "no data directory is named"},
		"no name":      {Restoration{DataDir: t.TempDir()}, "is not a node name"},
		"bad name":     {Restoration{DataDir: t.TempDir(), Name: "../n1"}, "is not a node name"},
		"certificate":  {Restoration{DataDir: t.TempDir(), TLSDir: certificates, Name: "n1"}, "certificate in"},
	} {
		if _, err := RestoreArchive(bytes.NewReader(b), c.to); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if left := listing(t, full); len(left) != 1 {
		t.Errorf("%v", left)
	}
	if again, err := pki.Load(certificates); err != nil || again.GroupID != creds.GroupID {
		t.Errorf("the certificate is another: %v", err)
	}

	// It fails at its last step: TLSDir is a file.
	volume := t.TempDir() // a file system of its own
	if err := os.Mkdir(filepath.Join(volume, lostAndFound), 0o700); err != nil {
		t.Fatal(err)
	}
	fresh := filepath.Join(t.TempDir(), "a", "b")
	for _, dir := range []string{volume, fresh} {
		if _, err := RestoreArchive(bytes.NewReader(b), Restoration{DataDir: dir, TLSDir: filepath.Join(dir, "node.json"), Name: "n1"}); err == nil {
			t.Error("saved into a file")
		}
	}
	if left := listing(t, volume); len(left) != 1 || left[0] != lostAndFound {
		t.Errorf("left: %v", left)
	}
	if _, err := os.Stat(fresh); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("left: %v", err)
	}
	if _, err := RestoreArchive(bytes.NewReader(b), Restoration{DataDir: volume, Name: "n1"}); err != nil {
		t.Errorf("with room: %v", err)
	}
}

// TestOpenDiskRefuses: what is no data directory stays as it is.
func TestOpenDiskRefuses(t *testing.T) {
	empty := t.TempDir()
	if _, err := OpenDisk(empty, "test", time.Now()); err == nil || !strings.Contains(err.Error(), "no data directory of a node") {
		t.Errorf("empty: %v", err)
	}
	if _, err := OpenDisk(filepath.Join(empty, "none"), "test", time.Now()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("not there: %v", err)
	}
	if left := listing(t, empty); len(left) != 0 {
		t.Errorf("made: %v", left)
	}
	g := smallGroup(t)
	dir := filepath.Join(t.TempDir(), "restored")
	if _, err := RestoreArchive(bytes.NewReader(download(t, g.servers[0])), Restoration{DataDir: dir, Name: "n1"}); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "snapshots", "*", "state.bin"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	b, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(files[0], b, 0o600); err != nil {
		t.Fatal(err)
	}
	var damaged *storage.CorruptError
	if _, err := OpenDisk(dir, "test", time.Now()); !errors.As(err, &damaged) {
		t.Errorf("damaged: %v", err)
	}
}

package server

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/internal/s3test"
	"github.com/holdfast-lb/holdfast/storage/archive"
)

// goodBackup waits until the group knows of a backup of its schedule that is whole.
func goodBackup(t *testing.T, g *testGroup) *fsm.GoodBackup {
	t.Helper()
	var good *fsm.GoodBackup
	eventually(t, "a backup is made", func() error {
		b := g.servers[0].state.Operating().Backups
		if b == nil || b.Good == nil {
			return fmt.Errorf("%+v", b)
		}
		good = b.Good
		return nil
	})
	return good
}

// TestScheduledBackupToDirectory: the group has the one node that has the setting make a backup; it is whole, and only what the schedule made goes.
func TestScheduledBackupToDirectory(t *testing.T) {
	dir := t.TempDir()
	old := func(name string, index uint64, scheduled bool, group string) string {
		h := archive.Header{GroupID: group, GroupName: "test", Epoch: 1, Index: index, Term: 1, Confirmed: index, GroupTime: time.Unix(1e9, 0).UTC(), Schema: 1, Program: "x", Created: time.Unix(1e9, 0).UTC(), Node: "n1", Scheduled: scheduled}
		var b bytes.Buffer
		w, err := archive.NewWriter(&b, h)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	other := old("other.hfb", 1, true, "another group")
	g := startGroup(t, 3, func(c *Config) {
		c.LogLevel = "info"
		if c.Name == "n2" {
			c.BackupTo, c.BackupEvery, c.BackupKeep = dir, time.Hour, 1
		}
	})
	good := goodBackup(t, g)
	if good.Node != "n2" || !strings.HasPrefix(good.Name, dir) {
		t.Errorf("%+v", good)
	}
	f, err := os.Open(good.Name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	report, err := VerifyArchive(f)
	if err != nil || !report.Header.Scheduled || report.Header.Index != good.Index || report.Header.Node != "n2" || report.Size != uint64(good.Bytes) {
		t.Errorf("%+v, %v", report, err)
	}
	// Once more, by hand: one of the schedule that is older goes, one that somebody made does not.
	id := g.servers[1].state.Group().ID
	gone, stays := old("gone.hfb", 1, true, id), old("stays.hfb", 1, false, id)
	outcome, err := g.servers[1].scheduledBackup(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	list, err := filepath.Glob(filepath.Join(dir, "*"))
	want := []string{other, stays, outcome.Name}
	slices.Sort(list)
	slices.Sort(want)
	if err != nil || !slices.Equal(list, want) || slices.Contains(list, gone) {
		t.Errorf("%q, want %q", list, want)
	}
	eventually(t, "one line and one event", func() error {
		lines := 0
		for _, log := range g.logs {
			lines += strings.Count(log.String(), "Backup "+good.Name+" made by node n2")
		}
		if lines != 1 {
			return fmt.Errorf("%d lines", lines)
		}
		return nil
	})
	// Where there is nothing to write to the reason is told, and nobody else is asked to lie about it.
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := g.servers[1].scheduledBackup(t.Context()); err == nil || !strings.Contains(err.Error(), dir+" is missing") {
		t.Error(err)
	}
}

// TestScheduledBackupToStore: the same into a bucket, by the leader, which has the setting too.
func TestScheduledBackupToStore(t *testing.T) {
	store := s3test.New()
	defer store.Close()
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} {
		t.Setenv(name, store.Getenv(name))
	}
	g := startGroup(t, 3, func(c *Config) {
		c.BackupTo, c.BackupEvery, c.BackupKeep, c.S3Endpoint = "s3://backups/groups/test", time.Hour, 2, store.URL
	})
	good := goodBackup(t, g)
	if b := g.servers[0].state.Operating().Backups; b.Failures != 0 {
		t.Errorf("%+v", b)
	}
	key := strings.TrimPrefix(good.Name, "s3://backups/")
	if keys := store.Keys(); !slices.Equal(keys, []string{key}) {
		t.Errorf("%q, want %q", keys, key)
	}
	report, err := VerifyArchive(bytes.NewReader(store.Get(key)))
	if err != nil || !report.Header.Scheduled || report.Header.Index != good.Index {
		t.Errorf("%+v, %v", report, err)
	}
	s := g.servers[0]
	if _, err := s.backupAsked("n9", asked{Do: askBackup, ID: "x"}); err == nil || !strings.Contains(err.Error(), "does not lead") {
		t.Error(err)
	}
}

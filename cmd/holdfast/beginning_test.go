package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/server"
	"github.com/holdfast-lb/holdfast/storage/archive"
)

// TestPromoteBesideTheStandby: while a standby has the archive a promotion is refused by the state, not failed.
func TestPromoteBesideTheStandby(t *testing.T) {
	dir := t.TempDir()
	lock, err := archive.Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	var out, errOut bytes.Buffer
	data := filepath.Join(t.TempDir(), "new")
	if got := run(context.Background(), []string{"promote", "--archive", dir, "--data-dir", data, "--name", "n1"}, strings.NewReader(""), &out, &errOut); got != exitRefused || !strings.Contains(errOut.String(), "stop the standby first") {
		t.Errorf("exit status %d: %s", got, errOut.String())
	}
	if _, err := os.Stat(data); err == nil {
		t.Error("something was written")
	}
}

func TestBackupReminder(t *testing.T) {
	if text := backupReminder(nil); text != "" {
		t.Errorf("a group without a schedule: %q", text)
	}
	b := &fsm.Backups{Every: time.Hour}
	if text := backupReminder(b); !strings.Contains(text, "every 1h0m0s (none of them is whole): start the node with --backup-to") {
		t.Errorf("%q", text)
	}
	b.Good = &fsm.GoodBackup{Node: "n2", Name: "/backup/x.hfb", At: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	if text := backupReminder(b); !strings.Contains(text, "the newest is /backup/x.hfb on node n2, of 2026-03-01") {
		t.Errorf("%q", text)
	}
}

// TestRecoverSaysWhoLeads: a node that had no vote leads now, which its flags must not contradict.
func TestRecoverSaysWhoLeads(t *testing.T) {
	sessions := 3
	for _, readOnly := range []bool{false, true} {
		var b bytes.Buffer
		r := recovered{Node: "n4", ReadOnly: readOnly, Made: "/d", Kept: "/d.epoch-1", archiveView: archiveView{Epoch: 2, Sessions: &sessions}}
		if err := writeRecovered(&b, r, false, backupReminder(&fsm.Backups{Every: time.Hour})); err != nil {
			t.Fatal(err)
		}
		if said := strings.Contains(b.String(), "node n4 had no vote and leads now: start it without --read-only"); said != readOnly || !strings.Contains(b.String(), "--backup-to") {
			t.Errorf("read-only %v:\n%s", readOnly, b.String())
		}
		b.Reset()
		s := &server.Survivor{Node: "n4", ReadOnly: readOnly}
		if err := writeSurvivor(&b, s, r.archiveView); err != nil {
			t.Fatal(err)
		}
		if said := strings.Contains(b.String(), "it has no vote (--read-only)"); said != readOnly {
			t.Errorf("read-only %v:\n%s", readOnly, b.String())
		}
	}
	if name := operatorName(); name == "" || strings.ContainsAny(name, "\n\x00") {
		t.Errorf("%q", name)
	}
}

// TestPromotedValuesAway: where the node serves at once, nobody can bring values before it starts.
func TestPromotedValuesAway(t *testing.T) {
	v := promotedView{ValuesAway: 3, DataDir: "/data"}
	if text := v.away(false); !strings.Contains(text, "of 3 values of") || !strings.HasSuffix(text, " into /data/copies before this node starts\n") {
		t.Error(text)
	}
	if text := v.away(true); strings.Contains(text, "/data") || !strings.Contains(text, "of 3 values of") || !strings.Contains(text, "stop this node") || !strings.Contains(text, "without --serve") {
		t.Error(text)
	}
	if text := new(promotedView).away(true); text != "" {
		t.Error(text)
	}
}

// TestServeArgs: what takes over from a node that was started by promote is the same node, and no promotion.
func TestServeArgs(t *testing.T) {
	line := []string{"--archive", "/a", "--data-dir", "d d", "--name", "n1", "--serve", "--force", "--at", "7", "--vip", "10.0.0.1/24@eth0,10.0.0.2/24@eth0", "--vip", "fd00::1/64@eth1", "--backup-every=2h", "--read-only=false", "-o", "json"}
	promote, serve := newPromoteCommand(&globals{}), newServeCommand()
	if err := promote.ParseFlags(line); err != nil {
		t.Fatal(err)
	}
	args := serveArgs(promote.Flags())
	if err := serve.ParseFlags(args[1:]); err != nil || args[0] != "serve" || serve.Flags().NArg() > 0 {
		t.Fatalf("%q: %v", args, err)
	}
	serve.Flags().VisitAll(func(f *pflag.Flag) {
		if was := promote.Flags().Lookup(f.Name); f.Name != "help" && (was == nil || was.Changed != f.Changed || was.Changed && was.Value.String() != f.Value.String()) {
			t.Errorf("--%s: %+v, was %+v", f.Name, f, was)
		}
	})
}

// TestPromotionSaysMilliseconds, for both of its times.
func TestPromotionSaysMilliseconds(t *testing.T) {
	proven := time.Date(2026, 3, 1, 12, 0, 0, 300e6, time.UTC)
	v := promotedView{replayView: replayView{Proven: proven, ProvenBy: "n2"}, Silent: proven.Add(81533222), LossBoundSeconds: 0.081}
	if text := v.bound(false); !strings.Contains(text, "before 2026-03-01T12:00:00.3Z (clock of n2)") || !strings.Contains(text, "at 2026-03-01T12:00:00.381Z;") {
		t.Error(text)
	}
}

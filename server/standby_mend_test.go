package server

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/holdfast-lb/holdfast/storage/archive"
)

// TestStandbyMendsItsArchive: a standby whose log is damaged behind the newest whole state goes on from before the damage, says so, and has everything again.
func TestStandbyMendsItsArchive(t *testing.T) {
	g := startGroup(t, 1)
	g.configure(t, "http://127.0.0.1:1")
	dir := t.TempDir()
	st, end := standbyOf(t, dir, g.admins())
	caughtUp(t, st, g.servers[0])
	for i := range 5 {
		g.assign(t, 10*i, 10*i+10)
		caughtUp(t, st, g.servers[0])
	}
	end()
	list, err := archive.ListSegments(dir)
	if err != nil || len(list) != 1 {
		t.Fatalf("%d segments, %v", len(list), err)
	}
	b, err := os.ReadFile(list[0].Path)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(list[0].Path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := ReplayArchive(dir, Moment{}); err == nil {
		t.Fatal("the damage is not found")
	}
	states := func() int {
		list, err := archive.List(dir)
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	before := states()
	st, end = standbyOf(t, dir, g.admins(), func(c *StandbyConfig) { c.Addr = "127.0.0.1:0" })
	if status := st.Status(); len(status.Damage) != 1 || !strings.Contains(status.Damage[0], list[0].Path+".damaged") {
		t.Errorf("%q", status.Damage)
	}
	if text := fetch(t, "http://"+st.Addr().String()+"/metrics"); !strings.Contains(text, "holdfast_standby_damage 1\n") {
		t.Error("the metric is not there")
	}
	caughtUp(t, st, g.servers[0])
	eventually(t, "a whole state is taken", func() error {
		if n := states(); n <= before {
			return fmt.Errorf("%d states", n)
		}
		return nil
	})
	end()
	whole := func(from string) {
		t.Helper()
		state, report, err := ReplayArchive(dir, Moment{})
		if err != nil || state.Len() != 50 || state.Digest() != g.servers[0].state.Digest() {
			t.Errorf("from the %s state: %d sessions, %+v, %v", from, state.Len(), report, err)
		}
	}
	whole("newest")
	bases, err := archive.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, base := range bases[before:] {
		if err := os.Remove(base.Path); err != nil {
			t.Fatal(err)
		}
	}
	whole("older")
	if status, err := ReadStandbyStatus(dir); err != nil || len(status.Damage) != 1 {
		t.Errorf("what was damaged is not said any more: %q, %v", status.Damage, err)
	}
}

package chaos

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/chaos/load"
	"github.com/holdfast-lb/holdfast/chaos/stage"
)

// TestFrozenStandby: a standby that takes nothing any more costs the group nothing; when it goes on it gets everything.
func TestFrozenStandby(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	s := set(t, ctx, program, stage.Options{})
	dir := filepath.Join(t.TempDir(), "archive")
	standby := startStandby(t, ctx, s, dir)
	if err := standby.Freeze(); err != nil {
		t.Fatal(err)
	}
	l := crowd(t, ctx, s, 53, 2000) // it fails when a client has to retry
	if err := standby.Thaw(); err != nil {
		t.Fatal(err)
	}
	proven(t, ctx, dir, time.Now())
	command(t, ctx, 0, "", "standby", "verify", "--archive", dir)
	verdict(t, l)
}

// TestStandbyKilled: killed again and again under load, and started again, it has an archive without a gap.
func TestStandbyKilled(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	s := set(t, ctx, program, stage.Options{})
	dir := filepath.Join(t.TempDir(), "archive")
	l := load.New(load.Options{Targets: s.Group.Targets(), Seed: 54})
	underLoad(t, ctx, l, func() {
		for range 8 {
			standby := startStandby(t, ctx, s, dir)
			atLeast(t, ctx, l, l.Ledger.Len()+30)
			standby.Kill()
			command(t, ctx, 0, "", "standby", "verify", "--archive", dir)
		}
	})
	startStandby(t, ctx, s, dir)
	command(t, ctx, 0, "", "standby", "verify", "--archive", dir)
	verdict(t, l)
}

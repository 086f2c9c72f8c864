package chaos

import (
	"context"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/chaos/ledger"
	"github.com/holdfast-lb/holdfast/chaos/stage"
)

// long tells whether there is time for all occasions of a test (make test-long), or for as many as a check of each change can afford.
func long() bool { return os.Getenv("HOLDFAST_LONG") != "" }

// seeds are 1 to 3, 1 to 10 when there is time; HOLDFAST_CHAOS_SEED repeats one.
func seeds(t *testing.T) []uint64 {
	if text := os.Getenv("HOLDFAST_CHAOS_SEED"); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatalf("HOLDFAST_CHAOS_SEED: %v", err)
		}
		return []uint64{seed}
	}
	if !long() {
		return []uint64{1, 2, 3}
	}
	return []uint64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}
}

// leaderKill is the one check that the program must pass and that its known-bad variants must fail.
func leaderKill(seed uint64, sessions int) LeaderKill {
	return LeaderKill{Seed: seed, Sessions: sessions, Clients: 64, Repeats: 1, Everywhere: 1, ForgeEvery: 25, Freeze: 100 * time.Millisecond}
}

// TestLeaderKill: the leader is killed in the middle of 20,000 new sessions from 64 clients against all three nodes.
func TestLeaderKill(t *testing.T) {
	for _, seed := range seeds(t) {
		t.Run("seed"+strconv.FormatUint(seed, 10), func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
			defer cancel()
			s := set(t, ctx, program, stage.Options{Order: rand.New(rand.NewPCG(seed, 1)).Perm(3)})
			report, err := leaderKill(seed, 20_000).Run(ctx, s)
			t.Log(report)
			if err != nil {
				t.Fatal(err)
			}
			if report.Broken > 0 || report.Lost > 0 || report.Failed > 0 {
				t.Errorf("promises were broken; HOLDFAST_CHAOS_SEED=%d go test ./chaos -run TestLeaderKill repeats the run", seed)
			}
			if report.Sessions < 20_000 || report.Killed == "" || report.Forged == 0 || report.Before == 0 {
				t.Errorf("the scenario did not happen: %+v", report)
			}
		})
	}
}

// TestKnownBugsAreCaught: a check that passes a broken program proves nothing.
func TestKnownBugsAreCaught(t *testing.T) {
	for mutant, rules := range map[string][]ledger.Rule{
		"ack-before-commit":      {ledger.Missing, ledger.Moved, ledger.Reset},
		"cookie-unauthenticated": {ledger.Forged},
	} {
		t.Run(mutant, func(t *testing.T) {
			for seed := uint64(1); seed <= 4; seed++ {
				ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
				defer cancel()
				s := set(t, ctx, mutants, stage.Options{Env: []string{"HOLDFAST_MUTANT=" + mutant}})
				report, err := leaderKill(seed, 3_000).Run(ctx, s)
				t.Log(report)
				if err != nil {
					t.Fatal(err)
				}
				for _, v := range report.Violations {
					for _, rule := range rules {
						if v.Rule == rule {
							t.Logf("caught with seed %d: %s", seed, v)
							return
						}
					}
				}
			}
			t.Error("not caught")
		})
	}
}

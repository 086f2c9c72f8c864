//go:build netns

package lan_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/chaos/built"
	"github.com/holdfast-lb/holdfast/chaos/record"
	"github.com/holdfast-lb/holdfast/chaos/run"
	"github.com/holdfast-lb/holdfast/chaos/scenario"
)

func TestMain(m *testing.M) { os.Exit(built.Main(m)) }

const short = `name: short
about: A bit of everything that a network does.
substrate: netns
length: 12s
load: {rate: 60, newSessions: 30, attempt: 1s}
budget: {refused: 1000}
faults:
  - {name: port-cut, target: holder, at: 1s, for: 2s}
  - {name: isolate, target: follower, at: 5s, for: 1s}
  - {name: loss, target: leader, at: 5s, for: 1s, amount: 5%}
  - {name: transfer, target: follower, at: 8s, for: 1s}
  - {name: delay, target: any, at: 8s, for: 1s}
`

// TestAScenarioIsPlayed on machines of their own: the address moves, is never on two nodes beyond the lease by the kernels and the link, clients lose nothing, what needs relays is left out, and no
// namespace is left.
func TestAScenarioIsPlayed(t *testing.T) {
	binary, err := built.Program()
	if err != nil {
		t.Fatal(err)
	}
	s, err := scenario.Parse("test.yaml", []byte(short))
	if err != nil {
		t.Fatal(err)
	}
	before, _ := filepath.Glob("/run/netns/hflab-*")
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	r, err := run.Play(ctx, run.Options{Scenario: s, Seed: 1, Binary: binary, Dir: filepath.Join(t.TempDir(), "run"), Listen: func(r *record.Recorder) {
		r.Listen(func(e record.Event) { t.Logf("%6.1fs %s %s", e.At.Seconds(), e.Kind, e.Text) })
	}})
	if err != nil || r.Verdict != record.Passed {
		t.Fatalf("%v: %s %s %+v", err, r.Verdict, r.Problem, r.Broken())
	}
	played := slices.DeleteFunc(slices.Clone(r.Faults), func(f record.Fault) bool { return f.Void != "" })
	if len(played) != 4 || r.Sessions < 200 {
		t.Errorf("%d faults, %d sessions", len(played), r.Sessions)
	}
	if !slices.ContainsFunc(r.Events, func(e record.Event) bool { return strings.Contains(e.Text, "left out: delay") }) {
		t.Error("nothing says that delay was left out")
	}
	holders := map[string]bool{}
	for _, e := range r.Events {
		if e.Kind == record.HolderIs && e.Subject != "" {
			holders[e.Subject] = true
		}
	}
	i := slices.IndexFunc(r.Checks, func(c record.Result) bool { return c.Name == "address-once" })
	if i < 0 || !strings.Contains(r.Checks[i].Saw, "by their kernels") || len(holders) < 2 {
		t.Errorf("holders %v, %+v", holders, r.Checks)
	}
	if i := slices.IndexFunc(r.Checks, func(c record.Result) bool { return c.Name == "nothing-left" }); i < 0 || !strings.HasSuffix(r.Checks[i].Saw, "the virtual address on no node") {
		t.Errorf("what is left: %+v", r.Checks)
	}
	if after, _ := filepath.Glob("/run/netns/hflab-*"); len(after) > len(before) {
		t.Errorf("left behind: %v", after)
	}
}

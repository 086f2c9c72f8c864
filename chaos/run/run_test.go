package run

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/chaos/built"
	"github.com/holdfast-lb/holdfast/chaos/check"
	"github.com/holdfast-lb/holdfast/chaos/fault"
	"github.com/holdfast-lb/holdfast/chaos/load"
	"github.com/holdfast-lb/holdfast/chaos/proc"
	"github.com/holdfast-lb/holdfast/chaos/record"
	"github.com/holdfast-lb/holdfast/chaos/scenario"
)

func TestMain(m *testing.M) { os.Exit(built.Main(m)) }

var (
	program = built.Program
	// mutants is the same with the known bugs, which HOLDFAST_MUTANT switches on.
	mutants = built.With("mutants", "-tags", "mutants")
)

// options are those of a run of a scenario, which is given as its text.
func options(t *testing.T, binary func() (string, error), text string) Options {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	s, err := scenario.Parse("test.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return Options{Scenario: s, Seed: 1, Binary: path, Dir: filepath.Join(t.TempDir(), "run"), Profile: "test", Version: "v0", Replay: "again"}
}

func play(t *testing.T, ctx context.Context, o Options) *record.Run {
	t.Helper()
	o.Listen = func(r *record.Recorder) {
		r.Listen(func(e record.Event) { t.Logf("%6.1fs %s %s", e.At.Seconds(), e.Kind, e.Text) })
	}
	r, err := Play(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	if written, err := record.Read(filepath.Join(o.Dir, "run.json")); err != nil || written.Verdict != r.Verdict || written.Seed != o.Seed {
		t.Errorf("run.json: %v, %+v", err, written)
	}
	stages, _ := filepath.Glob(filepath.Join(o.Dir, "holdfast-stage-*"))
	if left := append(stages, check.LeftBehind(filepath.Join(o.Dir, "holdfast-stage-"))...); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	return r
}

const short = `name: short
about: A bit of everything.
length: 7s
group: {quiesceTimeout: 2s}
load: {rate: 60, newSessions: 30, edits: 2, forgeEvery: 10}
budget: {refused: 1000}
faults:
  - {name: kill, target: leader, at: 1s, for: 1s}
  - {name: delay, target: any, at: 1500ms, for: 2s}
  - {name: reconfigure, at: 1s, for: 2s}
  - {name: instance-kill, at: 2s, for: 1s}
  - {name: clock, target: follower, at: 4s, for: 1s, amount: +1h}
  - {name: backup, at: 4s, for: 0s}
`

// TestAScenarioIsPlayed: clients ask, faults happen, the checks judge, nothing is left, and the record has all of it.
func TestAScenarioIsPlayed(t *testing.T) {
	o := options(t, program, short)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	r := play(t, ctx, o)
	if r.Verdict != record.Passed {
		t.Errorf("%s: %s %+v", r.Verdict, r.Problem, r.Broken())
	}
	all, failed, _ := r.Requests()
	if len(r.Faults) < 5 || r.Sessions < 100 || all < 400 || failed > 0 || r.Took < o.Scenario.Length || len(r.Series) < 7 {
		t.Errorf("%d faults, %d sessions, %d of %d requests failed, %v", len(r.Faults), r.Sessions, failed, all, r.Took)
	}
	for _, f := range r.Faults {
		if !f.Healed {
			t.Errorf("%s on %s: %s", f.Name, f.Target, f.Text)
		}
	}
	if len(r.Checks) < 15 || !slices.Equal(r.Nodes, []string{"n1", "n2", "n3"}) || r.Profile != "test" || r.Replay != "again" || r.Scenario != "short" {
		t.Errorf("%+v", r)
	}
	for name, saw := range map[string]string{"nothing-left": "no process, no file", "cookies-authentic": " forged cookies shown, none believed"} {
		if i := slices.IndexFunc(r.Checks, func(c record.Result) bool { return c.Name == name }); i < 0 || !r.Checks[i].OK || !strings.HasSuffix(r.Checks[i].Saw, saw) {
			t.Errorf("%s: %+v", name, r.Checks)
		}
	}
	looked, readings, positions := 0, 0, 0
	for _, e := range r.Events {
		_, _ = fmt.Sscanf(e.Text, "the newest state was read %d times for a session, %d times for the configuration, %d times for how far it is", &looked, &readings, &positions)
	}
	if looked < 5 || readings < 3 || positions < 3 {
		t.Errorf("the newest state was read %d times for a session, %d times for the configuration, %d times for how far it is", looked, readings, positions)
	}
	if i := slices.IndexFunc(r.Faults, func(f record.Fault) bool { return f.Name == "kill" }); i < 0 || r.Faults[i].Outage == 0 {
		t.Errorf("the kill of the leader: %+v", r.Faults)
	}
}

// TestAnUpgradedNodeIsFollowed: what happens to a node after its program was upgraded happens to the process that has it then, an end in an orderly way, which has a status, included.
func TestAnUpgradedNodeIsFollowed(t *testing.T) {
	o := options(t, program, `name: upgraded
about: One node is upgraded, twice, and hurt in between.
length: 25s
load: {rate: 30, newSessions: 10}
budget: {refused: 1000}
faults:
  - {name: upgrade, target: n1, at: 500ms, for: 0s}
  - {name: freeze, target: n1, at: 10s, for: 500ms}
  - {name: kill, target: n1, at: 12s, for: 0s}
  - {name: upgrade, target: n1, at: 14s, for: 0s}
  - {name: terminate, target: n1, at: 24s, for: 0s}
`)
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	r := play(t, ctx, o)
	if r.Verdict != record.Passed {
		t.Errorf("%s: %s %+v", r.Verdict, r.Problem, r.Broken())
	}
	taken := 0
	for _, e := range r.Events {
		if strings.Contains(e.Text, "has taken n1 over from process") {
			taken++
		}
	}
	if taken == 0 {
		t.Error("no process has taken the node over")
	}
}

// TestAnInterruptedRunLeavesNothing: everything is healed and ended, and the verdict is no verdict about the program.
func TestAnInterruptedRunLeavesNothing(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	o := options(t, program, "name: long\nabout: y\nlength: 1h\nfaults:\n  - {name: kill-all, at: 1s, for: 1h}\n")
	killed := make(chan struct{})
	o.Listen = func(r *record.Recorder) {
		r.Listen(func(e record.Event) {
			if e.Kind == record.FaultBegins {
				close(killed)
			}
		})
	}
	go func() {
		<-killed
		cancel(errors.New("somebody pressed Ctrl-C"))
	}()
	r, err := Play(ctx, o)
	if err != nil || r.Verdict != record.Errored || !strings.Contains(r.Problem, "somebody pressed Ctrl-C") || r.Took > time.Minute {
		t.Errorf("%v: %s, %s after %v", err, r.Verdict, r.Problem, r.Took)
	}
	if len(r.Faults) != 1 || !r.Faults[0].Healed {
		t.Errorf("%+v", r.Faults)
	}
	if left := check.LeftBehind(filepath.Join(o.Dir, "holdfast-stage-")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if files, err := os.ReadDir(o.Dir); err != nil || len(files) != 1 || files[0].Name() != "run.json" {
		t.Errorf("%v, its folder has %v", err, files)
	}
}

// TestKnownBugIsCaught: a node that believes forged cookies breaks a promise; logs, data directories and the history are kept.
func TestKnownBugIsCaught(t *testing.T) {
	o := options(t, mutants, "name: forged\nabout: y\nlength: 1h\nload: {rate: 20, newSessions: 60, forgeEvery: 2}\n")
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	o.Env, o.First = []string{"HOLDFAST_MUTANT=cookie-unauthenticated"}, true // an hour is not needed
	r := play(t, ctx, o)
	if r.Verdict != record.Failed || !slices.ContainsFunc(r.Broken(), func(c record.Result) bool { return c.Name == "cookies-authentic" }) {
		t.Errorf("%s: %+v", r.Verdict, r.Broken())
	}
	for _, kept := range []string{"stage/n1.log", "stage/n2/raft.db", "history.jsonl"} {
		if _, err := os.Stat(filepath.Join(o.Dir, kept)); err != nil {
			t.Error(err)
		}
	}
	if !slices.Contains(r.Artefacts, "stage/n1.log") || !slices.Contains(r.Artefacts, "history.jsonl") {
		t.Errorf("artefacts %v", r.Artefacts)
	}
}

// TestAProcessThatEndsByItselfIsNoted, and one that a fault has ended is not.
func TestAProcessThatEndsByItselfIsNoted(t *testing.T) {
	o := options(t, program, "name: dies\nabout: y\nlength: 4s\nbudget: {refused: 1000}\nfaults:\n  - {name: kill, target: n1, at: 1s, for: 1s}\n")
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	var once sync.Once
	o.Listen = func(r *record.Recorder) {
		r.Listen(func(e record.Event) {
			if e.Kind == record.FaultBegins {
				once.Do(func() { go killSomebodyElse(t, o.Dir, "n2") })
			}
		})
	}
	r, err := Play(ctx, o)
	if err != nil || r.Verdict != record.Failed {
		t.Fatalf("%v: %s %s", err, r.Verdict, r.Problem)
	}
	if history, err := os.ReadFile(filepath.Join(o.Dir, "history.jsonl")); err != nil || !strings.Contains(string(history), `"did":"answered"`) || !slices.Contains(r.Artefacts, "history.jsonl") {
		t.Errorf("what clients were told was not kept: %v, %d bytes, artefacts %v", err, len(history), r.Artefacts)
	}
	for _, c := range r.Broken() {
		if c.Name != "processes-live" || c.Count != 1 || !strings.Contains(c.Violations[0], "node n2 has ended by itself") {
			t.Errorf("%+v", c)
		}
	}
}

// TestAProcessThatEndsWhileItIsJudged is a broken promise, although the group cannot be asked everything then.
func TestAProcessThatEndsWhileItIsJudged(t *testing.T) {
	o := options(t, program, "name: dies\nabout: y\nlength: 2s\nload: {rate: 20, newSessions: 20}\nchecks: [sessions-stay]\n")
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	var once sync.Once
	o.Listen = func(r *record.Recorder) {
		r.Listen(func(e record.Event) {
			if e.Kind == record.Checked && e.Subject == "processes-live" {
				once.Do(func() { killSomebodyElse(t, o.Dir, "n2") })
			}
		})
	}
	r, err := Play(ctx, o)
	if err != nil || r.Verdict != record.Failed {
		t.Fatalf("%v: %s %s", err, r.Verdict, r.Problem)
	}
	if broken := r.Broken(); len(broken) != 1 || broken[0].Name != "processes-live" || broken[0].Count != 1 || !strings.Contains(broken[0].Violations[0], "node n2 has ended by itself") {
		t.Errorf("%+v", broken)
	}
}

// killSomebodyElse ends a node's process behind the back of the run.
func killSomebodyElse(t *testing.T, dir, node string) {
	processes, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range processes {
		line, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(line), dir) || !strings.Contains(string(line), "\x00--name\x00"+node+"\x00") {
			continue
		}
		var pid int
		if _, err := fmt.Sscanf(path, "/proc/%d/", &pid); err == nil {
			if p, err := os.FindProcess(pid); err == nil {
				_ = p.Kill()
				return
			}
		}
	}
	t.Error("there is no such process")
}

// TestWhatDidNotHappenIsNotCounted: a fault that finds its target held is in the record as not played, and if none of its name happened, the run has not passed.
func TestWhatDidNotHappenIsNotCounted(t *testing.T) {
	o := options(t, program, "name: held\nabout: y\nlength: 5s\nload: {rate: 20, newSessions: 10}\nbudget: {refused: 1000}\nfaults:\n  - {name: kill, target: n1, at: 500ms, for: 4s}\n  - {name: freeze, target: n1, at: 1s, for: 1s}\n")
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	r := play(t, ctx, o)
	played := r.Played()
	if r.Verdict != record.Errored || !strings.Contains(r.Problem, "no freeze happened: ") || len(played) != 1 || played[0].Name != "kill" || len(r.Faults) != 2 || !strings.Contains(r.Faults[1].Void, "another fault has hold of it") {
		t.Errorf("%s: %s %+v, faults %+v", r.Verdict, r.Problem, r.Broken(), r.Faults)
	}
}

// TestAPlanOfNothing: a run in which none of the faults of its plan happened has not passed.
func TestAPlanOfNothing(t *testing.T) {
	o := options(t, program, "name: nothing\nabout: y\nlength: 2s\nload: {rate: 20, newSessions: 10}\nfaults:\n  - {name: unplug, target: n1, at: 500ms, for: 1s}\n")
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	if r := play(t, ctx, o); r.Verdict != record.Errored || !strings.Contains(r.Problem, "none of the 1 faults of the plan happened") {
		t.Errorf("%s: %s", r.Verdict, r.Problem)
	}
}

// TestOneThatNeverHappens: a run in which nothing came of one of the faults that its scenario names has not passed, whatever else happened.
func TestOneThatNeverHappens(t *testing.T) {
	o := options(t, program, "name: leads-already\nabout: y\nlength: 3s\ngroup: {nodes: 1}\nload: {rate: 20, newSessions: 10}\nfaults:\n  - {name: reconfigure, at: 500ms, for: 1s}\n  - {name: transfer, target: n1, at: 1s}\n")
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	if r := play(t, ctx, o); r.Verdict != record.Errored || !strings.Contains(r.Problem, "no transfer happened: ") || !strings.Contains(r.Problem, "leads already") || len(r.Played()) != 1 {
		t.Errorf("%s: %s, %+v", r.Verdict, r.Problem, r.Faults)
	}
}

// TestEndInDisorder: a node that is told to end, and does so with another exit status than 0, breaks a promise; it is no fault that did not happen.
func TestEndInDisorder(t *testing.T) {
	real, err := program()
	if err != nil {
		t.Fatal(err)
	}
	disorderly := filepath.Join(t.TempDir(), "holdfast")
	text := "#!/bin/sh\n[ \"$1\" = serve ] || exec " + real + " \"$@\"\n" + real + " \"$@\" &\ntrap 'kill -9 $!; exit 9' TERM\nwait $!\n"
	if err := os.WriteFile(disorderly, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	o := options(t, func() (string, error) { return disorderly, nil }, "name: disorder\nabout: y\nlength: 3s\nload: {rate: 20, newSessions: 10}\nbudget: {refused: 1000, failed: 1000}\nfaults:\n  - {name: terminate, target: follower, at: 500ms, for: 1s}\n")
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	r := play(t, ctx, o)
	broken := r.Broken()
	if r.Verdict != record.Failed || len(broken) != 1 || broken[0].Name != "processes-live" || !strings.Contains(strings.Join(broken[0].Violations, " "), "exit status 9") {
		t.Errorf("%s %s: %+v", r.Verdict, r.Problem, broken)
	}
}

// TestWhatIsNotGiven: a plan that needs it is refused before anything is started; one that drew it is not.
func TestWhatIsNotGiven(t *testing.T) {
	nowhere := func() (string, error) { return "/bin/false", nil }
	if _, err := Play(t.Context(), options(t, nowhere, "name: x\nabout: y\nfaults:\n  - {name: other-version, target: n1, at: 1s}\n  - {name: kill, at: 2s}\n")); !errors.Is(err, fault.ErrLacks) || !strings.Contains(err.Error(), "--other") {
		t.Errorf("%v", err)
	}
	o := options(t, nowhere, "name: x\nabout: y\nfaults:\n  - {draw: [other-version, kill], count: 4}\n")
	if err := Lacks(o.Scenario, o.Scenario.Plan(1), ""); err != nil {
		t.Errorf("drawn: %v", err)
	}
}

// TestUnknownChecks are refused with their place before anything is started.
func TestUnknownChecks(t *testing.T) {
	o := options(t, func() (string, error) { return "/bin/false", nil }, "name: x\nabout: y\nchecks: [all, one-state, nothing]\n")
	_, err := Play(t.Context(), o)
	var faults scenario.Faults
	if !errors.As(err, &faults) || len(faults) != 1 || faults[0].Line != 3 {
		t.Errorf("%v", err)
	}
}

// TestAGroupThatDoesNotStart is no broken promise.
func TestAGroupThatDoesNotStart(t *testing.T) {
	r := play(t, t.Context(), options(t, func() (string, error) { return "/bin/false", nil }, "name: x\nabout: y\n"))
	if r.Verdict != record.Errored || !strings.Contains(r.Problem, "start the group") {
		t.Errorf("%s: %s", r.Verdict, r.Problem)
	}
}

// TestWhoHasWaitedLongEnoughAsksOnce: a request that no client was free for as long as its patience fails with its first attempt.
func TestWhoHasWaitedLongEnoughAsksOnce(t *testing.T) {
	ports, err := proc.Ports(1, "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	var seen []load.Request
	l := load.New(load.Options{
		Targets: []load.Target{{Node: "n1", Addr: fmt.Sprintf("127.0.0.1:%d", ports[0])}}, Attempt: time.Second, Patience: time.Hour, Seen: func(r load.Request) { seen = append(seen, r) },
	})
	w := l.Worker()
	defer w.Close()
	clients := traffic{p: &player{Options: Options{Scenario: &scenario.Scenario{Load: scenario.Load{Patience: time.Minute}}}, load: l}}
	due := time.Now().Add(-2 * time.Minute)
	clients.ask(w, job{due, true})
	if len(seen) != 1 || seen[0].Err == nil || !seen[0].Due.Equal(due) || seen[0].Ended.Sub(due) > 3*time.Minute {
		t.Errorf("%+v", seen)
	}
}

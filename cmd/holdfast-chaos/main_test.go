package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/chaos/check"
	"github.com/holdfast-lb/holdfast/chaos/record"
	"github.com/holdfast-lb/holdfast/chaos/report"
	"github.com/holdfast-lb/holdfast/chaos/run"
	"github.com/holdfast-lb/holdfast/chaos/scenario"
	"github.com/holdfast-lb/holdfast/internal/mutant"
)

// chaosCommand runs a command line and gives what it prints.
func chaosCommand(t *testing.T, args ...string) (status int, out, errOut string) {
	t.Helper()
	var o, e bytes.Buffer
	status = execute(t.Context(), args, &o, &e)
	return status, o.String(), e.String()
}

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// fakeProgram is a program that only says its version.
func fakeProgram(t *testing.T, says string) string {
	t.Helper()
	return write(t, t.TempDir(), "holdfast", "#!/bin/sh\necho '"+says+"'\n")
}

// TestExitStatus: 2 for whoever typed it wrong, 3 for what cannot be played, and each says what and why.
func TestExitStatus(t *testing.T) {
	t.Setenv("HOLDFAST_BIN", "")
	t.Setenv("PATH", "/bin:/usr/bin")
	dir := t.TempDir()
	broken := write(t, dir, "broken.yaml", "name: x\nabout: y\nfaults:\n  - {name: kil, at: 1s}\n")
	odd := write(t, dir, "odd.yaml", "name: x\nabout: y\nchecks: [nothing-of-the-kind]\n")
	three := write(t, dir, "ring.yaml", "name: three\nabout: y\nfaults:\n  - {name: ring, at: 1s}\n")
	same := write(t, dir, "same.yaml", "name: leader-kill\nabout: y\n")
	program := fakeProgram(t, "holdfast v1 go1 linux/amd64")
	passed := write(t, dir, "passed.json", `{"format": 1, "scenario": "leader-kill", "substrate": "loopback", "seed": 1, "verdict": "passed"}`)
	for _, c := range []struct {
		args []string
		want int
		says string
	}{
		{nil, 0, ""},
		{[]string{"--help"}, 0, ""},
		{[]string{"rnu"}, 2, `there is no command "rnu"; did you mean run?`},
		{[]string{"zzz"}, 2, `there is no command "zzz"`},
		{[]string{"run", "--no-such-flag"}, 2, "unknown flag"},
		{[]string{"run", "extra"}, 2, "unknown command"},
		{[]string{"run", "--seeds", "0"}, 2, "--seeds 0"},
		{[]string{"run", "--seed", "-1"}, 2, "invalid argument"},
		{[]string{"run", "--substrate", "moon"}, 2, `--substrate "moon": it is one of loopback, netns`},
		{[]string{"gameday", "--fault", "kill"}, 2, "--fault kill needs --kill NODE=COMMAND"},
		{[]string{"gameday", "--kill", "n1"}, 2, "want NODE=COMMAND"},
		{[]string{"gameday", "--kill", "n1=x", "--kill", "n1=y"}, 2, "node n1 has two commands"},
		{[]string{"gameday", "--kill", "n1=x", "--start", "n2=y"}, 2, "node n2 has no --kill"},
		{[]string{"run", "--profile", "nightly"}, 2, `no profile "nightly": it is one of [ci soak netns all]`},
		{[]string{"run", "--profile", "gameday"}, 2, "another command: holdfast-chaos gameday --admin"},
		{[]string{"run", "--scenario", "nothing"}, 2, `no built-in scenario is called "nothing"`},
		{[]string{"run", "--scenario", "["}, 2, "pattern is not complete"},
		{[]string{"run", "--scenario", dir + "/none.yaml"}, 2, "no such file"},
		{[]string{"run", "--scenario", broken}, 2, "broken.yaml:4:12: there is no fault \"kil\": did you mean kill?"},
		{[]string{"run", "--scenario", odd, "--binary", program, "--out", dir + "/odd"}, 2, "odd.yaml:3:1: there is no check"},
		{[]string{"run", "--scenario", same, "--scenario", "leader-kill"}, 2, "both called leader-kill"},
		{[]string{"run", "--scenario", "leader-kill", "--scenario", "two-versions", "--binary", program, "--out", dir + "/two"}, 2, "scenario two-versions: fault other-version: it needs what was not given: another build"},
		{[]string{"run", "--scenario", three, "--binary", program, "--out", dir + "/two"}, 2, "four nodes or more"},
		{[]string{"run", "--binary", dir + "/nothing"}, 3, "is it the holdfast program?"},
		{[]string{"run", "--binary", fakeProgram(t, "nginx version: 1")}, 3, "it is not the holdfast program"},
		{[]string{"run", "--binary", program, "--other", dir + "/nothing"}, 3, "is it the holdfast program?"},
		{[]string{"run", "--binary", program, "--out", broken}, 3, "not a directory"},
		{[]string{"run", "--scenario", "leader-kill", "--binary", program, "--out", dir + "/out"}, 3, "could not be played"},
		{[]string{"plan"}, 2, "accepts 1 arg"},
		{[]string{"plan", "nothing"}, 2, "no built-in scenario"},
		{[]string{"plan", broken}, 2, "broken.yaml:4:12"},
		{[]string{"plan", odd}, 2, "odd.yaml:3:1: there is no check"},
		{[]string{"list", "-o", "xml"}, 2, "want one of table, json, yaml"},
		{[]string{"replay", dir}, 2, "run.json"},
		{[]string{"minimise", broken}, 2, "broken.yaml"},
		{[]string{"minimise", passed}, 2, "this run broke no promise"},
		{[]string{"report"}, 2, "requires at least 1 arg"},
		{[]string{"report", dir + "/nothing"}, 3, "no such file"},
		{[]string{"report", t.TempDir()}, 3, "no run.json"},
		{[]string{"gameday", "--execute"}, 2, "needs --probe"},
		{[]string{"gameday", "--fault", "reboot"}, 2, "it is one of transfer, evacuate, backup, kill"},
		{[]string{"gameday", "--count", "0"}, 2, "--count 0"},
		{[]string{"gameday", "--max-failed", "NaN"}, 2, "want a share"},
		{[]string{"gameday", "--max-outage", "100ms"}, 2, "--max-outage 100ms: want 500ms or more, or 0"},
		{[]string{"gameday", "--max-outage", "-1s"}, 2, "--max-outage -1s"},
		{[]string{"gameday", "--admin", "http://%"}, 2, "%"},
		{[]string{"gameday", "--token-file", dir + "/none"}, 2, "no such file"},
		{[]string{"gameday", "--admin", "http://127.0.0.1:1", "--patience", "0s"}, 1, "the group does not answer"},
		{[]string{"selftest", "--mutant", "nothing"}, 2, `no known bug "nothing"`},
	} {
		status, _, errOut := chaosCommand(t, c.args...)
		if status != c.want || !strings.Contains(errOut, c.says) || status != 0 && errOut == "" {
			t.Errorf("%q: exit status %d, want %d: %s", c.args, status, c.want, errOut)
		}
	}
}

// TestProgramThatCannotServe: a run that cannot be played says so, keeps what there is, and its last line is the command that plays it again.
func TestProgramThatCannotServe(t *testing.T) {
	out := t.TempDir()
	program := fakeProgram(t, "holdfast v1 go1 linux/amd64")
	status, _, errOut := chaosCommand(t, "run", "--scenario", "leader-kill", "--binary", program, "--out", out, "--seed", "7")
	lines := strings.Split(strings.TrimSpace(errOut), "\n")
	want := quote(os.Args[0]) + " run --scenario leader-kill --seed 7 --binary " + program
	if status != exitProblem || lines[len(lines)-1] != want {
		t.Errorf("exit status %d, the last line is %q", status, lines[len(lines)-1])
	}
	r, err := record.Read(filepath.Join(out, "leader-kill-7", "run.json"))
	if err != nil || r.Verdict != record.Errored || r.Replay != want || r.Seed != 7 || r.Version != "v1 go1 linux/amd64" {
		t.Errorf("%v, %+v", err, r)
	}
	if left, _ := filepath.Glob(filepath.Join(out, "leader-kill-7", "holdfast-stage-*")); len(left) > 0 {
		t.Errorf("%v is left", left)
	}
}

// TestReplayReports: the folder of a replay gets the reports that its help speaks of.
func TestReplayReports(t *testing.T) {
	dir := t.TempDir()
	record := write(t, dir, "old.json", `{"format": 1, "scenario": "leader-kill", "substrate": "loopback", "seed": 1, "verdict": "failed"}`)
	if status, _, errOut := chaosCommand(t, "replay", record, "--binary", fakeProgram(t, "holdfast v1"), "--out", dir+"/again"); status != exitProblem || !strings.Contains(errOut, "could not be played") {
		t.Errorf("exit status %d: %s", status, errOut)
	}
	for _, name := range []string{"report.html", "junit.xml", "summary.json"} {
		if !isFile(filepath.Join(dir, "again", name)) {
			t.Errorf("there is no %s", name)
		}
	}
}

func TestLists(t *testing.T) {
	for _, args := range [][]string{{"list"}, {"list", "-o", "yaml"}, {"list", "--faults"}} {
		status, out, errOut := chaosCommand(t, args...)
		if status != 0 || !strings.Contains(out, "kill") {
			t.Errorf("%v: %d, %s%s", args, status, out, errOut)
		}
	}
	_, out, _ := chaosCommand(t, "list", "-o", "json")
	var scenarios []listedScenario
	if err := json.Unmarshal([]byte(out), &scenarios); err != nil || len(scenarios) < 15 || scenarios[0].Name == "" || scenarios[0].Seconds <= 0 {
		t.Errorf("%v: %s", err, out)
	}
	_, out, _ = chaosCommand(t, "list", "--faults", "-o", "json")
	var faults []listedFault
	if err := json.Unmarshal([]byte(out), &faults); err != nil || len(faults) < 35 {
		t.Errorf("%v: %s", err, out)
	}
	for _, f := range faults {
		if (f.Missing != "") != (f.Name == "other-version") && !slices.Contains([]string{"clock", "clock-strobe", "slow-disk", "hung-disk", "full-disk", "failed-sync", "unplug", "port-cut", "sends-nothing", "hears-nothing", "lossy-link"}, f.Name) { // those depend on the machine
			t.Errorf("%s: missing %q", f.Name, f.Missing)
		}
	}
}

// TestExamplesCanBePasted: a line that goes on ends with one backslash, else the shell takes the next one for a command.
func TestExamplesCanBePasted(t *testing.T) {
	_, out, _ := chaosCommand(t, "gameday", "--help")
	if !strings.Contains(out, "--fault kill \\\n") || strings.Contains(out, `\\`) {
		t.Error(out)
	}
}

func TestPlanIsThatOfTheSeed(t *testing.T) {
	_, one, _ := chaosCommand(t, "plan", "overlap", "--seed", "3")
	_, two, _ := chaosCommand(t, "plan", "overlap", "--seed", "3")
	_, three, _ := chaosCommand(t, "plan", "overlap", "--seed", "4")
	if one != two || one == three || strings.Count(one, "\n") != 13 {
		t.Errorf("%s\n%s\n%s", one, two, three)
	}
}

// TestNothingForeignIsRemoved: only the folder of a run makes room for a new one.
func TestNothingForeignIsRemoved(t *testing.T) {
	dir := t.TempDir()
	mine := write(t, dir, "precious", "x")
	if err := clearRun(dir); err == nil || !isFile(mine) {
		t.Errorf("%v", err)
	}
	write(t, dir, "run.json", "{}")
	if err := clearRun(dir); err != nil || isFile(mine) {
		t.Errorf("%v", err)
	}
	if err := clearRun(dir); err != nil {
		t.Error(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "holdfast-stage-17"), 0o755); err != nil { // the harness was killed
		t.Fatal(err)
	}
	if err := clearRun(dir); err != nil || isDir(dir) {
		t.Errorf("what a killed run has left: %v", err)
	}
}

// TestBrokenRunsAreKept: whoever plays one again, as the last line says, still has what was kept of it. The reports of the campaign before do not stand for one that was never played.
func TestBrokenRunsAreKept(t *testing.T) {
	out := t.TempDir()
	dir := filepath.Join(out, "kill-1")
	for _, name := range []string{"kill-1.broken-1", "kill-1.broken-2"} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		r := record.New(record.Run{Scenario: "kill", Seed: 1})
		r.Check(record.Result{Name: "one-state", When: record.Always, Violations: []string{"two states"}, Count: 1})
		if err := record.Write(filepath.Join(dir, "run.json"), r.Finish(nil)); err != nil {
			t.Fatal(err)
		}
		write(t, dir, "history.jsonl", name)
		if err := putAside(dir); err != nil || !isFile(filepath.Join(out, name, "history.jsonl")) || isDir(dir) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := putAside(dir); err != nil {
		t.Errorf("nothing there: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	found, err := scenario.Find("leader-kill")
	if err != nil {
		t.Fatal(err)
	}
	old := write(t, out, "junit.xml", "<testsuites/>")
	c := &campaign{scenarios: found, seeds: []uint64{1}, out: out, screen: newScreen(&bytes.Buffer{})}
	if _, err := c.play(ctx); err == nil || isFile(old) {
		t.Errorf("%v, and the report of before is there: %v", err, isFile(old))
	}
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// TestMinimise: what is not needed for a failure is dropped, and nothing else.
func TestMinimise(t *testing.T) {
	found, err := scenario.Find("overlap")
	if err != nil {
		t.Fatal(err)
	}
	whole := found[0].Plan(1)
	for _, needed := range [][]int{{0}, {5}, {11}, {2, 7}, {0, 1, 2}, {}} {
		tries := 0
		got, err := minimise(whole, func(p scenario.Plan) (bool, error) {
			tries++
			for _, n := range needed {
				if !strings.Contains(p.String(), whole[n].String()) {
					return false, nil
				}
			}
			return true, nil
		})
		if err != nil || len(got) != len(needed) || tries > 60 {
			t.Errorf("%v: %v after %d tries\n%s", needed, err, tries, got)
		}
	}
	if _, err := minimise(whole, func(scenario.Plan) (bool, error) { return false, nil }); err == nil {
		t.Error("a plan that breaks nothing was made smaller")
	}
	failure := errors.New("no port")
	if _, err := minimise(whole, func(scenario.Plan) (bool, error) { return true, failure }); !errors.Is(err, failure) {
		t.Errorf("%v", err)
	}
}

// TestMinimiseFollowsOneFailure: what breaks another check is another failure.
func TestMinimiseFollowsOneFailure(t *testing.T) {
	broke := func(names ...string) *record.Run {
		r := &record.Run{Verdict: record.Failed, Faults: []record.Fault{{Name: "kill"}}}
		for _, n := range names {
			r.Checks = append(r.Checks, record.Result{Name: n}, record.Result{Name: n + "-not", OK: true})
		}
		return r
	}
	looked := brokenChecks(broke("sessions-stay", "one-state"))
	for name, c := range map[string]struct {
		run    *record.Run
		again  bool
		failed bool
	}{
		"the same":         {broke("one-state", "requests-answered"), true, false},
		"another one":      {broke("requests-answered"), false, false},
		"passed":           {&record.Run{Verdict: record.Passed}, false, false},
		"not played":       {&record.Run{Verdict: record.Errored, Problem: "no port"}, false, true},
		"nothing happened": {&record.Run{Verdict: record.Errored, Problem: "none of the faults", Faults: []record.Fault{{Void: "held"}}}, false, false},
	} {
		if again, err := breaksAgain(c.run, looked); again != c.again || (err != nil) != c.failed {
			t.Errorf("%s: %v, %v", name, again, err)
		}
	}
}

// TestFaultTable: over several folders, of which one has a copy of a run and one a run that nobody judged.
func TestFaultTable(t *testing.T) {
	dir := t.TempDir()
	keep := func(name string, r record.Run) {
		r.Format, r.Scenario, r.Version = record.Format, "soak", "v1"
		if err := errors.Join(os.MkdirAll(filepath.Join(dir, name), 0o755), record.Write(filepath.Join(dir, name, "run.json"), &r)); err != nil {
			t.Fatal(err)
		}
	}
	fault := func(name string, outage time.Duration) record.Fault { return record.Fault{Name: name, Outage: outage} }
	one := record.Run{Seed: 1, Began: time.Unix(1, 5), Sessions: 10, Verdict: record.Passed, Faults: []record.Fault{{Name: "kill", Void: "held"}, fault("kill", 100*time.Millisecond), fault("freeze", time.Second)}}
	keep("a/soak-1", one)
	keep("b/soak-1", one)
	keep("b/soak-2", record.Run{Seed: 2, Began: time.Unix(1, 6), Sessions: 20, Verdict: record.Passed, Faults: []record.Fault{fault("kill", 300*time.Millisecond)}})
	keep("b/soak-3", record.Run{Seed: 3, Began: time.Unix(1, 7), Sessions: 40, Verdict: record.Errored, Faults: []record.Fault{fault("kill", time.Hour)}})
	status, text, errOut := chaosCommand(t, "report", "--table", filepath.Join(dir, "a"), filepath.Join(dir, "b"))
	if status != 0 {
		t.Fatal(errOut)
	}
	for _, want := range []string{"| kill | 2 | 1 | 200 ms | 300 ms", "| freeze | 1 | 1 | 1.00 s", "- 2 runs: 2 passed", "1 run that nobody judged", "- seeds: soak 1-2\n", "- 30 sessions", "- 3 faults, of which 2 overlapped"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
}

// TestQuoted: the command line that plays a run again survives a shell.
func TestQuoted(t *testing.T) {
	for text, want := range map[string]string{"/usr/bin/holdfast": "/usr/bin/holdfast", "my file": `'my file'`, "a'b": `'a'\''b'`, "$(x)": `'$(x)'`, "": "''"} {
		if got := quote(text); got != want {
			t.Errorf("%q is quoted %s", text, got)
		}
	}
}

// TestHostileText: what processes say does not steer the terminal.
func TestHostileText(t *testing.T) {
	var b bytes.Buffer
	s := newScreen(&b)
	rec := record.New(record.Run{})
	s.follow(rec, time.Minute)
	rec.Note(record.Noted, "", "%s", "one\ntwo\x1b[2J\u202e")
	s.verdict(rec.Finish(errors.New("bad\x1b[31m")))
	s.close()
	s.close()
	if strings.ContainsAny(b.String(), "\x1b\u202e") || strings.Count(b.String(), "\n") != 2 {
		t.Errorf("%q", b.String())
	}
}

// TestResume: what has passed with the same program is not played again.
func TestResume(t *testing.T) {
	found, err := scenario.Find("leader-kill")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	elsewhere, heavier := *found[0], *found[0]
	elsewhere.Substrate, heavier.Load.Rate = "netns", 1000
	kept := &record.Run{Format: record.Format, Scenario: "leader-kill", Seed: 3, Digest: found[0].Digest(found[0].Plan(3)), Version: "v1", Verdict: record.Passed}
	for name, c := range map[string]struct {
		change func(*record.Run)
		resume bool
		want   bool
		dirty  bool // nobody committed the program's sources
	}{
		"passed":              {func(*record.Run) {}, true, true, false},
		"not asked for":       {func(*record.Run) {}, false, false, false},
		"broken":              {func(r *record.Run) { r.Verdict = record.Failed }, true, false, false},
		"another program":     {func(r *record.Run) { r.Version = "v2" }, true, false, false},
		"another commit":      {func(r *record.Run) { r.Commit = "abc" }, true, false, false},
		"another seed":        {func(r *record.Run) { r.Seed = 4 }, true, false, false},
		"another plan":        {func(r *record.Run) { r.Digest = found[0].Digest(nil) }, true, false, false},
		"elsewhere":           {func(r *record.Run) { r.Digest = elsewhere.Digest(elsewhere.Plan(3)) }, true, false, false},
		"another load":        {func(r *record.Run) { r.Digest = heavier.Digest(heavier.Plan(3)) }, true, false, false},
		"an older record":     {func(r *record.Run) { r.Digest = "" }, true, false, false},
		"a sum of this build": {func(r *record.Run) { r.Programs = []record.Program{{Path: "elsewhere", SHA256: "s1"}} }, true, true, true},
		"another build":       {func(r *record.Run) { r.Programs = []record.Program{{SHA256: "s2"}} }, true, false, false},
		"one beside another":  {func(r *record.Run) { r.Programs = []record.Program{{SHA256: "s1"}, {SHA256: "s2"}} }, true, false, false},
		"no sum, uncommitted": {func(*record.Run) {}, true, false, true},
		"with a known bug":    {func(r *record.Run) { r.Env = []string{"HOLDFAST_MUTANT=x"} }, true, false, false},
	} {
		r := *kept
		c.change(&r)
		if err := record.Write(filepath.Join(dir, "run.json"), &r); err != nil {
			t.Fatal(err)
		}
		one := &campaign{resume: c.resume, program: program{version: "v1", sum: "s1", dirty: c.dirty}}
		if got := one.passed(dir, found[0], 3); (got != nil) != c.want {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// TestInterrupted: a campaign that is interrupted before it begins plays nothing.
func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	found, err := scenario.Find("leader-kill")
	if err != nil {
		t.Fatal(err)
	}
	c := &campaign{scenarios: found, seeds: []uint64{1}, out: t.TempDir(), screen: newScreen(&bytes.Buffer{})}
	if runs, err := c.play(ctx); err == nil || len(runs) > 0 {
		t.Errorf("%v, %v", runs, err)
	}
}

// TestInterruptedAfterABrokenPromise: it counts, and the last line is the command that plays that run again.
func TestInterruptedAfterABrokenPromise(t *testing.T) {
	c := &campaign{out: "chaos-out", screen: newScreen(&bytes.Buffer{})}
	interrupted := errors.New("interrupted after 2 of 3 runs")
	runs := []*record.Run{{Verdict: record.Passed}, {Verdict: record.Failed, Scenario: "kill", Replay: "bin/holdfast-chaos run --scenario kill"}}
	var b bytes.Buffer
	if err := c.end(&b, runs, time.Now(), interrupted); exitStatus(err) != exitBroken || !strings.Contains(b.String(), interrupted.Error()) || !strings.HasSuffix(b.String(), "bin/holdfast-chaos run --scenario kill\n") {
		t.Errorf("%v: %s", err, b.String())
	}
	b.Reset()
	if err := c.end(&b, runs[:1], time.Now(), interrupted); !errors.Is(err, interrupted) || exitStatus(err) != exitProblem || b.Len() > 0 {
		t.Errorf("%v: %s", err, b.String())
	}
}

// TestStartedAs: what is printed can be pasted where this program was started.
func TestStartedAs(t *testing.T) {
	for path, want := range map[string]string{"bin/holdfast-chaos": "bin/holdfast-chaos", "/opt/chaos": "/opt/chaos", "holdfast-chaos": "holdfast-chaos", "": "holdfast-chaos"} {
		if got := startedAs(path); got != want {
			t.Errorf("%q: %q", path, got)
		}
	}
}

// TestSelftestTriesEnough: the CI profile says of at least twelve known bugs which scenario catches them, and of none that does not exist.
func TestSelftestTriesEnough(t *testing.T) {
	scenarios, err := scenario.OfProfile("ci")
	if err != nil {
		t.Fatal(err)
	}
	names, others := promised(scenarios)
	if len(names) < 12 || len(names)+len(others) != len(mutant.Names()) {
		t.Errorf("%d are tried: %v; not: %v", len(names), names, others)
	}
	for _, name := range names {
		for _, s := range judgedBy(thatCatch(scenarios, name), telling(name)) {
			if checks, err := run.Checks(s); err != nil || len(checks) != len(telling(name)) {
				t.Errorf("%s would be judged by %d checks, %v", name, len(checks), err)
			}
			if !slices.Contains(s.Catches, name) {
				t.Errorf("%s would be tried with %s, which does not say that it catches it", name, s.Name)
			}
		}
	}
	for _, s := range scenarios {
		for _, name := range s.Catches {
			if !slices.Contains(mutant.Names(), name) {
				t.Errorf("%s catches %q, which is no known bug", s.Name, name)
			}
		}
	}
	for _, s := range controls(scenarios, []string{mutant.PostRepeated, mutant.FailoverAcrossClusters, mutant.StrayGuessed}) {
		want := map[string][]string{"instances": {"clusters-apart", "requests-once"}, "partitions": telling(mutant.StrayGuessed)}[s.Name]
		if got := s.CheckNames(); !slices.Equal(got, want) {
			t.Errorf("the control plays %s, judged by %v, want %v", s.Name, got, want)
		}
	}
}

// TestBugsAreCaughtForTheirOwnReason: of each known bug it is said which promises it breaks, and nothing that breaks on a busy machine is one of them.
func TestBugsAreCaughtForTheirOwnReason(t *testing.T) {
	anything := []string{check.Answered, check.InTime, "nodes-ready", "one-leader", "one-holder", "backlog-empty", "equal-state", "nothing-leaked", "processes-live", "nothing-left"}
	docs, err := os.ReadFile("../../docs/CHAOS.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range mutant.Names() {
		checks := telltales[name].checks
		if len(checks) == 0 {
			t.Errorf("nothing says by which checks %s may be caught", name)
			continue
		}
		if _, err := check.Select(checks...); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, c := range checks {
			if slices.Contains(anything, c) {
				t.Errorf("%s would be caught by %s, which anything breaks", name, c)
			}
			row := regexp.MustCompile("(?m)^\\| .*`" + name + "`.*`" + c + "`").Find(docs)
			if row == nil && name != mutant.BarrierSkipped && name != mutant.LeaseUnconfirmed {
				t.Errorf("docs/CHAOS.md does not say that %s is caught by %s", name, c)
			}
		}
	}
	shown := func(name string, count, unjudged int) record.Result {
		return record.Result{Name: name, Count: count, Unjudged: unjudged}
	}
	for name, c := range map[string]struct {
		verdict record.Verdict
		checks  []record.Result
		want    string
	}{
		"its own promise":     {record.Failed, []record.Result{shown(check.Answered, 1, 0), shown(check.InTime, 1, 0), shown("one-state", 2, 1)}, "one-state"},
		"another promise":     {record.Failed, []record.Result{shown("requests-once", 1, 0), shown("processes-live", 1, 0), shown("equal-state", 1, 0)}, ""},
		"could not be judged": {record.Failed, []record.Result{shown("assignments-kept", 1, 1)}, ""},
		"could not be played": {record.Errored, []record.Result{shown("one-state", 1, 0)}, ""},
		"nothing was broken":  {record.Passed, []record.Result{{Name: "one-state", OK: true}}, ""},
	} {
		if got := gaveAway(&record.Run{Verdict: c.verdict, Checks: c.checks}, mutant.LoseOpLeader); got != c.want {
			t.Errorf("%s: caught by %q, want %q", name, got, c.want)
		}
	}
}

// TestWhatCITriesAgain: in .ci/run only runs in which clients waited too long, or that could not be played, have another try.
func TestWhatCITriesAgain(t *testing.T) {
	text, err := os.ReadFile("../../.ci/run")
	if err != nil {
		t.Fatal(err)
	}
	judged := regexp.MustCompile(`(?ms)^judged\(\) \{.*?^\}`).Find(text)
	for name, c := range map[string]struct {
		broken []string
		want   int // 1 for a promise that is broken; else that of the command
	}{
		"waits":               {[]string{check.InTime}, 7},
		"failures":            {[]string{check.Answered}, 1},
		"both":                {[]string{check.InTime, check.Answered}, 1},
		"another promise":     {[]string{check.InTime, "one-state"}, 1},
		"could not be played": {nil, 7},
	} {
		r := &record.Run{Scenario: "x", Seed: 1, Verdict: record.Errored}
		for _, b := range c.broken {
			r.Checks = append(r.Checks, record.Result{Name: b, Saw: "not so", Count: 1, Violations: []string{"so much"}})
		}
		dir := t.TempDir()
		var b bytes.Buffer
		if err := errors.Join(report.JUnit(&b, []*record.Run{r}), os.Mkdir(filepath.Join(dir, "chaos-out"), 0o755)); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, "chaos-out"), "junit.xml", b.String())
		cmd := exec.CommandContext(t.Context(), "bash", "-c", string(judged)+"\njudged sh -c 'exit 7'")
		cmd.Dir = dir
		out, _ := cmd.CombinedOutput()
		if got := cmd.ProcessState.ExitCode(); got != c.want {
			t.Errorf("%s: exit status %d, want %d: %s", name, got, c.want, out)
		}
	}
}

// TestEverythingThatCanBePlayed: the profile all has every built-in scenario but those that lack something here, which is said.
func TestEverythingThatCanBePlayed(t *testing.T) {
	list, err := chosen("all", nil)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	c := &campaign{scenarios: slices.Clone(list), screen: newScreen(&b)}
	c.leaveOut()
	has := func(name string) bool {
		return slices.ContainsFunc(c.scenarios, func(s *scenario.Scenario) bool { return s.Name == name })
	}
	if !has("overlap") || !has("disaster") || has("two-versions") || !strings.Contains(b.String(), "left out: two-versions: ") {
		t.Errorf("%d of %d: %s", len(c.scenarios), len(list), b.String())
	}
	if left := strings.Count(b.String(), "left out: "); len(c.scenarios)+left != len(list) {
		t.Errorf("%d are played, %d left out, of %d", len(c.scenarios), left, len(list))
	}
}

// TestWhatAMachineCannotShowIsLeftOut, and said; it is no failure of the harness.
func TestWhatAMachineCannotShowIsLeftOut(t *testing.T) {
	set := telltales[mutant.QuiesceIgnored]
	defer func() { telltales[mutant.QuiesceIgnored] = set }()
	telltales[mutant.QuiesceIgnored] = telltale{checks: set.checks, needs: "unplug"} // a fault of another substrate stands for one of another machine
	scenarios, err := scenario.OfProfile("ci")
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	c := &campaign{scenarios: scenarios, screen: newScreen(&b)}
	can, left, err := c.canShow([]string{mutant.PostRepeated, mutant.QuiesceIgnored})
	if err != nil || !slices.Equal(can, []string{mutant.PostRepeated}) || !slices.Equal(left, []string{mutant.QuiesceIgnored}) || !strings.Contains(b.String(), "left out: quiesce-ignored cannot be shown here: fault unplug") {
		t.Errorf("%v, %v, %v: %s", can, left, err, b.String())
	}
	for _, name := range []string{mutant.BarrierSkipped, mutant.LeaseUnconfirmed} {
		if can, _, err := c.canShow([]string{name}); err == nil || len(can) > 0 || !strings.Contains(err.Error(), "make sim-mutants") {
			t.Errorf("%s shows in the simulator only: %v, %v", name, can, err)
		}
	}
	if can, _, err := c.canShow([]string{mutant.QuiesceIgnored}); err == nil || len(can) > 0 {
		t.Errorf("none is left, and that is no error: %v", can)
	}
}

// TestReplayIsOfTheSameScenario: what a record says is neither a pattern nor a path, and a scenario that has changed is refused, with what to do.
func TestReplayIsOfTheSameScenario(t *testing.T) {
	dir := t.TempDir()
	found, err := scenario.Find("leader-kill")
	if err != nil {
		t.Fatal(err)
	}
	mine := write(t, dir, "mine.yaml", "name: mine\nabout: y\n")
	whole := found[0].Digest(found[0].Plan(1))
	fewer := *found[0]
	fewer.Checks = []scenario.Check{{Name: "one-state"}}
	for name, c := range map[string]struct {
		scenario, digest string
		judged           []string
		file             string
		says             string // empty: it is played
	}{
		"the same":               {scenario: "leader-kill", digest: whole},
		"of an older program":    {scenario: "leader-kill"},
		"of a self-test":         {scenario: "leader-kill", digest: fewer.Digest(fewer.Plan(1)), judged: []string{"one-state"}},
		"changed":                {scenario: "leader-kill", digest: "0123456789abcdef", says: "is not what it was when this run was played"},
		"a pattern":              {scenario: "*", says: "none of the built-in ones"},
		"a path":                 {scenario: mine, says: "none of the built-in ones"},
		"another file":           {scenario: "leader-kill", file: mine, says: `the record is of scenario "leader-kill"`},
		"the file":               {scenario: "mine", file: mine},
		"the file, with a wrong": {scenario: "mine", file: mine, digest: whole, says: "run --scenario " + mine + " --seed 1"},
	} {
		r := &record.Run{Format: record.Format, Scenario: c.scenario, Digest: c.digest, Judged: c.judged, Substrate: "loopback", Seed: 1, Verdict: record.Failed}
		path := filepath.Join(dir, "run.json")
		if err := record.Write(path, r); err != nil {
			t.Fatal(err)
		}
		_, s, err := recorded(dir, c.file)
		switch {
		case c.says == "" && (err != nil || s.Name != c.scenario):
			t.Errorf("%s: %v", name, err)
		case c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says) || exitStatus(err) != exitUsage):
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
}

// TestReplayOfABug: it is played with the bug, by a program that has it, and nothing else of a record gets into the environment.
func TestReplayOfABug(t *testing.T) {
	t.Setenv("HOLDFAST_BIN", "")
	t.Setenv(mutantVariable, "")
	t.Chdir(t.TempDir())
	r := &record.Run{Version: "v1", Env: []string{"LD_PRELOAD=/evil", mutantVariable + "=" + mutant.PostRepeated}, Programs: []record.Program{{Path: "/elsewhere/holdfast-mutants", SHA256: "s"}}}
	var b bytes.Buffer
	flags := &playFlags{out: "out"}
	if _, err := flags.again(t.Context(), &b, r); exitStatus(err) != exitUsage || !strings.Contains(err.Error(), "/elsewhere/holdfast-mutants") {
		t.Errorf("%v", err)
	}
	if err := os.Mkdir(selftestOut, 0o755); err != nil {
		t.Fatal(err)
	}
	kept := write(t, selftestOut, mutantsName, "#!/bin/sh\necho 'holdfast v1'\n")
	flags = &playFlags{out: "out"}
	c, err := flags.again(t.Context(), &b, r)
	if err != nil || !slices.Equal(c.env, []string{mutantVariable + "=" + mutant.PostRepeated}) || !strings.HasSuffix(c.program.path, kept) {
		t.Fatalf("%v, %+v", err, c)
	}
	s := &scenario.Scenario{Name: "instances", File: "builtin/instances.yaml", Substrate: "loopback"}
	if text := c.command(s, 1); !strings.HasPrefix(text, mutantVariable+"="+mutant.PostRepeated+" ") {
		t.Errorf("%s", text)
	}
	c.env = []string{mutantVariable + "=a,b c"}
	if text := c.command(s, 1); !strings.HasPrefix(text, mutantVariable+"='a,b c' ") {
		t.Errorf("a shell would not take it for an assignment: %s", text)
	}
	r.Env = []string{mutantVariable + "=no-such-bug"}
	if _, err := (&playFlags{out: "out", binary: kept}).again(t.Context(), &b, r); exitStatus(err) != exitUsage {
		t.Errorf("%v", err)
	}
}

// TestReplaySaysWhatIsNotAsItWas of the programs.
func TestReplaySaysWhatIsNotAsItWas(t *testing.T) {
	now := &campaign{program: program{version: "v1", commit: "abc", sum: "one"}}
	for name, c := range map[string]struct {
		change func(*record.Run)
		says   string
	}{
		"the same":               {func(*record.Run) {}, ""},
		"another version":        {func(r *record.Run) { r.Version = "v2" }, `version "v2"`},
		"another commit":         {func(r *record.Run) { r.Commit = "def" }, `commit "def"`},
		"another build":          {func(r *record.Run) { r.Programs[0].SHA256 = "two" }, "another build of the same version"},
		"another one beside it":  {func(r *record.Run) { r.Programs = append(r.Programs, record.Program{Path: "/old"}) }, "--other (it was /old)"},
		"a record without a sum": {func(r *record.Run) { r.Programs = nil }, ""},
		"an older record":        {func(r *record.Run) { r.Digest = "" }, "does not say what the scenario was"},
	} {
		r := &record.Run{Digest: "d", Version: "v1", Commit: "abc", Programs: []record.Program{{SHA256: "one"}}}
		c.change(r)
		if got := strings.Join(now.unlike(r), "; "); (got == "") != (c.says == "") || !strings.Contains(got, c.says) {
			t.Errorf("%s: %q, want %q", name, got, c.says)
		}
	}
}

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/chaos/check"
	"github.com/holdfast-lb/holdfast/chaos/record"
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
		{[]string{"run", "--profile", "nightly"}, 2, `no profile "nightly": it is one of [ci soak netns]`},
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

// TestFaultTable: median and worst over runs.
func TestFaultTable(t *testing.T) {
	fault := func(name string, outage time.Duration) record.Fault { return record.Fault{Name: name, Outage: outage} }
	void := record.Fault{Name: "kill", Void: "another fault has hold of it"}
	text := faultTable([]*record.Run{
		{Sessions: 10, Faults: []record.Fault{void, fault("kill", 100*time.Millisecond), fault("freeze", time.Second)}},
		{Sessions: 20, Faults: []record.Fault{fault("kill", 300*time.Millisecond), fault("kill", 200*time.Millisecond)}},
	})
	for _, want := range []string{"| kill | 3 | 200 ms | 300 ms", "| freeze | 1 | 1.00 s", "2 runs, 30 sessions, 0 requests of which 0 failed, 4 faults."} {
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
	}{
		"passed":          {func(*record.Run) {}, true, true},
		"not asked for":   {func(*record.Run) {}, false, false},
		"broken":          {func(r *record.Run) { r.Verdict = record.Failed }, true, false},
		"another program": {func(r *record.Run) { r.Version = "v2" }, true, false},
		"another commit":  {func(r *record.Run) { r.Commit = "abc" }, true, false},
		"another seed":    {func(r *record.Run) { r.Seed = 4 }, true, false},
		"another plan":    {func(r *record.Run) { r.Digest = found[0].Digest(nil) }, true, false},
		"elsewhere":       {func(r *record.Run) { r.Digest = elsewhere.Digest(elsewhere.Plan(3)) }, true, false},
		"another load":    {func(r *record.Run) { r.Digest = heavier.Digest(heavier.Plan(3)) }, true, false},
		"an older record": {func(r *record.Run) { r.Digest = "" }, true, false},
	} {
		r := *kept
		c.change(&r)
		if err := record.Write(filepath.Join(dir, "run.json"), &r); err != nil {
			t.Fatal(err)
		}
		one := &campaign{resume: c.resume, program: program{version: "v1"}}
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
		for _, s := range judgedBy(thatCatch(scenarios, name), telling()) {
			if checks, err := run.Checks(s); err != nil || len(checks) != len(check.All())-1 || slices.ContainsFunc(checks, func(c check.Check) bool { return c.Name == "requests-answered" }) {
				t.Errorf("%s would be judged by %d checks, %v", name, len(checks), err)
			}
			if !slices.Contains(s.Catches, name) {
				t.Errorf("%s would be tried with %s, which does not say that it catches it", name, s.Name)
			}
		}
	}
	if got := thatCatch(scenarios, "unnamed"); len(got) != len(scenarios) {
		t.Errorf("a bug that nobody names would be tried with %d scenarios", len(got))
	}
	for _, s := range scenarios {
		for _, name := range s.Catches {
			if !slices.Contains(mutant.Names(), name) {
				t.Errorf("%s catches %q, which is no known bug", s.Name, name)
			}
		}
	}
}

package scenario

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/chaos/fault"
)

const whole = `# everything that can be said
name: everything
about: All keys.
profiles: [ci, soak]
catches: [ack-before-commit]
substrate: loopback
length: 1m
group: {nodes: 5, instances: 2, timing: fast, quiesceTimeout: 4s, faultyDisks: true}
load:
  rate: 250
  newSessions: 12.5
  edits: 0.5
  forgeEvery: 20
  attempt: 1s
  patience: 10s
  rest: true
faults:
  - {name: kill, target: leader, at: 5s, for: 2s}
  - {name: delay, target: n4, every: 10s, from: 3s, until: 40s, for: 1s to 4s, amount: 50ms}
  - draw: [freeze, isolate, instance-kill]
    count: 9
    overlap: 3
    for: 500ms to 2s
checks: [sessions-stay, one-state]
budget: {failed: 3, refused: 200, outage: 2s, slowest: 5s}
`

func mustParse(t testing.TB, text string) *Scenario {
	t.Helper()
	s, err := Parse("test.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestParse(t *testing.T) {
	s := mustParse(t, whole)
	if s.Name != "everything" || s.Length != time.Minute || !slices.Equal(s.Profiles, []string{"ci", "soak"}) || !slices.Equal(s.Catches, []string{"ack-before-commit"}) {
		t.Errorf("%+v", s)
	}
	if s.Group != (Group{5, 2, "fast", 4 * time.Second, true}) {
		t.Errorf("group %+v", s.Group)
	}
	if s.Load != (Load{Rate: 250, NewSessions: 12.5, Edits: 0.5, ForgeEvery: 20, Attempt: time.Second, Patience: 10 * time.Second, Rest: true}) {
		t.Errorf("load %+v", s.Load)
	}
	if s.Budget != (Budget{3, 200, 2 * time.Second, 5 * time.Second}) {
		t.Errorf("budget %+v", s.Budget)
	}
	if len(s.Checks) != 2 || s.Checks[1] != (Check{"one-state", 24}) {
		t.Errorf("checks %+v", s.Checks)
	}
	if len(s.Faults) != 3 {
		t.Fatalf("%d faults", len(s.Faults))
	}
	kill, delay, drawn := s.Faults[0], s.Faults[1], s.Faults[2]
	if kill.Fault.Name != "kill" || kill.Target != "leader" || kill.At != 5*time.Second || kill.For != [2]time.Duration{2 * time.Second, 2 * time.Second} || kill.Line != 18 {
		t.Errorf("kill %+v", kill)
	}
	if delay.Every != 10*time.Second || delay.From != 3*time.Second || delay.Until != 40*time.Second || *delay.Amount != 0.05 || delay.For[1] != 4*time.Second {
		t.Errorf("delay %+v", delay)
	}
	if len(drawn.Draw) != 3 || drawn.Count != 9 || drawn.Overlap != 3 || drawn.Target != fault.Any {
		t.Errorf("drawn %+v", drawn)
	}
	if n := s.NodeNames(); len(n) != 5 || n[4] != "n5" {
		t.Errorf("nodes %v", n)
	}
}

// TestHostileFiles: each fault of a file is told with its place and in words, and nothing is guessed.
func TestHostileFiles(t *testing.T) {
	head := "name: x\nabout: y\n"
	for _, c := range []struct{ text, want string }{
		{"", "want one document"},
		{"[]", "test.yaml:1:1: a scenario: want keys and values"},
		{"5", "a scenario: want keys and values"},
		{"name: x\n", "does not say what it is about"},
		{"about: y\n", "has no name"},
		{head + "lenght: 5s\n", `test.yaml:3:1: a scenario has no key "lenght"; it has name,`},
		{head + "length: 5\n", `test.yaml:3:9: "5" is no time: write it as`},
		{head + "length: 0s\n", "0s: want 1s to 24h0m0s"},
		{head + "length: -5s\n", "want 1s to"},
		{head + "length: 999999999h\n", "is no time"},
		{head + "length: 5s\nlength: 6s\n", `test.yaml:4:1: a scenario has the key "length" twice`},
		{head + "length:\n", `"length" has no value`},
		{"name: X Y\nabout: y\n", `"X Y" is no name`},
		{"name: ../../etc\nabout: y\n", "is no name"},
		{head + "group: {nodes: 2}\n", "take an odd number"},
		{head + "group: {nodes: 99}\n", `"99": want a whole number from 1 to 7`},
		{head + "group: {nodes: three}\n", "want a whole number"},
		{head + "group: {nodes: [3]}\n", "want one value"},
		{head + "group: {faultyDisks: perhaps}\n", "want true or false"},
		{head + "group: [3]\n", "group: want keys and values"},
		{head + "substrate: moon\n", `substrate "moon" is none of loopback`},
		{head + "profiles: [nightly]\n", `profile "nightly" is none of ci, soak`},
		{head + "profiles: ci\n", "want a list"},
		{head + "load: {rate: NaN}\n", "want a number from 0 to 20000"},
		{head + "load: {rate: -1}\n", "want a number"},
		{head + "load: {rate: 1e-12}\n", "want 0, or 0.001 and more"},
		{head + "load: {edits: 1e-300}\n", "want 0, or 0.001 and more"},
		{head + "load: {rate: 1e300}\n", "want a number"},
		{head + "load: {attempt: 40s}\n", "attempt (40s) is longer than patience"},
		{head + "faults: [kill]\n", "a fault: want keys and values"},
		{head + "faults:\n  -\n", "an item without a value"},
		{head + "faults:\n  - {name: kil, at: 1s}\n", `test.yaml:4:12: there is no fault "kil": did you mean kill?`},
		{head + "faults:\n  - {name: teleport, at: 1s}\n", "holdfast-chaos list --faults"},
		{head + "faults:\n  - {at: 1s}\n", "want either a name, or a list"},
		{head + "faults:\n  - {name: kill, draw: [kill], at: 1s}\n", "want either a name, or a list"},
		{head + "faults:\n  - {name: kill}\n", "when does it happen?"},
		{head + "faults:\n  - {name: kill, at: 1s, every: 1s}\n", "when does it happen?"},
		{head + "faults:\n  - {name: kill, at: 1h}\n", "test.yaml:4:1: at is beyond the length of the scenario, 20s"},
		{head + "faults:\n  - {name: kill, at: 1s, for: 1h}\n", "for is beyond the length"},
		{head + "faults:\n  - {name: kill, at: 1s, for: 4s to 2s}\n", "the first is the longer one"},
		{head + "faults:\n  - {name: kill, at: 1s, for: 4s to}\n", "is no time"},
		{head + "faults:\n  - {name: kill, every: 1s, from: 5s, until: 4s}\n", "until (4s) is not after from (5s)"},
		{head + "faults:\n  - {name: kill, every: 1ns}\n", "want 100ms to"},
		{head + "faults:\n  - {name: kill, at: 1s, count: 3}\n", "count is for faults that are drawn"},
		{head + "faults:\n  - {draw: [kill]}\n", "how many are drawn?"},
		{head + "faults:\n  - {draw: [kill], count: 2, at: 1s}\n", "neither at, every, amount nor seed"},
		{head + "faults:\n  - {draw: [], count: 2}\n", "want either a name, or a list"},
		{head + "faults:\n  - {draw: [kill], count: 9999999}\n", "want a whole number from 1 to 100000"},
		{head + "faults:\n  - {draw: [kill], count: 100000}\n  - {draw: [kill], count: 100000}\n", "are too many for one scenario"},
		{head + "faults:\n  - {draw: [instance-kill, kill], target: instance1, count: 1, overlap: 1}\n", `the group has no node "instance1"`},
		{head + "faults:\n  - {name: kill, at: 1s, target: n9}\n", `the group has no node "n9": it has n1 to n3`},
		{head + "faults:\n  - {name: instance-kill, at: 1s, target: leader}\n", `"leader" is a node`},
		{head + "faults:\n  - {name: instance-kill, at: 1s, target: n1}\n", `the group has no instance "n1"`},
		{head + "faults:\n  - {name: halves, at: 1s, target: n1}\n", "it has no target"},
		{head + "faults:\n  - {name: kill, at: 1s, amount: 5}\n", "amount of kill: there is no amount of it"},
		{head + "faults:\n  - {name: delay, at: 1s, amount: 5}\n", `"5" is not a time such as 200ms`},
		{head + "faults:\n  - {name: loss, at: 1s, amount: 200%}\n", `"200%" is not a share`},
		{head + "faults:\n  - {name: kill, at: 1s, seed: -1}\n", "want a whole number from 0"},
		{head + "faults:\n  - {name: kill, every: 1s, seed: 1}\n", "it happens once (at)"},
		{head + "faults:\n  - {draw: [kill], count: 1, drawn: true}\n", "neither at, every, amount nor seed"},
		{head + "checks: [a, {b: c}]\n", "want one value"},
		{head + "budget: {failed: -1}\n", "want a whole number"},
		{head + "a: &x [*x]\n", "anchors, aliases and merge keys are not allowed"},
		{head + "a: !!binary x\n", "tags and directives"},
		{head + "? a\n: b\n", "explicit keys"},
		{"name: x\nabout: y\n---\nname: z\n", "want one document"},
		{head + "faults: " + strings.Repeat("[", 50) + "\n", "levels"},
		{head + "faults: ]\n", "brackets that do not fit"},
		{head + "\tx: y\n", "not YAML"},
		{head + "x: 'y\n", "test.yaml:"},
		{head + "x: \xff\n", "is no UTF-8 text"},
		{head + "x: \x00\n", "is no UTF-8 text"},
		{head + strings.Repeat("#", maxFile), "larger than 64 KiB"},
		{head + strings.Repeat("a:\n", maxMarks/2+1), "too many entries"},
		{head + "\"evil\u202e\x1b[31m\": 1\n", "evil"},
	} {
		_, err := Parse("test.yaml", []byte(c.text))
		var faults Faults
		if err == nil || !errors.As(err, &faults) || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "test.yaml:") {
			t.Errorf("%.80q: %v, want %q", c.text, err, c.want)
			continue
		}
		if strings.ContainsAny(err.Error(), "\x1b\u202e") {
			t.Errorf("%.80q: the message can steer a terminal: %q", c.text, err)
		}
	}
}

// TestAllFaultsAtOnce: whoever writes a file learns of everything that is wrong in one go.
func TestAllFaultsAtOnce(t *testing.T) {
	_, err := Parse("f.yaml", []byte("name: X\nlength: soon\ngroup: {nodes: 0}\nfaults:\n  - {name: nothing}\n"))
	var faults Faults
	if !errors.As(err, &faults) || len(faults) != 4 || faults[1].Line != 2 || faults[3].Line != 5 {
		t.Errorf("%v", err)
	}
}

// TestSameSeedSamePlan: the same scenario and seed draw the same plan; another seed, or another scenario's name, another one.
func TestSameSeedSamePlan(t *testing.T) {
	s := mustParse(t, whole)
	for seed := range uint64(20) {
		one, two := s.Plan(seed), mustParse(t, whole).Plan(seed)
		if one.String() != two.String() || len(one) != 1+4+9 {
			t.Fatalf("seed %d: %d steps\n%s\n%s", seed, len(one), one, two)
		}
		for i := range one {
			if one[i].Seed != two[i].Seed {
				t.Fatalf("seed %d: step %d draws otherwise", seed, i)
			}
		}
		if s.Plan(seed+1).String() == one.String() {
			t.Errorf("seeds %d and %d have one plan", seed, seed+1)
		}
	}
	other := mustParse(t, strings.Replace(whole, "name: everything", "name: other", 1))
	if other.Plan(1).String() == s.Plan(1).String() {
		t.Error("two scenarios have one plan")
	}
}

// TestPlansKeepToTheScenario: faults begin and end within it, in order, where and for as long as it says, and what is drawn overlaps.
func TestPlansKeepToTheScenario(t *testing.T) {
	s := mustParse(t, whole)
	overlaps := 0
	for seed := range uint64(200) {
		plan := s.Plan(seed)
		for i, step := range plan {
			if i > 0 && step.At < plan[i-1].At {
				t.Fatalf("seed %d: not in order:\n%s", seed, plan)
			}
			if step.At < 0 || step.For < 0 || step.At+step.For > s.Length {
				t.Errorf("seed %d: %s is outside of the run", seed, step)
			}
			if step.Fault.Name == "delay" && (step.At < 3*time.Second || step.At > 45*time.Second || step.Target != "n4" || step.Amount != 0.05) {
				t.Errorf("seed %d: %s", seed, step)
			}
			if i > 0 && plan[i-1].At+plan[i-1].For > step.At {
				overlaps++
			}
		}
	}
	if overlaps < 200*4 {
		t.Errorf("only %d overlaps in 200 plans", overlaps)
	}
	if n := len(mustParse(t, "name: x\nabout: y\n").Plan(1)); n != 0 {
		t.Errorf("nothing gives %d faults", n)
	}
}

// same says whether two plans let the same happen, to the same targets as far as the group is the same.
func same(a, b Plan) bool {
	return slices.EqualFunc(a, b, func(a, b Step) bool { return a.String() == b.String() && a.Seed == b.Seed && a.Named == b.Named })
}

// TestWrittenPlansAreRead: a plan that is written as a scenario gives the same faults at the same times.
func TestWrittenPlansAreRead(t *testing.T) {
	all, err := Builtin()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range append(all, mustParse(t, whole)) {
		plan := s.Plan(3)
		again, err := Parse("written.yaml", []byte(s.Write(plan)))
		if err != nil {
			t.Fatalf("%s: %v\n%s", s.Name, err, s.Write(plan))
		}
		if got := again.Plan(9); !same(got, plan) {
			t.Errorf("%s: wrote\n%sread\n%s", s.Name, plan, got)
		}
		if again.Load != s.Load || again.Group != s.Group || again.Budget != s.Budget || len(again.Checks) != len(s.Checks) {
			t.Errorf("%s: read %+v", s.Name, again)
		}
	}
}

// TestBuiltin: every built-in scenario is called as its file, belongs to a profile or says why one runs it by name, and together they name every fault that there is.
func TestBuiltin(t *testing.T) {
	all, err := Builtin()
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	ci := time.Duration(0)
	for _, s := range all {
		if s.File != "builtin/"+s.Name+".yaml" {
			t.Errorf("%s is in %s", s.Name, s.File)
		}
		if slices.Contains(s.Profiles, "ci") {
			ci += s.Length
		}
		for _, r := range s.Faults {
			for _, f := range append(slices.Clone(r.Draw), r.Fault) {
				if f != nil {
					used[f.Name] = true
				}
			}
		}
	}
	if ci > 3*time.Minute+30*time.Second {
		t.Errorf("the scenarios of the CI profile take %v, without starting and judging", ci)
	}
	for _, f := range fault.All() {
		if !used[f.Name] {
			t.Errorf("no built-in scenario has the fault %s", f.Name)
		}
	}
}

func TestFind(t *testing.T) {
	all, err := Builtin()
	if err != nil {
		t.Fatal(err)
	}
	if found, err := Find("*"); err != nil || len(found) != len(all) {
		t.Errorf("%d of %d, %v", len(found), len(all), err)
	}
	if found, err := Find("leader-kill"); err != nil || len(found) != 1 || found[0].Name != "leader-kill" {
		t.Errorf("%v, %v", found, err)
	}
	for _, pattern := range []string{"nothing", "[", "", "not-there.yaml", t.TempDir() + "/x.yaml"} {
		if found, err := Find(pattern); err == nil {
			t.Errorf("%q finds %v", pattern, found)
		}
	}
	path := filepath.Join(t.TempDir(), "mine.yaml")
	if err := os.WriteFile(path, []byte(whole), 0o600); err != nil {
		t.Fatal(err)
	}
	found, err := Find(path)
	if err != nil || len(found) != 1 || found[0].File != path {
		t.Errorf("%v, %v", found, err)
	}
	if err := os.WriteFile(path, make([]byte, 10*maxFile), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Find(path); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("a huge file: %v", err)
	}
	for _, profile := range Profiles {
		if list, err := OfProfile(profile); err != nil || len(list) == 0 {
			t.Errorf("profile %s: %d scenarios, %v", profile, len(list), err)
		}
	}
}

// FuzzParse: whatever a file has, there is a scenario or a list of faults with places, and the plan of a scenario keeps to it.
func FuzzParse(f *testing.F) {
	f.Add(whole, uint64(1))
	f.Add("name: x\nabout: y\nfaults:\n  - {draw: [kill, halves], count: 3, for: 0s}\n", uint64(2))
	f.Add("name: x\nabout: y\nlength: 1s\nfaults:\n  - {name: clock, every: 100ms, for: 1ms, amount: \"-1h\"}\n", uint64(3))
	f.Fuzz(func(t *testing.T, text string, seed uint64) {
		s, err := Parse("f.yaml", []byte(text))
		if err != nil {
			var faults Faults
			if !errors.As(err, &faults) || len(faults) == 0 {
				t.Fatalf("%v", err)
			}
			for _, one := range faults {
				if one.Text == "" || strings.ContainsAny(one.Error(), "\n\x1b") {
					t.Errorf("%q", one.Error())
				}
			}
			return
		}
		plan := s.Plan(seed)
		for _, step := range plan {
			if step.At < 0 || step.At > s.Length || step.For < 0 || step.At+step.For > s.Length {
				t.Fatalf("%s in %v", step, s.Length)
			}
		}
		again, err := Parse("f.yaml", []byte(s.Write(plan)))
		if err != nil {
			t.Fatalf("%v\n%s", err, s.Write(plan))
		}
		if !same(again.Plan(0), plan) {
			t.Errorf("written and read:\n%s\n%s", plan, again.Plan(0))
		}
	})
}

package scenario

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/holdfast-lb/holdfast/chaos/fault"
)

// faultRow is a line of the table of faults in docs/RELIABILITY.md: number, fault, how it is brought about, what plays or tests it, outcome.
var faultRow = regexp.MustCompile(`^\| (\d+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$`)

// lowerName is how faults and scenarios are quoted; scenarios have their profiles behind them, and perhaps a remark.
var lowerName = regexp.MustCompile("`([a-z][a-z0-9-]*)`(?: \\(([a-z, ]+)[:)])?")

// TestReliabilityNamesFaultsAndScenarios: the rows of the table of faults are numbered without a gap; each fault of the harness is named in the rows that it says it belongs to, and in no other; each row's scenarios
// are there, belong to the profiles that it says and have each of its faults; each built-in scenario is in some row; and a row without scenario and test says that it is not covered.
func TestReliabilityNamesFaultsAndScenarios(t *testing.T) {
	text, err := os.ReadFile("../../docs/RELIABILITY.md")
	if err != nil {
		t.Fatal(err)
	}
	builtin, err := Builtin()
	if err != nil {
		t.Fatal(err)
	}
	scenarios, played := map[string]*Scenario{}, map[string]bool{}
	for _, s := range builtin {
		scenarios[s.Name] = s
	}
	rows := 0
	faults := map[string][]int{}
	for _, line := range strings.Split(string(text), "\n") {
		m := faultRow.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		rows++
		if n, err := strconv.Atoi(m[1]); err != nil || n != rows {
			t.Errorf("row %s comes where %d is to be", m[1], rows)
		}
		has := map[string]bool{} // faults of the row's scenarios
		for _, q := range lowerName.FindAllStringSubmatch(m[4], -1) {
			s := scenarios[q[1]]
			if s == nil {
				t.Errorf("row %d: there is no scenario %s", rows, q[1])
				continue
			}
			played[s.Name] = true
			want := strings.Join(s.Profiles, ", ")
			if want == "" {
				want = "by name"
			}
			if q[2] != want {
				t.Errorf("row %d: scenario %s (%s), want (%s)", rows, s.Name, q[2], want)
			}
			ofRow := false
			for _, name := range faultsOf(s) {
				has[name] = true
				f, err := fault.ByName(name)
				if err != nil {
					t.Fatal(err)
				}
				ofRow = ofRow || slices.Contains(f.Rows, rows)
			}
			if !ofRow {
				t.Errorf("row %d: scenario %s has none of its faults", rows, s.Name)
			}
		}
		for _, q := range lowerName.FindAllStringSubmatch(m[3], -1) {
			faults[q[1]] = append(faults[q[1]], rows)
			if !has[q[1]] {
				t.Errorf("row %d: none of its scenarios has the fault %s", rows, q[1])
			}
		}
		if !strings.Contains(m[4], "`") && !strings.Contains(strings.ToLower(m[4]), "not covered") {
			t.Errorf("row %d names no scenario and no test, and does not say that it is not covered", rows)
		}
	}
	if rows < 48 {
		t.Fatalf("only %d rows found: the search is broken, or some are gone", rows)
	}
	for _, f := range fault.All() {
		if !slices.Equal(faults[f.Name], f.Rows) {
			t.Errorf("fault %s says rows %v, and is named in rows %v", f.Name, f.Rows, faults[f.Name])
		}
		delete(faults, f.Name)
	}
	for name, in := range faults {
		t.Errorf("rows %v: there is no fault %s", in, name)
	}
	for name := range scenarios {
		if !played[name] {
			t.Errorf("no row names the scenario %s", name)
		}
	}
}

var (
	namedTest   = regexp.MustCompile("\\b((?:Test|Fuzz)[A-Z][A-Za-z0-9]*)[`\"]")
	namedTarget = regexp.MustCompile("`make ([a-z][a-z0-9-]*)")
	anyTest     = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)[A-Z]\w*)\(`)
	anyTarget   = regexp.MustCompile(`(?m)^([a-z][a-z0-9-]*):`)
)

// TestReliabilityNamesWhatIsThere: each test and make target that docs/RELIABILITY.md names, in any of its tables, is there. The scenarios are judged with their rows.
func TestReliabilityNamesWhatIsThere(t *testing.T) {
	text, err := os.ReadFile("../../docs/RELIABILITY.md")
	if err != nil {
		t.Fatal(err)
	}
	makefile, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	have := map[string]bool{}
	for _, m := range anyTarget.FindAllSubmatch(makefile, -1) {
		have["make "+string(m[1])] = true
	}
	err = filepath.WalkDir("../..", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		for _, m := range anyTest.FindAllSubmatch(source, -1) {
			have[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	tests, targets := namedTest.FindAllSubmatch(text, -1), namedTarget.FindAllSubmatch(text, -1)
	if len(tests) < 300 || len(targets) < 30 {
		t.Errorf("only %d tests and %d make targets found: the search is broken", len(tests), len(targets))
	}
	for _, m := range tests {
		if !have[string(m[1])] {
			t.Errorf("there is no test %s", m[1])
		}
	}
	for _, m := range targets {
		if !have["make "+string(m[1])] {
			t.Errorf("there is no make target %s", m[1])
		}
	}
}

// TestMinoritiesAreAskedForChanges: where a node is without a majority, or stands still, an operator asks for changes, so that one which it must not acknowledge can be seen.
func TestMinoritiesAreAskedForChanges(t *testing.T) {
	ci, err := OfProfile("ci")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, s := range ci {
		alone := slices.ContainsFunc(faultsOf(s), func(name string) bool {
			return slices.Contains([]string{"isolate", "deaf", "mute", "halves", "all-apart", "freeze"}, name)
		})
		if !alone {
			continue
		}
		if seen++; s.Load.Edits == 0 {
			t.Errorf("nobody asks for a change in %s", s.Name)
		}
	}
	if seen < 5 {
		t.Errorf("only %d such scenarios", seen)
	}
}

// faultsOf lists what a scenario lets happen.
func faultsOf(s *Scenario) (names []string) {
	for _, r := range s.Faults {
		for _, f := range append(slices.Clone(r.Draw), r.Fault) {
			if f != nil {
				names = append(names, f.Name)
			}
		}
	}
	return names
}

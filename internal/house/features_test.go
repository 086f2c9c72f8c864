package house

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

var (
	featureRow = regexp.MustCompile(`^\| ([A-Z]+-\d+[a-h]?) \| (M|S|N|X|M/X|N/X) \| (\S.*?) \| (.*?) ?\|$`)
	quoted     = regexp.MustCompile("`([^`]+)`")
	testNamed  = regexp.MustCompile(`^(?:([a-z][a-z0-9/]*) )?((?:Test|Benchmark|Fuzz)[A-Z]\w*)$`)
)

// TestFeaturesNameTestsThatExist: docs/FEATURES.md has each requirement of testdata/requirements.txt once, every row either says what is missing or names
// its proof, each test that it names is in the package that it names, and the figures in its head are those of its rows.
func TestFeaturesNameTestsThatExist(t *testing.T) {
	tests := testsByPackage(t)
	text := readText(t, "../../docs/FEATURES.md")
	count, proved, all := map[string]int{}, map[string]int{}, 0
	for _, line := range strings.Split(text, "\n") {
		m := featureRow.FindStringSubmatch(line)
		if m == nil {
			if strings.HasPrefix(line, "| ") && !strings.HasPrefix(line, "| id ") {
				t.Errorf("not a row: %s", line)
			}
			continue
		}
		id, how, proof := m[1], m[3], m[4]
		count[id]++
		if open := strings.HasPrefix(how, "open: "); open != (proof == "") {
			t.Errorf("%s: a row is open and says what is missing, or it has a proof", id)
		}
		if proof != "" {
			proved[strings.SplitN(id, "-", 2)[0]]++
			all++
		}
		namedTestsExist(t, id, how+" "+proof, tests)
	}
	total := map[string]int{}
	for _, id := range strings.Fields(readText(t, "testdata/requirements.txt")) {
		total[strings.SplitN(id, "-", 2)[0]]++
		if count[id] != 1 {
			t.Errorf("%s is there %d times", id, count[id])
		}
		delete(count, id)
	}
	for id := range count {
		t.Errorf("%s is no requirement", id)
	}
	sum := 0
	for family, n := range total {
		sum += n
		wantHead(t, text, "%s %d of %d", family, proved[family], n)
	}
	wantHead(t, text, "%d rows have their proof", all)
	wantHead(t, text, "of the %d requirements", sum)
}

var (
	makeNamed   = regexp.MustCompile("`make ([a-z0-9-]+)")
	scriptNamed = regexp.MustCompile("`(scripts/[\\w./-]+)`")
)

// TestReliabilityNamesTestsThatExist: each fault of docs/RELIABILITY.md names tests, targets of the Makefile and scripts that are there. That its scenarios are is looked at in chaos/scenario.
func TestReliabilityNamesTestsThatExist(t *testing.T) {
	tests, targets := testsByPackage(t), "\n"+readText(t, "../../Makefile")
	rows := 0
	for n, line := range strings.Split(readText(t, "../../docs/RELIABILITY.md"), "\n") {
		where := fmt.Sprintf("docs/RELIABILITY.md:%d", n+1)
		if strings.HasPrefix(line, "| ") {
			rows++
			namedTestsExist(t, where, line, tests)
		}
		for _, m := range makeNamed.FindAllStringSubmatch(line, -1) {
			if !strings.Contains(targets, "\n"+m[1]+":") {
				t.Errorf("%s: there is no target %s", where, m[1])
			}
		}
		for _, m := range scriptNamed.FindAllStringSubmatch(line, -1) {
			if _, err := os.Stat("../../" + m[1]); err != nil {
				t.Errorf("%s: %v", where, err)
			}
		}
	}
	if rows < 90 {
		t.Errorf("only %d rows found: the search is broken", rows)
	}
}

// namedTestsExist checks each quotation that has the form of a test. One without a package is of the package named before it.
func namedTestsExist(t *testing.T, where, text string, tests map[string]map[string]bool) {
	t.Helper()
	pkg := ""
	for _, q := range quoted.FindAllStringSubmatch(text, -1) {
		m := testNamed.FindStringSubmatch(q[1])
		if m == nil {
			continue
		}
		if m[1] != "" {
			pkg = m[1]
		}
		if !tests[pkg][m[2]] {
			t.Errorf("%s: package %q has no %s", where, pkg, m[2])
		}
	}
}

// testsByPackage gives the names of all tests, benchmarks and fuzz targets by the folder that they are in.
func testsByPackage(t *testing.T) map[string]map[string]bool {
	t.Helper()
	named := regexp.MustCompile(`(?m)^func ((?:Test|Benchmark|Fuzz)[A-Z]\w*)\(`)
	tests := map[string]map[string]bool{}
	for _, f := range sources(t) {
		if !f.test() {
			continue
		}
		if tests[f.dir()] == nil {
			tests[f.dir()] = map[string]bool{}
		}
		for _, m := range named.FindAllStringSubmatch(f.src, -1) {
			tests[f.dir()][m[1]] = true
		}
	}
	return tests
}

func readText(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func wantHead(t *testing.T, text, format string, args ...any) {
	t.Helper()
	head, _, _ := strings.Cut(text, "\n| id ")
	if want := fmt.Sprintf(format, args...); !strings.Contains(strings.ReplaceAll(head, "\n", " "), want) {
		t.Errorf("the head of docs/FEATURES.md does not say %q", want)
	}
}

package config

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestHostileFiles: what is broken, wrong or made to exhaust the reader is refused with line and reason, soon and in bounded memory. The refusal of
// the whole text at once has no line.
func TestHostileFiles(t *testing.T) {
	in := func(values string) string { return "clusters:\n  - name: a\n    " + values + "\n" }
	// Ten levels of ten references each.
	bomb := "clusters:\n  a0: &a0 [lol]\n"
	for i := 1; i <= 10; i++ {
		bomb += fmt.Sprintf("  a%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d,", i-1), 10), ","))
	}
	for _, c := range []struct {
		name, text string
		line       int
		want       string
	}{
		{"deep lists", "clusters:\n  " + strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000), 2, "nested more than 32 levels deep"},
		{"deep mappings", "clusters:\n  " + strings.Repeat("{a: ", 1000) + strings.Repeat("}", 1000), 2, "nested more than 32 levels deep"},
		{"deep indentation", deepening(), 33, "nested more than 32 levels deep"},
		{"deep dashes", "clusters:\n" + strings.Repeat("- ", 100_000) + "a", 2, "nested more than 32 levels deep"},
		{"deep JSON", "{\"clusters\":\n" + strings.Repeat("[", 9_000) + strings.Repeat("]", 9_000) + "}", 2, "nested more than 32 levels deep"},
		{"deeper JSON", "{\"clusters\":\n" + strings.Repeat("[", 1_000_000) + strings.Repeat("]", 1_000_000) + "}", 2, "nested more than 32 levels deep"},
		{"deep JSON in lines", "{\"clusters\":" + strings.Repeat("[\n", 20_000) + strings.Repeat("]", 20_000) + "}", 32, "nested more than 32 levels deep"},
		{"huge weight", in("instances: [{name: i, listeners: ['http://h:1'], weight: 99999999999999999999999}]"), 3, "is out of range"},
		{"huge digits", in("health: {rise: " + strings.Repeat("9", 1_000_000) + "}"), 3, "is out of range"},
		{"huge exponent", in("health: {rise: 1e999999999}"), 3, "must be a number"},
		{"huge JSON number", "{\"clusters\":[{\"name\":\"a\",\n\"health\":{\"rise\":1e999999999}}]}", 2, "is not a whole number"},
		{"huge negative", in("health: {rise: -2147483649}"), 3, "is out of range"},
		{"huge duration", in("quiesceTimeout: 99999999999h"), 3, "is not a duration"},
		{"long duration", in("quiesceTimeout: " + strings.Repeat("1s", 100_000)), 3, "is not a duration"},
		{"huge size", in("bodyBuffer: 99999999999999999GiB"), 3, "is not a size"},
		{"not a number", in("health: {rise: .nan}"), 3, "is not a whole number"},
		{"duplicate key", in("policy: round-robin\n    policy: peak-ewma"), 4, "is there twice, first in line 3"},
		{"duplicate JSON key", "{\"clusters\":[],\n\"clusters\":[{\"name\":\"a\"}]}", 2, "is there twice, first in line 1"},
		{"duplicate escaped key", "{\"clusters\":[],\n\"\\u0063lusters\":[]}", 2, "is there twice, first in line 1"},
		{"no unit", in("quiesceTimeout: 31"), 3, "a duration needs a unit"},
		{"wrong unit", in("quiesceTimeout: 31min"), 3, "is not a duration"},
		{"days", in("quiesceTimeout: 1d"), 3, "is not a duration"},
		{"wrong size unit", in("bodyBuffer: 64KB"), 3, "is not a size"},
		{"fraction of a size", in("bodyBuffer: 1.5MiB"), 3, "is not a size"},
		{"size as duration", in("slowStart: 64KiB"), 3, "is not a duration"},
		{"duration as size", in("bodyBuffer: 10s"), 3, "is not a size"},
		{"unknown key", in("polcy: peak-ewma"), 3, "did you mean policy?"},
		{"unknown keys", "clusters:\n" + strings.Repeat("- {a: 1, b: 2}\n", 50_000), 2, "unknown key"},
		{"YAML bomb", bomb, 2, "anchors, aliases and merge keys are not allowed"},
		{"alias", "clusters:\n - *a", 2, "anchors, aliases and merge keys are not allowed"},
		{"merge key", "clusters:\n - {<<: {name: a}}", 2, "anchors, aliases and merge keys are not allowed"},
		{"tag", "clusters:\n - !!python/object/apply:os.system [x]", 2, "tags and directives are not allowed"},
		{"XML", "<?xml version=\"1.0\"?>\n<!DOCTYPE x [<!ENTITY a SYSTEM \"file:///etc/passwd\">]>\n<loadbalancer>&a;</loadbalancer>\n", 1, ""},
		{"many documents", strings.Repeat("---\nclusters: []\n", 10_000), 3, "a second document"},
		{"many keys", "clusters:\n  - {" + manyKeys(100_000) + "}", 2, "more than 64 keys in one mapping"},
		{"many listeners", "listeners:\n" + strings.Repeat("  - {name: a, address: \":1\"}\n", 1001), 2, "at most 1000 are taken"},
		{"many cookies", in("affinity: {type: learn, names: [" + manyNames(100_000) + "]}"), 3, "at most 64 are taken"},
		{"many routes", in("affinity: {type: learn, routes: [" + manyNames(100_000) + "]}"), 3, "at most 64 are taken"},
		{"many backups", in("backup: [" + manyNames(100_000) + "]"), 3, "at most 64 are taken"},
		{"many signs", in("health: {passive: [" + manyNames(100_000) + "]}"), 3, "100000 values are too many"},
		{"many zones", "listeners:\n  - {name: a, address: ':80', zones: [" + manyNames(100_000) + "]}", 2, "at most 64 are taken"},
		{"many nodes", "listeners:\n  - {name: a, address: ':80', nodes: [" + manyNames(100_000) + "]}", 2, "at most 64 are taken"},
		{"many patterns", in("modules: [{contextRoot: /, idempotent: [" + strings.Repeat("{pattern: /x},", 50_000) + "]}]"), 3, "at most 64 are taken"},
		{"long chain of backups", backupChain(20_000), 3, "lead back to where they began"},
		{"long names that nothing is near", in("backup: [" + strings.Repeat("x", 1_000_000) + "]\n  - name: " + strings.Repeat("y", 1_000_000)), 3, "there is no cluster"},
		{"NUL", "clusters:\n\x00", 2, "character U+0000 is not allowed"},
		{"not UTF-8", "clusters:\n  - name: \xff", 2, "byte 0xff is not UTF-8"},
		{"bidirectional override", "clusters:\n  - {name: \"a\u202e\"}", 2, "cannot be the name of a cluster"},
		{"100 MB", "clusters:\n" + strings.Repeat("- {name: a}\n", 100_000_000/12), 0, "at most 4194304 are read"},
		{"100 MB of brackets", strings.Repeat("[", 100_000_000), 0, "at most 4194304 are read"},
		{"100 MB of JSON", `{"clusters":"` + strings.Repeat("x", 100_000_000) + `"}`, 0, "at most 4194304 are read"},
	} {
		t.Run(c.name, func(t *testing.T) { refuseHostile(t, c.text, c.line, c.want) })
	}
}

func refuseHostile(t *testing.T, text string, line int, want string) {
	data := []byte(text)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := cpuTime(t)
	c, err := Parse("f.yaml", data)
	took := cpuTime(t) - start
	runtime.ReadMemStats(&after)
	var list Errors
	if c != nil || !errors.As(err, &list) {
		t.Fatalf("accepted, or with another error: %v", err)
	}
	if list[0].Line != line || !strings.Contains(list[0].Error(), want) {
		t.Errorf("got %.300v\nwant line %d, %q", list[0], line, want)
	}
	if len(err.Error()) > 64<<10 {
		t.Errorf("%d bytes of error text", len(err.Error()))
	}
	if took > 10*time.Second {
		t.Errorf("took %v of the processor", took)
	}
	// All that was ever allocated, whether it was given back or not: some hundred bytes for each byte that is read, nothing for a text that is too large.
	if spent := after.TotalAlloc - before.TotalAlloc; spent > 1<<30 || len(text) > MaxInput && spent > 1<<20 {
		t.Errorf("%d bytes allocated for %d", spent, len(text))
	}
}

func manyKeys(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "k%d: 1,", i)
	}
	return b.String()
}

func manyNames(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "n%d,", i)
	}
	return b.String()
}

// backupChain has each cluster backed by the next, and the last one by the first.
func backupChain(n int) string {
	var b strings.Builder
	b.WriteString("clusters:\n")
	for i := range n {
		fmt.Fprintf(&b, "- name: c%d\n  backup: [c%d]\n", i, (i+1)%n)
	}
	return b.String()
}

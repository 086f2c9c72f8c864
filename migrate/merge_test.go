package migrate_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/holdfast-lb/holdfast/fsm/config"
	"github.com/holdfast-lb/holdfast/migrate"
)

func parse(t rapidOrTest, text string) *config.Config {
	t.Helper()
	c, err := config.Parse("test", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

type rapidOrTest interface {
	Helper()
	Fatal(...any)
}

const group = `
listeners: [{name: front, address: ":80"}]
clusters:
  - {name: other, modules: [{contextRoot: /other}], instances: [{name: x, listeners: ["http://x:1"]}]}
  - name: c
    modules: [{contextRoot: /a}]
    instances: [{name: i1, listeners: ["http://h:1"]}, {name: i2, listeners: ["http://h:2"]}]
`

const files = `
listeners: [{name: web, address: ":8080"}]
clusters:
  - name: c
    modules: [{contextRoot: /a}, {contextRoot: /b}]
    instances: [{name: i1, listeners: ["http://h:1"], weight: 3}, {name: i2, listeners: ["http://h:2"]}]
`

func merge(t rapidOrTest, current, imported *config.Config, opt migrate.MergeOptions) *config.Config {
	t.Helper()
	out, err := migrate.Merge(current, imported, opt)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func changes(from, to *config.Config) string {
	var lines []string
	for _, c := range migrate.Changes(from, to) {
		lines = append(lines, c.String())
	}
	return strings.Join(lines, "\n")
}

func TestMerge(t *testing.T) { // UCD-19
	current, imported := parse(t, group), parse(t, files)
	out := merge(t, current, imported, migrate.MergeOptions{})
	got := changes(current, out)
	if !strings.Contains(got, "~ clusters[c].instances[i1].weight: 1 -> 3") || !strings.Contains(got, "+ clusters[c].modules[/b]") || strings.Count(got, "\n") != 1 {
		t.Errorf("changes\n%s", got)
	}
	if again := merge(t, out, imported, migrate.MergeOptions{}); string(again.Canonical()) != string(out.Canonical()) {
		t.Error("importing twice changes something")
	}
	replaced := merge(t, current, imported, migrate.MergeOptions{Replace: true})
	if got := changes(current, replaced); !strings.Contains(got, "- clusters[other]") || strings.Contains(got, "listeners: ") {
		t.Errorf("changes\n%s", got)
	}
}

func TestMergeListeners(t *testing.T) {
	imported := parse(t, files)
	for _, tc := range []struct {
		group string
		asked bool
		want  string
	}{
		{"clusters: []", false, "web :8080"},
		{`listeners: [{name: front, address: ":80"}]`, false, "front :80"},
		{`listeners: [{name: front, address: ":80"}]`, true, "front :80 web :8080"},
		{`listeners: [{name: front, address: ":8080"}]`, true, "front :8080"},
		{`listeners: [{name: web, address: ":80"}]`, true, "web :8080"},
	} {
		out := merge(t, parse(t, tc.group), imported, migrate.MergeOptions{Listener: tc.asked})
		var words []string
		for _, l := range out.Listeners {
			words = append(words, l.Name, l.Address)
		}
		if got := strings.Join(words, " "); got != tc.want {
			t.Errorf("%s %v: %s, want %s", tc.group, tc.asked, got, tc.want)
		}
	}
}

// TestOnlyTheDifferenceIsApplied: what operators change between two versions of the files stays (SUN-53, SUN-65, SUN-68).
func TestOnlyTheDifferenceIsApplied(t *testing.T) {
	last := parse(t, files)
	current := merge(t, parse(t, group), last, migrate.MergeOptions{})
	edit := func(c *config.Config, f func(*config.Cluster)) *config.Config {
		c = c.Clone()
		for i := range c.Clusters {
			if c.Clusters[i].Name == "c" {
				f(&c.Clusters[i])
			}
		}
		return c
	}
	// An operator disables i2 and removes /b; the file then gives i1 another weight and gets a third instance.
	operators := edit(current, func(c *config.Cluster) { c.Instances[1].Enabled = false; c.Modules = c.Modules[:1] })
	next := edit(last, func(c *config.Cluster) {
		c.Instances[0].Weight = 9
		third := c.Instances[1]
		third.Name, third.Route, third.Listeners = "i3", "i3", []string{"http://h:3"}
		c.Instances = append(c.Instances, third)
	})
	out := merge(t, operators, next, migrate.MergeOptions{Last: last})
	got := changes(operators, out)
	if !strings.Contains(got, "instances[i1].weight: 3 -> 9") || !strings.Contains(got, "+ clusters[c].instances[i3]") || strings.Count(got, "\n") != 1 {
		t.Errorf("changes\n%s", got)
	}
	// What the files had and have no more goes, the clusters of others stay.
	empty := last.Clone()
	empty.Clusters = empty.Clusters[:0]
	out = merge(t, operators, empty, migrate.MergeOptions{Last: last})
	if len(out.Clusters) != 1 || out.Clusters[0].Name != "other" || len(out.Listeners) != 1 {
		t.Errorf("left is %s", out.YAML())
	}
	// The same again is no change.
	if got := changes(operators, merge(t, operators, last, migrate.MergeOptions{Last: last})); got != "" {
		t.Errorf("changes\n%s", got)
	}
}

// TestMergeLaws: without edits of others, the difference leads from one version to the next, whatever they are.
func TestMergeLaws(t *testing.T) {
	version := func(t *rapid.T, label string) *config.Config {
		c := parse(t, `{listeners: [{name: web, address: ":80"}], clusters: []}`)
		base := parse(t, files).Clusters[0]
		for _, name := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b", "c"}), 0, 3, rapid.ID).Draw(t, label) {
			k := (&config.Config{Clusters: []config.Cluster{base}}).Clone().Clusters[0]
			k.Name = name
			k.Instances[0].Weight = rapid.IntRange(0, 5).Draw(t, "weight")
			k.Instances = k.Instances[:rapid.IntRange(0, 2).Draw(t, "instances")]
			k.Modules = k.Modules[rapid.IntRange(0, 2).Draw(t, "modules"):]
			c.Clusters = append(c.Clusters, k)
		}
		return c
	}
	rapid.Check(t, func(t *rapid.T) {
		last, next := version(t, "last"), version(t, "next")
		out := merge(t, last, next, migrate.MergeOptions{Last: last})
		if got := changes(next, out); got != "" {
			t.Fatalf("still different:\n%s", got)
		}
	})
}

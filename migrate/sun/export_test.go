package sun

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/holdfast-lb/holdfast/fsm/config"
	"github.com/holdfast-lb/holdfast/migrate/report"
)

func readSeed(f *testing.F, name string) []byte {
	f.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		f.Fatal(err)
	}
	return data
}

// TestExportGivesWhatWasImported: for everything that the format can say (SUN-06).
func TestExportGivesWhatWasImported(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		source := randomFile(t)
		first := Import([]byte(source), Options{})
		if first.Config == nil {
			t.Fatalf("%s\n%v", source, first.Report.Entries)
		}
		data, rep, err := Export(first.Config)
		if err != nil || len(rep.Entries) != 0 {
			t.Fatalf("%s\n%v %v", source, err, rep)
		}
		second := Import(data, Options{})
		if second.Config == nil || string(second.Config.Canonical()) != string(first.Config.Canonical()) {
			t.Fatalf("%s\nbecame\n%s", first.Config.YAML(), data)
		}
	})
}

// randomFile writes a file with what all versions of the definition have.
func randomFile(t *rapid.T) string {
	var b strings.Builder
	b.WriteString("<loadbalancer>\n")
	word := func(label string, words ...string) string { return rapid.SampledFrom(words).Draw(t, label) }
	for c := range rapid.IntRange(0, 3).Draw(t, "clusters") {
		fmt.Fprintf(&b, "<cluster name='c%d' policy='%s'>\n", c, word("policy", "round-robin", "weighted-round-robin"))
		for i := range rapid.IntRange(0, 3).Draw(t, "instances") {
			fmt.Fprintf(&b, "<instance name='i%d' enabled='%s' listeners='http://h%d:%d https://h%d:%d' disable-timeout-in-minutes='%d' weight='%d'/>\n", i, word("enabled", "true", "false"),
				i, 80+c, i, 443+c, rapid.IntRange(1, 100).Draw(t, "minutes"), rapid.IntRange(0, 20).Draw(t, "weight"))
		}
		for m := range rapid.IntRange(0, 3).Draw(t, "modules") {
			fmt.Fprintf(&b, "<web-module context-root='/m%d' enabled='%s'>", m, word("module enabled", "true", "false"))
			for p := range rapid.IntRange(0, 2).Draw(t, "patterns") {
				fmt.Fprintf(&b, "<idempotent-url-pattern url-pattern='/p%d/*' no-of-retries='%d'/>", p, rapid.IntRange(-1, 10).Draw(t, "retries"))
			}
			b.WriteString("</web-module>\n")
		}
		fmt.Fprintf(&b, "<health-checker url='/h?a=1&amp;b=2' interval-in-seconds='%d' timeout-in-seconds='%d'/></cluster>\n", rapid.IntRange(1, 100).Draw(t, "interval"), rapid.IntRange(1, 100).Draw(t, "timeout"))
	}
	// The properties of a file without a cluster are nobody's.
	if strings.Contains(b.String(), "<cluster") {
		fmt.Fprintf(&b, "<property name='response-timeout-in-seconds' value='%d'/><property name='active-healthcheck-enabled' value='%s'/>",
			rapid.IntRange(0, 100).Draw(t, "response"), word("active", "true", "false"))
	}
	b.WriteString("</loadbalancer>")
	return b.String()
}

func TestExportSaysWhatItCannot(t *testing.T) {
	c, err := config.Parse("t", []byte(`{listeners: [{name: front, address: ":80"}], clusters: [{name: c, affinity: {type: insert}, modules: [{contextRoot: /a, host: www.example.com}, {contextRoot: /a}],
  instances: [{name: i, listeners: ["http://h:1"], zone: z1, weight: 40, quiesceTimeout: 90s}, {name: j, listeners: ["http://h:2"], weight: 60}]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	data, rep, err := Export(c)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(data), `-//Sun Microsystems Inc.//DTD Sun Java System Application Server 9.1//EN" "sun-loadbalancer_1_2.dtd"`) {
		t.Errorf("no definition in %s", data)
	}
	said := map[string]report.Status{}
	for _, e := range rep.Entries {
		said[e.What] = e.Status
	}
	for key, want := range map[string]report.Status{
		"clusters[c].affinity.type":               report.Approximated,
		"clusters[c].modules[www.example.com/a]":  report.Ignored,
		"clusters[c].instances[i].zone":           report.Approximated,
		"clusters[c].instances[i].weight":         report.Approximated,
		"clusters[c].instances[i].quiesceTimeout": report.Approximated,
	} {
		if said[key] != want {
			t.Errorf("%s: %q, want %q; report %v", key, said[key], want, rep.Entries)
		}
	}
	for key := range said {
		if strings.HasPrefix(key, "listeners") {
			t.Errorf("%s is reported, though no file of the format has it", key)
		}
	}
	again := Import(data, Options{})
	if again.Config == nil || again.Config.Clusters[0].Instances[0].QuiesceTimeout != config.Duration(2*time.Minute) {
		t.Errorf("90s must become 2 minutes: %v", again.Report.Entries)
	}
}

package golden

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/holdfast-lb/holdfast/fsm/config"
	"github.com/holdfast-lb/holdfast/migrate/build"
	"github.com/holdfast-lb/holdfast/migrate/report"
)

var update = flag.Bool("update", false, "write the .want files")

// Good wants a result without an error whose configuration keeps all rules.
func Good(t *testing.T, res *build.Result) *build.Result {
	t.Helper()
	if res.Config == nil {
		t.Fatalf("no configuration: %v", res.Report.Entries)
	}
	if err := res.Config.Validate(); err != nil {
		t.Fatal(err)
	}
	return res
}

// Compare wants the result to be what testdata/NAME.want says: every line of the report and every value that importers set.
func Compare(t *testing.T, name string, res *build.Result) {
	t.Helper()
	var b strings.Builder
	for _, e := range res.Report.Entries {
		fmt.Fprintf(&b, "%s [%s] -> %s\n", e, e.Value, e.Key)
	}
	fmt.Fprintf(&b, "notes %q\npoll %v\n%s", res.Report.Notes, res.Poll, Dump(res.Config))
	file := filepath.Join("testdata", name+".want")
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != b.String() {
		t.Errorf("%s: got\n%s\nwant\n%s", name, b.String(), want)
	}
}

// Dump writes the values that importers decide about; the others are the group's own defaults.
func Dump(c *config.Config) string {
	var b strings.Builder
	for _, l := range c.Listeners {
		fmt.Fprintf(&b, "listener %s %s %s\n", l.Name, l.Address, l.Protocol)
	}
	for _, k := range c.Clusters {
		a, h := k.Affinity, k.Health
		fmt.Fprintf(&b, "cluster %s: policy %s, quiesceTimeout %v, responseTimeout %v, bodyBuffer %v\n", k.Name, k.Policy, k.QuiesceTimeout, k.ResponseTimeout, k.BodyBuffer)
		fmt.Fprintf(&b, "  affinity %s: names %v, routes %v, idleTimeout %v\n", a.Type, a.Names, a.Routes, a.IdleTimeout)
		fmt.Fprintf(&b, "  health %s %s: %s, interval %v, timeout %v, expect %s, rise %d, fall %d, retryInterval %v, passive %v %d\n",
			h.Type, h.Path, h.Mode, h.Interval, h.Timeout, h.Expect, h.Rise, h.Fall, h.RetryInterval, h.Passive, h.PassiveFails)
		for _, m := range k.Modules {
			fmt.Fprintf(&b, "  module %s%s: enabled %v, quiesceTimeout %v, replicated %v, retries %d, idempotent %v, onSessionLost %s\n",
				m.Host, m.ContextRoot, m.Enabled, m.QuiesceTimeout, m.Replicated, m.Retries, m.Idempotent, m.OnSessionLost)
		}
		for _, in := range k.Instances {
			fmt.Fprintf(&b, "  instance %s: %v, enabled %v, weight %d, quiesceTimeout %v, route %s, backup %v, maxConnections %d, failoverTo %q\n",
				in.Name, in.Listeners, in.Enabled, in.Weight, in.QuiesceTimeout, in.Route, in.Backup, in.MaxConnections, in.FailoverTo)
		}
	}
	return b.String()
}

// Once wants every place to be reported exactly once, in the order of the file.
func Once(t *testing.T, r *report.Report, want []Place) {
	t.Helper()
	var got []Place
	for _, e := range r.Entries {
		got = append(got, Place{Line: e.Line, Column: e.Column})
	}
	if len(want) == 0 || !slices.Equal(got, want) {
		t.Errorf("reported are %v, there are %v", got, want)
	}
}

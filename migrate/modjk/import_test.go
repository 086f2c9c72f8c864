package modjk

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm/config"
	"github.com/holdfast-lb/holdfast/migrate/build"
	"github.com/holdfast-lb/holdfast/migrate/report"
)

const pair = "worker.list=lb\nworker.lb.type=lb\nworker.lb.balance_workers=a,b\nworker.a.host=ha\nworker.b.host=hb\n"

func read(t *testing.T, text string) *build.Result {
	t.Helper()
	return Import([]byte(text), nil, Options{Workers: "f", HTTPPort: 8080})
}

func TestDefaults(t *testing.T) {
	res := read(t, pair)
	if res.Config == nil {
		t.Fatal(res.Report.Entries)
	}
	c := res.Config.Clusters[0]
	if c.Name != "lb" || c.Policy != "weighted-round-robin" || c.ResponseTimeout != 0 || c.Health.RetryInterval != config.Duration(time.Minute) || res.Poll != time.Minute {
		t.Errorf("cluster %+v", c)
	}
	if c.Affinity.Type != "learn" || !slices.Equal(c.Affinity.Names, []string{"JSESSIONID"}) || c.Instances[0].Route != "a" || c.Instances[0].Weight != 1 || c.Modules[0].Retries != 1 {
		t.Errorf("cluster %+v", c)
	}
	if m := c.Modules; len(m) != 1 || m[0].ContextRoot != "/" || len(res.Report.Notes) != 1 {
		t.Errorf("modules %+v, notes %v", m, res.Report.Notes)
	}
}

// entryOf gives the last line of the report about a directive.
func entryOf(res *build.Result, what string) report.Entry {
	for _, e := range slices.Backward(res.Report.Entries) {
		if e.What == what {
			return e
		}
	}
	return report.Entry{}
}

func TestMethods(t *testing.T) {
	for word, want := range map[string]string{"R": "weighted-round-robin", "Session": "least-sessions", "next": "least-sessions", "T": "least-requests", "Busyness": "least-requests"} {
		in := importer{out: build.Empty(""), byWorker: map[string]int{}, made: map[moduleID]bool{}, res: &build.Result{Report: &report.Report{}}, opt: Options{HTTPPort: 1}}
		in.f = readWorkers("f", []byte(pair+"worker.lb.method="+word), nil)
		in.clusters()
		if got := in.out.Clusters[0].Policy; got != want {
			t.Errorf("%s: %s, want %s", word, got, want)
		}
	}
}

func TestActivation(t *testing.T) {
	for line, want := range map[string]struct {
		weight  int
		enabled bool
	}{
		"worker.a.activation=Active": {1, true}, "worker.a.activation=d": {0, true}, "worker.a.activation=STOPPED": {1, false},
		"worker.a.disabled=True": {0, true}, "worker.a.stopped=1": {1, false}, "worker.a.disabled=no": {1, true}, "worker.a.disabled=off": {1, true},
	} {
		res := read(t, pair+line)
		if res.Config == nil {
			t.Fatal(res.Report.Entries)
		}
		if in := res.Config.Clusters[0].Instances[0]; in.Weight != want.weight || in.Enabled != want.enabled {
			t.Errorf("%s: %+v", line, in)
		}
	}
}

func TestWithoutAPort(t *testing.T) {
	res := Import([]byte(pair), nil, Options{HTTPPorts: map[string]int{"a": 8080}})
	e := entryOf(res, "worker.b.host")
	if res.Config != nil || e.Status != report.Error || e.Line != 5 || !strings.Contains(e.Why, "--http-port b=PORT") {
		t.Errorf("%v", res.Report.Entries)
	}
}

func TestReferencesAndVariables(t *testing.T) {
	env := func(name string) (string, bool) { return "henv", name == "HOST" }
	res := Import([]byte("worker.t.lbfactor=7\nworker.t2.reference=worker.t\n"+pair+"worker.a.reference=worker.t2\nx=1\nworker.b.host=$(HOST)\nworker.b.lbfactor=$(x)0"), nil, Options{HTTPPort: 80, Env: env})
	if res.Config == nil {
		t.Fatal(res.Report.Entries)
	}
	in := res.Config.Clusters[0].Instances
	if in[0].Weight != 7 || in[1].Weight != 10 || in[1].Listeners[0] != "http://henv:80" {
		t.Errorf("instances %+v", in)
	}
	deep := pair
	for i := range 30 {
		deep += "worker.d" + string(rune('A'+i)) + ".reference=worker.d" + string(rune('A'+i+1)) + "\n"
	}
	deep = strings.ReplaceAll(deep, "[", "b") + "worker.a.reference=worker.dA\n"
	if res := read(t, deep); res.Config != nil {
		t.Error("more than 20 references were followed")
	}
}

func TestDomainsBackupsAndRedirects(t *testing.T) {
	res := read(t, pair+"worker.a.domain=d1\nworker.b.distance=3\nworker.a.redirect=rb\nworker.b.route=rb\nworker.lb.sticky_session=f")
	if res.Config == nil {
		t.Fatal(res.Report.Entries)
	}
	c := res.Config.Clusters[0]
	if c.Instances[0].FailoverTo != "b" || !c.Instances[1].Backup || c.Instances[0].Backup || c.Affinity.Type != "none" {
		t.Errorf("cluster %+v", c)
	}
	if e := entryOf(res, "worker.a.domain"); e.Status != report.Approximated {
		t.Errorf("domain %+v", e)
	}
}

func TestFaults(t *testing.T) {
	for line, want := range map[string]string{
		"worker.lb.method=X": "no method", "worker.a.activation=x": "no activation", "worker.a.redirect=a": "another worker", "worker.a.redirect=zz": "another worker",
		"worker.a.fail_on_status=abc": "status codes", "worker.lb.sticky_session=maybe": "true or false", "worker.a.lbfactor=x": "whole number",
		"worker.a.type=ajp12": "not known", "worker.lb.balance_workers=a": "twice", "worker.lb.balance_workers=q": "no worker", "worker.a.reference=b": "must be worker.NAME",
		"worker.a.route=": "empty",
	} {
		res := read(t, pair+line)
		e := entryOf(res, strings.SplitN(line, "=", 2)[0])
		if res.Config != nil || e.Status != report.Error || !strings.Contains(e.Why, want) || e.Line != 6 || e.Column != 1 {
			t.Errorf("%s: %+v", line, e)
		}
	}
}

func FuzzImport(f *testing.F) {
	workers, err := os.ReadFile("testdata/workers.properties")
	if err != nil {
		f.Fatal(err)
	}
	rules, err := os.ReadFile("testdata/uriworkermap.properties")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(workers, rules)
	f.Add([]byte(pair), []byte("/a|/*=lb"))
	f.Fuzz(func(t *testing.T, workers, rules []byte) {
		res := Import(workers, rules, Options{Workers: "w", URIMap: "u", HTTPPort: 8080})
		if (res.Config == nil) != res.Report.Failed() {
			t.Fatalf("configuration %v, report %v", res.Config, res.Report.Entries)
		}
		for _, e := range res.Report.Entries {
			if e.Line < 1 || e.Column < 1 || e.Status == "" || e.Status != report.Mapped && e.Why == "" {
				t.Fatalf("entry %+v", e)
			}
		}
		if res.Config != nil && res.Config.Validate() != nil {
			t.Fatal(res.Config.Validate())
		}
	})
}

func FuzzLines(f *testing.F) {
	f.Add([]byte("a = b # c\n\xef\xbb\xbfx=$(a)\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, l := range readLines("f", data) {
			if l.line < 1 || l.column < 1 || strings.ContainsAny(l.key, "\n\x00") {
				t.Fatalf("line %+v", l)
			}
		}
	})
}

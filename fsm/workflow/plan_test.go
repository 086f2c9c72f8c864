package workflow

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

const planned = `
clusters:
  - name: c1
    quiesceTimeout: 10m
    modules: [{contextRoot: /shop}, {contextRoot: /only}, {contextRoot: /off, enabled: false}]
    instances: [{name: a1, listeners: ["http://127.0.0.1:1"]}, {name: a2, listeners: ["http://127.0.0.1:2"], quiesceTimeout: 20m}]
  - name: c2
    modules: [{contextRoot: /shop}]
    instances: [{name: b1, listeners: ["http://127.0.0.1:3"]}]
  - {name: empty}
`

func planOf(t *testing.T, kind, spec string, change func(*fsm.Operating)) Preview {
	t.Helper()
	c, err := config.Parse("test", []byte(planned))
	if err != nil {
		t.Fatal(err)
	}
	s, err := Decode(kind, []byte(spec))
	if err != nil {
		t.Fatal(err)
	}
	o := &fsm.Operating{Config: c, Revision: &fsm.Revision{Number: 1, Config: c}}
	if change != nil {
		change(o)
	}
	return Plan(kind, s, View{Operating: o, InstanceID: func(_, name string) (fsm.InstanceID, bool) { return fsm.InstanceID(name[0]), true },
		Sessions: func(s fsm.Subject) int { return len(s.Name()) }})
}

// TestPlan: sessions, modules without a server, the longest time. SUN-69
func TestPlan(t *testing.T) {
	p := planOf(t, KindUpgrade, `{"clusters":["c1","c2"],"hooks":{"stop":"exec:s","upgrade":"manual"},"gate":{"type":"soak","duration":"5m"},"force":true}`, nil)
	if len(p.Refused) != 0 || len(p.Targets) != 2 || !p.ByHand {
		t.Fatalf("%+v", p)
	}
	if c1 := p.Targets[0]; c1.Sessions != 4 || c1.Quiesce != 20*time.Minute || len(c1.Unserved) != 1 || c1.Unserved[0].ContextRoot != "/only" {
		t.Errorf("%+v", c1)
	}
	// Quiesces 20m and 31m; then twice: requests in flight 5m, five calls of 10m with pauses of 1, 2, 4 and 8 s, health 10m; one soak.
	if want := 51*time.Minute + 2*(5*time.Minute+50*time.Minute+15*time.Second+10*time.Minute) + 5*time.Minute; p.AtMost != want {
		t.Errorf("at most %v, want %v", p.AtMost, want)
	}
}

func TestPlansThatAreRefused(t *testing.T) {
	for name, tc := range map[string]struct {
		kind, spec string
		change     func(*fsm.Operating)
		want       string // empty: it is not refused
	}{
		"schema change":         {KindUpgrade, `{"clusters":["c2"],"hooks":{"stop":"manual"},"schemaChange":true}`, nil, "changes a schema"}, // SUN-72
		"schema change, forced": {KindUpgrade, `{"clusters":["c2"],"hooks":{"stop":"manual"},"schemaChange":true,"force":true}`, nil, ""},
		"served elsewhere":      {KindUpgrade, `{"clusters":["c2"],"hooks":{"stop":"manual"}}`, nil, ""},
		"served nowhere":        {KindUpgrade, `{"clusters":["c1"],"hooks":{"stop":"manual"}}`, nil, "nobody would serve /only"},
		"failed elsewhere":      {KindUpgrade, `{"clusters":["c2"],"hooks":{"stop":"manual"}}`, func(o *fsm.Operating) { o.Verdicts = []fsm.Verdict{{Instance: 'a', State: fsm.HealthFailed}} }, "nobody would serve /shop"},
		"unknown cluster":       {KindUpgrade, `{"clusters":["c9"],"hooks":{"stop":"manual"}}`, nil, "no cluster c9"},
		"no instance":           {KindUpgrade, `{"clusters":["empty"],"hooks":{"stop":"manual"}}`, nil, "no instance"},
		"too many healthy":      {KindUpgrade, `{"clusters":["c2"],"hooks":{"stop":"manual"},"minHealthy":2}`, nil, "2 cannot be healthy"},
		"too large": {KindUpgrade, `{"clusters":["c2"],"hooks":{"stop":"manual"}}`, func(o *fsm.Operating) {
			for i := range 10_000 {
				o.Config.Clusters[1].Instances = append(o.Config.Clusters[1].Instances, config.Instance{Name: fmt.Sprint("instance", i)})
			}
		}, "more than one workflow can keep track of"},
		"registered":            {KindUpgrade, `{"clusters":["c2"],"hooks":{"stop":"manual"}}`, func(o *fsm.Operating) { o.Registered = []fsm.Registration{{Cluster: "c2"}} }, "registered themselves"},
		"cycle one of two":      {KindCycle, `{"subject":{"cluster":"c1","instance":"a1"},"hooks":{"stop":"manual"}}`, nil, ""},
		"cycle the only one":    {KindCycle, `{"subject":{"cluster":"c2","instance":"b1"},"hooks":{"stop":"manual"}}`, func(o *fsm.Operating) { o.Config.Clusters[0].Modules[0].Enabled = false }, "nobody would serve /shop"},
		"cycle a served module": {KindCycle, `{"subject":{"cluster":"c1","contextRoot":"/shop"},"hooks":{"stop":"manual"}}`, nil, ""},
		"cycle the only module": {KindCycle, `{"subject":{"cluster":"c1","contextRoot":"/only"},"hooks":{"stop":"manual"}}`, nil, "nobody would serve /only"},
		"cycle of nothing":      {KindCycle, `{"subject":{"cluster":"c1","instance":"a9"},"hooks":{"stop":"manual"}}`, nil, "no instance a9"},
		"another is at it":      {KindUpgrade, `{"clusters":["c2"],"hooks":{"stop":"manual"}}`, other(Running), "workflow w0 is at cluster c2"},
		"another was at it":     {KindUpgrade, `{"clusters":["c2"],"hooks":{"stop":"manual"}}`, other(Aborted), ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := planOf(t, tc.kind, tc.spec, tc.change)
			if all := strings.Join(p.Refused, "; "); (tc.want == "") != (all == "") || !strings.Contains(all, tc.want) {
				t.Errorf("refused: %q, want %q", all, tc.want)
			}
		})
	}
}

func other(state string) func(*fsm.Operating) {
	return func(o *fsm.Operating) {
		o.Workflows = []*fsm.Workflow{{ID: "w0", Kind: KindUpgrade, State: state, Spec: []byte(`{"clusters":["c2"],"hooks":{"stop":"manual"}}`)}}
	}
}

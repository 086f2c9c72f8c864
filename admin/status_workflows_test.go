package admin_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/admin"
	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm"
)

// TestStatusShowsWorkflows: who looks at the status during an upgrade reads that one is at work, what it waits for and how it goes on, and is not told
// to enable what the upgrade has disabled.
func TestStatusShowsWorkflows(t *testing.T) {
	const spec = `{"clusters":["cluster1"],"hooks":{"stop":"manual"}}`
	const resume, abort, start = "'holdfast upgrade resume w1'", "'holdfast upgrade abort w1'", "'holdfast cluster start cluster1'"
	disabled := `"disabled":[{"cluster":"cluster1","instance":"instance1"}]`
	for name, tc := range map[string]struct {
		spec, state, progress, note string
		person                      bool
		clusters                    string
		says, saysNot               []string
	}{
		"runs":         {spec, "running", `{"step":2,` + disabled + `}`, "wait", false, "[cluster1]", nil, []string{"w1", start}},
		"by hand":      {spec, "waiting", `{"step":4,"wait":"manual",` + disabled + `}`, "stop it", true, "[cluster1]", []string{"workflow w1 (upgrade) waits for a person: stop it;", resume, abort}, []string{start}},
		"failed":       {spec, "waiting", `{"step":4,"wait":"person",` + disabled + `}`, "hook failed", true, "[cluster1]", []string{"waits for a person: hook failed;", resume, abort}, []string{start}},
		"for the lock": {spec, "waiting", `{"step":1,"wait":"lock"}`, "locked", false, "[cluster1]", []string{"waits, and goes on by itself: locked;", abort}, []string{resume, start}},
		"paused":       {spec, "paused", `{"step":3,` + disabled + `}`, "paused at: wait", false, "[cluster1]", []string{"workflow w1 (upgrade) is paused at: wait;", resume, abort}, []string{start}},
		"elsewhere":    {strings.Replace(spec, "cluster1", "cluster2", 1), "running", `{"step":1}`, "wait", false, "[cluster2]", []string{start}, []string{"w1"}},
		"newer":        {spec, "waiting", `{"step":-1}`, "wait", false, "[]", []string{"workflow w1 (upgrade) waits", abort, start}, nil},
		"ended":        {spec, "done", `{"step":9}`, "done", false, "", []string{start}, []string{"w1"}},
	} {
		r := configured(t)
		r.node.view.operating(func(o *fsm.Operating) {
			o.Config = o.Config.Clone()
			for i := range o.Config.Clusters[0].Instances {
				o.Config.Clusters[0].Instances[i].Enabled = false
			}
			o.Workflows = []*fsm.Workflow{{ID: "w1", Kind: "upgrade", State: tc.state, Note: tc.note, Spec: []byte(tc.spec), Progress: []byte(tc.progress)}}
		})
		s := decode[wire.Status](t, read(r.api, "/v1/status"))
		if tc.clusters == "" {
			if len(s.Workflows) != 0 {
				t.Errorf("%s: %+v", name, s.Workflows)
			}
		} else if w := s.Workflows; len(w) != 1 || w[0].ID != "w1" || w[0].Kind != "upgrade" || w[0].State != tc.state || w[0].Note != tc.note || w[0].NeedsPerson != tc.person || fmt.Sprint(w[0].Clusters) != tc.clusters {
			t.Errorf("%s: %+v", name, w)
		}
		if w := decode[wire.WorkflowList](t, read(r.api, "/v1/workflows")).Workflows[0]; w.NeedsPerson != tc.person {
			t.Errorf("%s: %+v", name, w)
		}
		all := strings.Join(s.Problems, "\n")
		for _, text := range tc.says {
			if !strings.Contains(all, text) {
				t.Errorf("%s: the problems do not say %q:\n%s", name, text, all)
			}
		}
		for _, text := range tc.saysNot {
			if strings.Contains(all, text) {
				t.Errorf("%s: the problems say %q:\n%s", name, text, all)
			}
		}
	}
}

// TestStatusSaysThatTheLockIsOn: it comes before all that a node or instance may have.
func TestStatusSaysThatTheLockIsOn(t *testing.T) {
	r := configured(t)
	at := time.Date(2026, 3, 1, 2, 0, 0, 0, time.UTC)
	r.node.members = []admin.Member{{Name: "n2", Err: "connection refused"}}
	r.node.view.operating(func(o *fsm.Operating) {
		o.Lock = &fsm.Lock{ID: 3, Owner: "alice", Reason: "new release", Since: at, Until: at.Add(time.Hour)}
	})
	s := decode[wire.Status](t, read(r.api, "/v1/status"))
	const want = "the maintenance lock is on, by alice since 2026-03-01T02:00:00Z, until 2026-03-01T03:00:00Z: nobody else changes the configuration (new release)"
	if len(s.Problems) < 2 || s.Problems[0] != want {
		t.Errorf("%q", s.Problems)
	}
}

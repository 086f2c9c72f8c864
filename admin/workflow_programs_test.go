package admin_test

import (
	"slices"
	"testing"

	"github.com/holdfast-lb/holdfast/admin"
	"github.com/holdfast-lb/holdfast/admin/wire"
)

// TestProgramsThatNodesLack: plan and beginning warn of the hooks' programs that a node does not have, for any node may lead when they are run, and of
// what could not be checked. Both go on all the same.
func TestProgramsThatNodesLack(t *testing.T) {
	r := newWorkRig(t)
	node := func(name string, p *admin.Programs) admin.Member {
		return admin.Member{Name: name, Reachable: true, Programs: p}
	}
	r.node.members = []admin.Member{
		node("n1", &admin.Programs{Dir: true, Names: []string{"deploy", "stop"}}),
		node("n2", &admin.Programs{Dir: true, Names: []string{"stop"}}),
		node("n3", &admin.Programs{}),
		node("n4", nil),
		{Name: "n5", Err: "connection refused"},
		node("n6", &admin.Programs{Dir: true, Names: []string{"a"}, Cut: true}),
	}
	want := []string{
		"node n2 has no program deploy in its --hook-dir",
		"node n3 was started without --hook-dir, so it has no program deploy",
		"whether node n4 has program deploy in its --hook-dir could not be checked: it does not say",
		"whether node n5 has program deploy in its --hook-dir could not be checked: it does not answer",
		"whether node n6 has program deploy in its --hook-dir could not be checked: it has too many programs to name them all",
	}
	const body = `{"kind":"upgrade","clusters":["cluster1"],"hooks":{"stop":"exec:deploy","upgrade":"exec:deploy","start":"manual"}}`
	p := decode[wire.WorkflowPlan](t, r.post("/v1/workflows/plan", body))
	if !slices.Equal(p.Warnings, want) || len(p.Refused) != 0 {
		t.Errorf("planned: %q, refused %q", p.Warnings, p.Refused)
	}
	w := decode[wire.Workflow](t, r.post("/v1/workflows", body))
	if !slices.Equal(w.Warnings, want) || w.State != "running" {
		t.Errorf("begun: %q, %s", w.Warnings, w.State)
	}
	p = decode[wire.WorkflowPlan](t, r.post("/v1/workflows/plan", `{"kind":"upgrade","clusters":["cluster2"],"hooks":{"stop":"manual","start":"https://deploy.example/"}}`))
	if p.Warnings == nil || len(p.Warnings) != 0 {
		t.Errorf("without a program: %q", p.Warnings)
	}
}

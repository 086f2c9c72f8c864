package admin_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/admin"
	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

// TestExplainNext: each fact that decides about a request is named, and the outcome follows from it.
func TestExplainNext(t *testing.T) {
	change := func(f func(*config.Config)) func(*workRig) {
		return func(r *workRig) {
			c := r.node.state.Revision().Config.Clone()
			f(c)
			r.work.set(func(o *fsm.Operating) { o.Config = c })
		}
	}
	deadline := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	disabled := func(c *config.Config) { c.Clusters[0].Instances[0].Enabled = false }
	both := func(list ...func(*workRig)) func(*workRig) {
		return func(r *workRig) {
			for _, f := range list {
				f(r)
			}
		}
	}
	verdict := func(state fsm.HealthState) func(*workRig) {
		return func(r *workRig) {
			id, _ := r.node.state.InstanceID("cluster1", "instance1")
			r.work.set(func(o *fsm.Operating) {
				o.Verdicts = []fsm.Verdict{{Instance: id, State: state, Since: deadline, Reason: "connection refused"}}
			})
		}
	}
	module := func(f func(*config.Module)) func(*workRig) {
		return both(func(r *workRig) { r.work.modules = []fsm.ModuleRef{{Cluster: "cluster1", ContextRoot: "/fortune"}} },
			change(func(c *config.Config) { f(&c.Clusters[0].Modules[0]) }))
	}
	health := func(up bool) []admin.InstanceStatus {
		return []admin.InstanceStatus{{Cluster: "cluster1", Instance: "instance1", Up: up, Reason: "connection refused"}, {Cluster: "cluster1", Instance: "instance2", Up: true}}
	}
	for name, tc := range map[string]struct {
		prepare           func(*workRig)
		outcome, instance string
		why               string
	}{
		"all is well": {nil, wire.NextStays, "instance1", "instance instance1 is enabled"},
		"quiesces": {both(change(disabled), func(r *workRig) {
			r.work.set(func(o *fsm.Operating) {
				o.Quiesces = []fsm.Quiesce{{Subject: fsm.Subject{Cluster: "cluster1", Instance: "instance1"}, Deadline: deadline}}
			})
		}), wire.NextStays, "instance1", "quiesces: known sessions are served until 2026-01-02T03:04:05Z"},
		"stopped":           {change(disabled), wire.NextFailOver, "instance2", "disabled and quiesced"},
		"stopped, no other": {change(func(c *config.Config) { disabled(c); c.Clusters[0].Instances[1].Enabled = false }), wire.NextRefused, "", "sessions never leave their cluster"}, // SUN-71
		"removed":           {change(func(c *config.Config) { c.Clusters[0].Instances = c.Clusters[0].Instances[1:] }), wire.NextFailOver, "instance2", "not configured any more"},
		"cluster removed":   {change(func(c *config.Config) { c.Clusters = c.Clusters[1:] }), wire.NextNew, "", "cluster cluster1 is not configured any more"}, // SUN-80
		"failed":            {verdict(fsm.HealthFailed), wire.NextFailOver, "instance2", "verdict on its health is failed"},
		"suspect":           {verdict(fsm.HealthSuspect), wire.NextStays, "instance1", "verdict on its health is suspect"},
		"down here":         {func(r *workRig) { r.node.health = health(false) }, wire.NextFailOver, "instance2", "node n1 cannot reach it"},
		"down on one node": {func(r *workRig) {
			r.node.health = health(true)
			r.node.members = []admin.Member{{Name: "n2", Reachable: true, Instances: health(false)}}
		}, wire.NextDepends, "", "through the others it stays"},
		"module quiesces": {both(module(func(m *config.Module) { m.Enabled = false }), func(r *workRig) {
			r.work.set(func(o *fsm.Operating) {
				o.Quiesces = []fsm.Quiesce{{Subject: fsm.Subject{Cluster: "cluster1", ContextRoot: "/fortune"}, Deadline: deadline}}
			})
		}), wire.NextStays, "instance1", "module /fortune quiesces"},
		"module stopped": {module(func(m *config.Module) { m.Enabled = false }), wire.NextNew, "", "cluster cluster2 has it too"},
		"module removed": {both(func(r *workRig) { r.work.modules = []fsm.ModuleRef{{Cluster: "cluster1", ContextRoot: "/gone"}} }), wire.NextNew, "", "/gone is not configured there any more"},
		"not replicated": {both(module(func(m *config.Module) { m.Replicated, m.OnSessionLost = false, "refuse" }), verdict(fsm.HealthFailed)), wire.NextRefused, "", "does not replicate its sessions"},
		"idle for too long": {func(r *workRig) {
			r.node.now = r.node.now.Add(2 * time.Hour)
			r.node.sessions(r, fsm.SessionOp{Kind: fsm.OpTouch, Key: fsm.Key{9}})
		}, wire.NextStays, "instance1", "longer than it may"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newWorkRig(t)
			key := r.session("id-1", "instance1")
			if tc.prepare != nil {
				tc.prepare(r)
			}
			e := decode[wire.Explanation](t, r.post("/v1/sessions/explain", `{"key":"`+key.String()+`"}`))
			if all := strings.Join(e.Next.Why, "\n"); !e.Found || e.Next.Outcome != tc.outcome || e.Next.Instance != tc.instance || !strings.Contains(all, tc.why) {
				t.Errorf("%+v\nwant %s %s because %q", e.Next, tc.outcome, tc.instance, tc.why)
			}
		})
	}
}

// TestExplainDecisions: the history of a session with the reason and the log index of each decision, by key, by id and by cookie.
func TestExplainDecisions(t *testing.T) {
	r := newWorkRig(t)
	key := r.session("id-1", "instance2")
	one, _ := r.node.state.InstanceID("cluster1", "instance1")
	two, _ := r.node.state.InstanceID("cluster1", "instance2")
	r.work.whole = true
	r.work.decisions = []fsm.Decision{
		{Index: 5, Time: time.Unix(1_700_000_000, 0).UTC(), To: one, Reason: fsm.ReasonPolicy},
		{Index: 9, From: one, To: two, Reason: fsm.ReasonUnavailable},
	}
	e := decode[wire.Explanation](t, r.post("/v1/sessions/explain", `{"cluster":"cluster1","contextRoot":"/fortune","session":"id-1"}`))
	if e.Key != key.String() || !e.Whole || len(e.Decisions) != 2 || e.Session.Instance != "instance2" {
		t.Fatalf("%+v", e)
	}
	if d := e.Decisions[0]; d.From != "" || d.To != "cluster1/instance1" || d.Index != 5 || d.Reason != "chosen by the policy" || d.Time.IsZero() {
		t.Errorf("%+v", d)
	}
	if d := e.Decisions[1]; d.From != "cluster1/instance1" || d.To != "cluster1/instance2" || d.Reason != "the instance was unavailable" {
		t.Errorf("%+v", d)
	}
	e = decode[wire.Explanation](t, r.post("/v1/sessions/explain", `{"cluster":"cluster1","contextRoot":"/fortune","cookie":"sealed-1"}`))
	if e.Found || e.Cookie == nil || e.Next.Outcome != wire.NextStays || e.Next.Instance != "instance1" || !strings.Contains(strings.Join(e.Next.Why, " "), "repaired from the cookie") {
		t.Errorf("%+v", e)
	}
	e = decode[wire.Explanation](t, r.post("/v1/sessions/explain", `{"cluster":"cluster1","contextRoot":"/fortune","session":"id-404"}`))
	if e.Found || e.Next.Outcome != wire.NextNew {
		t.Errorf("%+v", e)
	}
	for _, body := range []string{`{}`, `{"key":"zz"}`, `{"key":"` + key.String() + `","session":"id-1"}`, `{"session":"id-1"}`, `{"cluster":"cluster1","session":"id-1"}`, `{"key":"` + strings.ToUpper("a"+key.String()[1:]) + `"}`} {
		wantProblem(t, r.post("/v1/sessions/explain", body), http.StatusUnprocessableEntity, wire.CodeInvalidRequest)
	}
	wantProblem(t, r.post("/v1/sessions/explain", `{"cluster":"cluster1","contextRoot":"/fortune","session":"secret-id"}`), http.StatusUnprocessableEntity, wire.CodeSessionIDNotInCluster)
	if log := r.log.String(); strings.Contains(log, "id-1") || strings.Contains(log, "secret-id") || strings.Contains(log, "sealed-1") {
		t.Error("the log has a session id")
	}
}

// TestMoveAndDrop: by compare-and-swap, inside the cluster only, never to what is stopped or failed unless forced. SUN-71
func TestMoveAndDrop(t *testing.T) {
	r := newWorkRig(t)
	key := r.session("id-1", "instance1")
	path := "/v1/sessions/" + key.String()
	two, _ := r.node.state.InstanceID("cluster1", "instance2")
	if s := decode[wire.Session](t, r.post(path+"/move", `{"instance":"instance2"}`)); s.Instance != "instance2" || s.Reason != "an operator decided" {
		t.Errorf("%+v", s)
	}
	if op := r.group.ops[0]; op.Kind != fsm.OpMove || op.Instance != two || op.Expect == 0 || op.Reason != fsm.ReasonOperator {
		t.Errorf("%+v", op)
	}
	refused := func(body, why string) {
		t.Helper()
		if p := wantProblem(t, r.post(path+"/move", body), http.StatusConflict, wire.CodeRefused); !strings.Contains(p.Detail, why) {
			t.Errorf("%s: %s, want %q", body, p.Detail, why)
		}
	}
	refused(`{"instance":"other"}`, "cluster cluster1 has no instance other; sessions never go from one cluster to another")
	refused(`{"instance":"other","cluster":"cluster2"}`, "sessions never go from one cluster to another")
	one, _ := r.node.state.InstanceID("cluster1", "instance1")
	r.work.set(func(o *fsm.Operating) { o.Verdicts = []fsm.Verdict{{Instance: one, State: fsm.HealthFailed}} })
	refused(`{"instance":"instance1"}`, "has failed")
	c := r.node.state.Revision().Config.Clone()
	c.Clusters[0].Instances[0].Enabled = false
	r.work.set(func(o *fsm.Operating) { o.Verdicts, o.Config = nil, c })
	refused(`{"instance":"instance1"}`, "is stopped")
	if w := r.post(path+"/move", `{"instance":"instance1","force":true}`); w.Code != http.StatusOK {
		t.Errorf("forced: %d %s", w.Code, w.Body)
	}
	r.group.result = &fsm.SessionResult{Code: fsm.CodeMismatch, Instance: two}
	refused(`{"instance":"instance2"}`, "went to cluster1/instance2 in the meantime")
	r.group.result = &fsm.SessionResult{Code: fsm.CodeFull, Instance: two}
	refused(`{"instance":"instance2"}`, "as many sessions as it may have")
	r.group.result = nil
	drop := func() *httptest.ResponseRecorder {
		return serve(r.api, local(httptest.NewRequest("DELETE", "http://127.0.0.1:7700"+path, nil)))
	}
	if w := drop(); w.Code != http.StatusNoContent {
		t.Errorf("drop: %d %s", w.Code, w.Body)
	}
	if _, there := r.node.state.Lookup(key); there {
		t.Error("the session is still there")
	}
	wantProblem(t, drop(), http.StatusNotFound, wire.CodeNotFound)
	wantProblem(t, r.post(path+"/move", `{"instance":"instance2"}`), http.StatusNotFound, wire.CodeNotFound)
	wantProblem(t, r.post("/v1/sessions/zz/move", `{"instance":"instance2"}`), http.StatusUnprocessableEntity, wire.CodeInvalidRequest)
	wantProblem(t, r.post(path+"/move", `{}`), http.StatusUnprocessableEntity, wire.CodeInvalidRequest)
	if log := r.log.String(); !strings.Contains(log, "session moved") || !strings.Contains(log, "session dropped") {
		t.Error("the log does not tell of it")
	}
}

// TestSessionsOfAModule: the list can be narrowed to a module.
func TestSessionsOfAModule(t *testing.T) {
	r := newWorkRig(t)
	r.work.modules = []fsm.ModuleRef{{Cluster: "cluster1", ContextRoot: "/fortune"}}
	r.session("id-1", "instance1")
	if p := decode[wire.SessionPage](t, read(r.api, "/v1/sessions?contextRoot=/else")); len(p.Sessions) != 0 {
		t.Errorf("%+v", p)
	}
	wantProblem(t, read(r.api, "/v1/sessions?host=a.example"), http.StatusUnprocessableEntity, wire.CodeInvalidRequest)
	if s := decode[wire.Session](t, read(r.api, "/v1/sessions/"+keyOf("cluster1", "id-1").String())); s.ContextRoot != "/fortune" || s.Reason != "chosen by the policy" || s.Index != 7 {
		t.Errorf("%+v", s)
	}
}

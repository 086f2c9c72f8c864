package admin_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm"
)

const goodUpgrade = `{"kind":"upgrade","clusters":["cluster1","cluster2"],"hooks":{"stop":"https://deploy.example/stop?token=secret","start":"exec:start"},"gate":{"type":"soak","duration":"5m"},"version":"2.1"}`

func (r *workRig) post(path, body string) *httptest.ResponseRecorder {
	return send(r.api, "POST", path, "application/json", strings.NewReader(body))
}

// act is a POST without a body.
func (r *workRig) act(path string) *httptest.ResponseRecorder {
	return serve(r.api, local(httptest.NewRequest("POST", "http://127.0.0.1:7700"+path, nil)))
}

func TestWorkflowLife(t *testing.T) {
	r := newWorkRig(t)
	w := r.post("/v1/workflows", goodUpgrade)
	made := decode[wire.Workflow](t, w)
	if w.Code != http.StatusCreated || made.State != "running" || made.Kind != "upgrade" || made.Actor != "local" || len(made.Steps) == 0 || made.Steps[0].State != "now" || made.Created.IsZero() {
		t.Fatalf("status %d: %+v", w.Code, made)
	}
	if strings.Contains(w.Body.String(), "secret") || made.Request.Hooks.Stop != "https://deploy.example/stop?…" {
		t.Errorf("the answer shows the query of a hook: %s", w.Body)
	}
	if l := decode[wire.WorkflowList](t, read(r.api, "/v1/workflows")); len(l.Workflows) != 1 || l.Workflows[0].ID != made.ID {
		t.Errorf("%+v", l)
	}
	for _, step := range []struct{ do, state string }{{"pause", "paused"}, {"resume", "running"}, {"abort", "aborting"}} {
		if got := decode[wire.Workflow](t, r.act("/v1/workflows/"+made.ID+"/"+step.do)); got.State != step.state {
			t.Errorf("%s: %s", step.do, got.State)
		}
		if got := decode[wire.Workflow](t, read(r.api, "/v1/workflows/"+made.ID)); got.State != step.state {
			t.Errorf("%s: read: %s", step.do, got.State)
		}
	}
	wantProblem(t, r.act("/v1/workflows/"+made.ID+"/resume"), http.StatusConflict, wire.CodeRefused)
	wantProblem(t, r.act("/v1/workflows/nothere/pause"), http.StatusNotFound, wire.CodeNotFound)
	wantProblem(t, read(r.api, "/v1/workflows/nothere"), http.StatusNotFound, wire.CodeNotFound)
	if strings.Contains(r.log.String(), "secret") {
		t.Error("the log has the query of a hook")
	}
}

// TestWorkflowPlan: what would happen, and nothing does. SUN-69, SUN-72
func TestWorkflowPlan(t *testing.T) {
	r := newWorkRig(t)
	r.session("id-1", "instance1")
	r.session("id-2", "instance2")
	p := decode[wire.WorkflowPlan](t, r.post("/v1/workflows/plan", goodUpgrade))
	if len(p.Refused) != 0 || len(p.Targets) != 2 || p.Targets[0].Sessions != 2 || p.Targets[0].Quiesce != "31m" || len(p.Targets[0].Disables) != 2 || p.AtMost == "" || p.ByHand {
		t.Errorf("%+v", p)
	}
	p = decode[wire.WorkflowPlan](t, r.post("/v1/workflows/plan", `{"kind":"upgrade","clusters":["cluster1"],"hooks":{"stop":"manual"},"schemaChange":true}`))
	if len(p.Refused) != 1 || !strings.Contains(p.Refused[0], "changes a schema") {
		t.Errorf("%+v", p)
	}
	if n := len(r.work.Operating().Workflows); n != 0 {
		t.Errorf("a plan began %d workflows", n)
	}
	wantProblem(t, r.post("/v1/workflows", `{"kind":"upgrade","clusters":["cluster1"],"hooks":{"stop":"manual"},"schemaChange":true}`), http.StatusConflict, wire.CodeRefused)
	wantProblem(t, r.post("/v1/workflows", `{"kind":"upgrade","clusters":["nope"],"hooks":{"stop":"manual"}}`), http.StatusConflict, wire.CodeRefused)
	if w := r.post("/v1/workflows", `{"kind":"upgrade","clusters":["cluster1"],"hooks":{"stop":"manual"},"schemaChange":true,"force":true}`); w.Code != http.StatusCreated {
		t.Errorf("forced: %d %s", w.Code, w.Body)
	}
	wantProblem(t, r.post("/v1/workflows", `{"kind":"cycle","subject":{"cluster":"cluster1","instance":"instance1"},"hooks":{"stop":"manual"}}`), http.StatusConflict, wire.CodeRefused)
}

// TestWorkflowRequestTwice: the same request with the same key begins one workflow.
func TestWorkflowRequestTwice(t *testing.T) {
	r := newWorkRig(t)
	var ids [2]string
	for i := range ids {
		req := local(httptest.NewRequest("POST", "http://127.0.0.1:7700/v1/workflows", strings.NewReader(goodUpgrade)))
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Idempotency-Key", "k1")
		ids[i] = decode[wire.Workflow](t, serve(r.api, req)).ID
	}
	if ids[0] != ids[1] || len(r.work.Operating().Workflows) != 1 {
		t.Errorf("%v", ids)
	}
}

// TestWorkflowGoesOnMeanwhile: a change is made anew from what the workflow has become.
func TestWorkflowGoesOnMeanwhile(t *testing.T) {
	r := newWorkRig(t)
	id := decode[wire.Workflow](t, r.post("/v1/workflows", goodUpgrade)).ID
	steps := 0
	r.group.between = func() {
		if steps++; steps <= 2 {
			r.work.set(func(o *fsm.Operating) {
				w := *o.Workflows[0]
				w.Version, w.Progress = w.Version+100, []byte(fmt.Sprintf(`{"step":%d}`, steps))
				o.Workflows = []*fsm.Workflow{&w}
			})
		}
	}
	got := decode[wire.Workflow](t, r.act("/v1/workflows/"+id+"/pause"))
	if got.State != "paused" || got.Step != 2 || steps != 3 {
		t.Errorf("%s at step %d after %d tries", got.State, got.Step, steps)
	}
}

// TestWorkflowRoles: viewers look, operators work by hand, only administrators have nodes call addresses and programs.
func TestWorkflowRoles(t *testing.T) {
	r := newWorkRig(t)
	manual := `{"kind":"upgrade","clusters":["cluster1"],"hooks":{"stop":"manual"}}`
	for _, tc := range []struct {
		role, method, path, body string
		status                   int
	}{
		{"viewer", "GET", "/v1/workflows", "", 200},
		{"viewer", "POST", "/v1/workflows/plan", goodUpgrade, 200},
		{"viewer", "POST", "/v1/workflows", manual, 403},
		{"viewer", "POST", "/v1/workflows/abc/abort", "", 403},
		{"viewer", "POST", "/v1/sessions/explain", `{"key":"00000000000000000000000000000000"}`, 403},
		{"viewer", "DELETE", "/v1/sessions/00000000000000000000000000000000", "", 403},
		{"viewer", "POST", "/v1/sessions/00000000000000000000000000000000/move", `{"instance":"i"}`, 403},
		{"viewer", "GET", "/v1/events", "", 200},
		{"operator", "POST", "/v1/workflows", goodUpgrade, 403},
		{"operator", "POST", "/v1/workflows", strings.Replace(manual, "manual", "exec:stop", 1), 403},
		{"operator", "POST", "/v1/workflows", manual, 201},
		{"operator", "POST", "/v1/workflows/abc/abort", "", 404},
		{"operator", "DELETE", "/v1/sessions/00000000000000000000000000000000", "", 404},
		{"", "GET", "/v1/events", "", 401},
		{"", "POST", "/v1/workflows", manual, 401},
	} {
		req := httptest.NewRequest(tc.method, "http://10.0.0.1:7700"+tc.path, strings.NewReader(tc.body))
		if tc.body != "" {
			req.Header.Set("Content-Type", "application/json")
		}
		if tc.role != "" {
			req = bearer(req, r.token(tc.role, time.Time{}))
		}
		if w := serve(r.api, req); w.Code != tc.status {
			t.Errorf("%s %s %s: %d, want %d: %.200s", tc.role, tc.method, tc.path, w.Code, tc.status, w.Body)
		}
	}
}

// TestHostileWorkflows: refused with the field that is wrong; nothing begins.
func TestHostileWorkflows(t *testing.T) {
	r := newWorkRig(t)
	many, err := json.Marshal(make([]string, 10_000))
	if err != nil {
		t.Fatal(err)
	}
	hook := func(h string) string {
		b, _ := json.Marshal(h)
		return `{"kind":"upgrade","clusters":["cluster1"],"hooks":{"stop":` + string(b) + `}}`
	}
	for name, tc := range map[string]struct {
		body   string
		status int
		code   string
	}{
		"10,000 clusters":    {`{"kind":"upgrade","clusters":` + string(many) + `,"hooks":{}}`, 422, wire.CodeInvalidRequest},
		"unknown scheme":     {hook("ldap://x.example/"), 422, wire.CodeInvalidRequest},
		"path traversal":     {hook("exec:../../bin/sh"), 422, wire.CodeInvalidRequest},
		"encoded traversal":  {hook("exec:..%2f..%2fbin%2fsh"), 422, wire.CodeInvalidRequest},
		"shell":              {hook("exec:sh;id"), 422, wire.CodeInvalidRequest},
		"password":           {hook("https://a:b@x.example/"), 422, wire.CodeInvalidRequest},
		"overflow":           {`{"kind":"upgrade","clusters":["cluster1"],"hooks":{"stop":"manual"},"timeouts":{"hook":"99999999999999999999h"}}`, 422, wire.CodeInvalidRequest},
		"eight days":         {`{"kind":"upgrade","clusters":["cluster1"],"hooks":{"stop":"manual"},"quiesceTimeout":"192h"}`, 422, wire.CodeInvalidRequest},
		"number as time":     {`{"kind":"upgrade","clusters":["cluster1"],"hooks":{"stop":"manual"},"quiesceTimeout":1}`, 422, wire.CodeInvalidRequest},
		"unknown kind":       {`{"kind":"x","hooks":{}}`, 422, wire.CodeInvalidRequest},
		"no kind":            {`{"clusters":["cluster1"],"hooks":{"stop":"manual"}}`, 422, wire.CodeInvalidRequest},
		"unknown key":        {`{"kind":"upgrade","clusters":["cluster1"],"hooks":{"stop":"manual"},"shell":"id"}`, 422, wire.CodeInvalidRequest},
		"duplicate key":      {`{"kind":"upgrade","kind":"cycle","hooks":{}}`, 400, wire.CodeMalformedBody},
		"huge":               {`{"version":"` + strings.Repeat("x", 2<<20) + `"}`, 413, wire.CodeBodyTooLarge},
		"deep":               {strings.Repeat("[", 100_000), 400, wire.CodeMalformedBody},
		"control characters": {`{"kind":"upgrade","clusters":["cluster1"],"hooks":{"stop":"manual"},"version":"\u001b]0;x\u0007"}`, 422, wire.CodeInvalidRequest},
	} {
		for _, path := range []string{"/v1/workflows", "/v1/workflows/plan"} {
			t.Run(name+path, func(t *testing.T) { wantProblem(t, r.post(path, tc.body), tc.status, tc.code) })
		}
	}
	for _, path := range []string{"/v1/workflows/../tokens/pause", "/v1/workflows/%2e%2e/pause", "/v1/workflows/" + strings.Repeat("a", 500) + "/pause", "/v1/workflows/A!/pause"} {
		if w := r.act(path); w.Code != 404 && w.Code != 422 {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	if n := len(r.work.Operating().Workflows); n != 0 {
		t.Errorf("%d workflows began", n)
	}
	if strings.Contains(r.log.String(), "BUG") {
		t.Errorf("a handler panicked: %s", r.log.String())
	}
}

// TestTooManyWorkflows: the group remembers 50, so not more than 20 are at work.
func TestTooManyWorkflows(t *testing.T) {
	r := newWorkRig(t)
	r.work.set(func(o *fsm.Operating) {
		for i := range 20 {
			o.Workflows = append(o.Workflows, &fsm.Workflow{ID: fmt.Sprint("w", i), Kind: "rebalance", State: "running"})
		}
	})
	wantProblem(t, r.post("/v1/workflows", goodUpgrade), http.StatusConflict, wire.CodeRefused)
	if l := decode[wire.WorkflowList](t, read(r.api, "/v1/workflows")); len(l.Workflows) != 20 { // also those that this version cannot read
		t.Errorf("%d workflows", len(l.Workflows))
	}
}

func FuzzWorkflowRequest(f *testing.F) {
	for _, seed := range []string{goodUpgrade, "", "null", "[]", `{"kind":"cycle","subject":{"cluster":"cluster1","instance":"instance1"},"hooks":{"stop":"exec:a"}}`, `{"kind":"upgrade","clusters":[""],"hooks":{"stop":"http://[::1"}}`} {
		f.Add(seed)
	}
	api := newAPI(f, newNode(f), io.Discard)
	f.Fuzz(func(t *testing.T, body string) {
		whole(t, send(api, "POST", "/v1/workflows/plan", "application/json", strings.NewReader(body)))
	})
}

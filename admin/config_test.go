package admin_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

func put(h http.Handler, path, ifMatch, key, body string) *httptest.ResponseRecorder {
	req := local(httptest.NewRequest("PUT", "http://127.0.0.1:7700"+path, strings.NewReader(body)))
	req.Header.Set("Content-Type", "application/yaml")
	if ifMatch != "" {
		req.Header.Set("If-Match", ifMatch)
	}
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	return serve(h, req)
}

func read(h http.Handler, path string) *httptest.ResponseRecorder {
	return serve(h, local(httptest.NewRequest("GET", "http://127.0.0.1:7700"+path, nil)))
}

func decode[T any](t *testing.T, w *httptest.ResponseRecorder) T {
	t.Helper()
	var v T
	if w.Code >= 300 {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
		t.Fatalf("%v: %s", err, w.Body)
	}
	return v
}

func renamed(name string) string { return strings.Replace(okConfig, "cluster1", name, 1) }

func TestConfigRoundTrip(t *testing.T) {
	r := newRig(t)
	w := put(r.api, "/v1/config?message=first", `"0"`, "", okConfig)
	res := decode[wire.ConfigResult](t, w)
	if res.Revision != 1 || res.Index == 0 || res.AppliedBy != "majority" || res.Unchanged || w.Header().Get("ETag") != `"1"` {
		t.Fatalf("%+v, ETag %s", res, w.Header().Get("ETag"))
	}
	w = read(r.api, "/v1/config")
	if w.Header().Get("ETag") != `"1"` || w.Header().Get("Content-Type") != "application/json" || w.Header().Get("Holdfast-Consistency") != wire.Linearizable || w.Header().Get("Holdfast-Index") == "" {
		t.Errorf("headers %v", w.Header())
	}
	asYAML := local(httptest.NewRequest("GET", "http://127.0.0.1/v1/config", nil))
	asYAML.Header.Set("Accept", "application/yaml, */*;q=0.1")
	y := serve(r.api, asYAML)
	want := r.node.state.Revision().Config.Canonical()
	for _, doc := range []*httptest.ResponseRecorder{w, y} {
		c, err := config.Parse("", doc.Body.Bytes())
		if err != nil || string(c.Canonical()) != string(want) {
			t.Errorf("%s comes back as another configuration: %v", doc.Header().Get("Content-Type"), err)
		}
	}
	if y.Header().Get("Content-Type") != "application/yaml" {
		t.Errorf("content type %q", y.Header().Get("Content-Type"))
	}
	again := local(httptest.NewRequest("GET", "http://127.0.0.1/v1/config", nil))
	again.Header.Set("If-None-Match", `"1"`)
	if w := serve(r.api, again); w.Code != http.StatusNotModified || w.Body.Len() != 0 {
		t.Errorf("If-None-Match: status %d, %d bytes", w.Code, w.Body.Len())
	}
	// The very same configuration makes no new revision.
	if res := decode[wire.ConfigResult](t, put(r.api, "/v1/config", `"1"`, "", okConfig)); !res.Unchanged || res.Revision != 1 {
		t.Errorf("unchanged: %+v", res)
	}
	decode[wire.ConfigResult](t, put(r.api, "/v1/config?message=second", `"1"`, "", renamed("other")))
	h := decode[wire.History](t, read(r.api, "/v1/config/history"))
	if len(h.Revisions) != 2 || h.Revisions[0].Number != 2 || h.Revisions[0].Message != "second" || h.Revisions[1].Actor != "local" {
		t.Errorf("history %+v", h)
	}
	if h := decode[wire.History](t, read(r.api, "/v1/config/history?limit=1")); len(h.Revisions) != 1 {
		t.Errorf("history of one: %+v", h)
	}
	if w := read(r.api, "/v1/config?revision=1"); !strings.Contains(w.Body.String(), "cluster1") || w.Header().Get("ETag") != `"1"` {
		t.Errorf("revision 1: %s", w.Body)
	}
	if w := read(r.api, "/v1/config?revision=0"); w.Code != http.StatusNotFound {
		t.Errorf("revision 0 is not kept, status %d", w.Code)
	}
}

func TestIfMatch(t *testing.T) {
	r := newRig(t)
	decode[wire.ConfigResult](t, put(r.api, "/v1/config", `"0"`, "", okConfig))
	for _, tc := range []struct {
		ifMatch, body string
		status        int
		code          string
	}{
		{"", renamed("a"), 428, wire.CodePreconditionRequired},
		{"1", renamed("a"), 400, wire.CodeInvalidPrecondition},
		{"*", renamed("a"), 400, wire.CodeInvalidPrecondition},
		{`W/"1"`, renamed("a"), 400, wire.CodeInvalidPrecondition},
		{`"1", "2"`, renamed("a"), 400, wire.CodeInvalidPrecondition},
		{`"01"`, renamed("a"), 400, wire.CodeInvalidPrecondition},
		{`"-1"`, renamed("a"), 400, wire.CodeInvalidPrecondition},
		{`"1`, renamed("a"), 400, wire.CodeInvalidPrecondition},
		{`"18446744073709551616"`, renamed("a"), 400, wire.CodeInvalidPrecondition},
		{`"0"`, renamed("a"), 409, wire.CodeRevisionConflict},
		{`"2"`, renamed("a"), 409, wire.CodeRevisionConflict},
		{`"0"`, okConfig, 409, wire.CodeRevisionConflict},
	} {
		w := put(r.api, "/v1/config", tc.ifMatch, "", tc.body)
		p := wantProblem(t, w, tc.status, tc.code)
		if tc.status == 409 && (p.Revision == nil || *p.Revision != 1 || w.Header().Get("ETag") != `"1"`) {
			t.Errorf("a conflict must name the current revision: %+v", p)
		}
	}
	if n := r.node.state.Revision().Number; n != 1 {
		t.Errorf("revision %d after nothing but refusals", n)
	}
}

// TestTwoRacers: of many changes made from one revision exactly one wins.
func TestTwoRacers(t *testing.T) {
	r := newRig(t)
	const racers = 8
	var gate, done sync.WaitGroup
	gate.Add(racers)
	r.node.proposed = func() { gate.Done(); gate.Wait() } // all have read the same revision before the first is applied
	statuses := make([]int, racers)
	for i := range racers {
		done.Go(func() { statuses[i] = put(r.api, "/v1/config", `"0"`, "", renamed(string(rune('a'+i)))).Code })
	}
	done.Wait()
	won := 0
	for _, s := range statuses {
		switch s {
		case http.StatusOK:
			won++
		case http.StatusConflict:
		default:
			t.Errorf("status %d", s)
		}
	}
	if won != 1 || r.node.state.Revision().Number != 1 {
		t.Errorf("%d of %d changes won, revision %d", won, racers, r.node.state.Revision().Number)
	}
}

// TestIdempotencyKey: the answer to a lost request is given again, also after others have changed the configuration.
func TestIdempotencyKey(t *testing.T) {
	r := newRig(t)
	first := decode[wire.ConfigResult](t, put(r.api, "/v1/config", `"0"`, "k1", okConfig))
	decode[wire.ConfigResult](t, put(r.api, "/v1/config", `"1"`, "k2", renamed("other")))
	again := decode[wire.ConfigResult](t, put(r.api, "/v1/config", `"0"`, "k1", okConfig))
	if again.Revision != first.Revision {
		t.Errorf("repeated: revision %d, first %d", again.Revision, first.Revision)
	}
	if n := r.node.state.Revision().Number; n != 2 {
		t.Errorf("revision %d: the repetition was applied", n)
	}
	// The same key for another change is another request.
	wantProblem(t, put(r.api, "/v1/config", `"0"`, "k1", renamed("third")), http.StatusConflict, wire.CodeRevisionConflict)
	wantProblem(t, put(r.api, "/v1/config", `"0"`, strings.Repeat("k", 256), okConfig), http.StatusUnprocessableEntity, wire.CodeInvalidRequest)
}

func TestAllFaultsAtOnce(t *testing.T) {
	r := newRig(t)
	body := strings.Join([]string{
		"listeners:",                         // 1
		"  - {name: web, address: nonsense}", // 2
		"clusters:",                          // 3
		"  - name: cluster1",                 // 4
		"    policy: best",                   // 5
		"    colour: red",                    // 6
		"    instances:",                     // 7
		"      - {name: instance1, listeners: [], weight: 5000}", // 8
	}, "\n")
	for _, path := range []string{"PUT /v1/config", "POST /v1/config/validate"} {
		method, target, _ := strings.Cut(path, " ")
		p := wantProblem(t, send(r.api, method, target, "application/yaml", strings.NewReader(body)), http.StatusUnprocessableEntity, wire.CodeConfigInvalid)
		lines := map[int]bool{}
		for _, e := range p.Errors {
			lines[e.Line] = true
			if e.Line == 0 || e.Column == 0 || e.Message == "" {
				t.Errorf("fault without place or text: %+v", e)
			}
		}
		for _, line := range []int{2, 5, 6, 8} {
			if !lines[line] {
				t.Errorf("%s: the fault in line %d is not reported: %+v", path, line, p.Errors)
			}
		}
	}
}

func TestWarnings(t *testing.T) {
	r := newRig(t)
	decode[wire.ConfigResult](t, put(r.api, "/v1/config", `"0"`, "", okConfig))
	id, ok := r.node.state.InstanceID("cluster1", "instance2")
	if !ok {
		t.Fatal("instance2 has no id")
	}
	r.node.sessions(t, fsm.SessionOp{Kind: fsm.OpAssign, Key: fsm.Key{1}, Instance: id})
	less := strings.Replace(okConfig, `      - {name: instance2, listeners: ["http://127.0.0.1:9002"]}`, "", 1)
	v := decode[wire.ValidateResult](t, send(r.api, "POST", "/v1/config/validate", "application/yaml", strings.NewReader(less)))
	if !v.Valid || !strings.Contains(strings.Join(v.Warnings, "\n"), "instance2 of cluster cluster1 is removed: its 1 session fails over") {
		t.Errorf("%+v", v)
	}
	if r.node.state.Revision().Number != 1 {
		t.Error("a check changed something")
	}
}

func TestWaitForAllNodes(t *testing.T) {
	r := newRig(t)
	res := decode[wire.ConfigResult](t, put(r.api, "/v1/config?wait=all", `"0"`, "", okConfig))
	if res.AppliedBy != "all" {
		t.Errorf("%+v", res)
	}
	behind := []error{errors.New("node n2 has not applied 9 in time"), errors.New("node n4 has not applied 9: connection refused")}
	four := slices.Concat(behind, behind)
	for i, c := range []struct {
		behind []error
		want   string
	}{
		{behind, ": node n2 has not applied 9 in time; node n4 has not applied 9: connection refused"}, // SUN-84: all who lag behind
		{four, "in time; node n4 has not applied 9: connection refused"},
		{slices.Concat(four, behind), "in time; and 1 more"},
	} {
		r.node.waitErr = errors.Join(c.behind...)
		w := put(r.api, "/v1/config?wait=all&waitSeconds=1", fmt.Sprintf(`"%d"`, i+1), "", renamed(fmt.Sprint("other", i)))
		res := decode[wire.ConfigResult](t, w)
		if w.Code != http.StatusAccepted || res.AppliedBy != "majority" || res.Revision != uint64(i+2) || len(res.Behind) != len(c.behind) || res.Behind[0] != behind[0].Error() {
			t.Errorf("status %d, %+v", w.Code, res)
		}
		if got := strings.Join(res.Warnings, "\n"); !strings.HasSuffix(got, c.want) {
			t.Errorf("who is behind: %q, want %q at its end", got, c.want)
		}
	}
	wantProblem(t, put(r.api, "/v1/config?wait=some", `"4"`, "", okConfig), http.StatusUnprocessableEntity, wire.CodeInvalidRequest)
}

// TestWithoutQuorum: writes and fresh reads are refused after QuorumWait, not CommitWait, stale reads and the status are answered.
func TestWithoutQuorum(t *testing.T) {
	r := newRig(t)
	r.node.lost.Store(true)
	for _, op := range operations(t, r.api) {
		if op.path == "/v1/follow" { // what this node knows of the log, whoever leads; the tests of follow_test.go have its answers
			continue
		}
		start := time.Now()
		w := serve(r.api, local(httptest.NewRequest(op.method, "http://127.0.0.1"+op.path, nil)))
		for _, good := range writes {
			if good.method == op.method && good.path == op.path {
				w = send(r.api, op.method, op.path, good.mediaType, strings.NewReader(good.good))
			}
		}
		if body := workBodies[op.path]; body != "" && op.method == "POST" {
			w = send(r.api, "POST", op.path, "application/json", strings.NewReader(body))
		}
		if op.role == wire.RoleApplication || op.method == "DELETE" && op.path == "/v1/kv/cluster1" {
			w = serve(r.api, storeRequest(op.method, op.path))
		}
		if op.path == "/v1/restore" {
			w = postRestore(r.api, "group=test", mediaArchive, "x")
		}
		if op.path == "/v1/files/n1" && op.method == "PUT" {
			w = send(r.api, op.method, op.path, "application/octet-stream", strings.NewReader("x"))
		}
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("%s %s took %v", op.method, op.path, took)
		}
		switch op.path {
		case "/healthz", "/readyz", "/metrics", "/v1/openapi.json", "/v1/config/validate", "/v1/whoami":
			if w.Code != http.StatusOK {
				t.Errorf("%s %s: status %d", op.method, op.path, w.Code)
			}
		case "/v1/status", "/v1/nodes", "/v1/quiesces":
			if w.Code != http.StatusOK || w.Header().Get("Holdfast-Consistency") != wire.Stale {
				t.Errorf("%s: status %d, %v", op.path, w.Code, w.Header())
			}
		default:
			wantProblem(t, w, http.StatusServiceUnavailable, wire.CodeNoQuorum)
			if w.Header().Get("Retry-After") == "" {
				t.Errorf("%s %s: 503 without Retry-After", op.method, op.path)
			}
		}
	}
	for _, path := range []string{"/v1/config", "/v1/sessions", "/v1/tokens", "/v1/config/history"} {
		if w := read(r.api, path+"?consistency=stale"); w.Code != http.StatusOK || w.Header().Get("Holdfast-Consistency") != wire.Stale {
			t.Errorf("%s stale: status %d, %v", path, w.Code, w.Header())
		}
	}
	s := decode[wire.Status](t, read(r.api, "/v1/status"))
	if s.Quorum || len(s.Problems) == 0 || !strings.Contains(s.Problems[0], "no quorum") {
		t.Errorf("%+v", s)
	}
}

// TestInternalErrorsStayInside: what went wrong is in the log, not in the answer.
func TestInternalErrorsStayInside(t *testing.T) {
	r := newRig(t)
	r.node.readyErr = errors.Join(errors.New("listener web: address in use"), errors.New("no quorum"))
	p := wantProblem(t, read(r.api, "/readyz"), http.StatusServiceUnavailable, wire.CodeNotReady)
	if len(p.Errors) != 2 {
		t.Errorf("%+v", p)
	}
	r.node.proposed = func() { panic("secret-path") }
	w := put(r.api, "/v1/config", `"0"`, "", okConfig)
	wantProblem(t, w, http.StatusInternalServerError, wire.CodeInternal)
	if strings.Contains(w.Body.String(), "secret-path") || !strings.Contains(r.log.String(), "secret-path") {
		t.Error("the reason belongs into the log, and only there")
	}
}

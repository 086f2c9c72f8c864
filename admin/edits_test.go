package admin_test

import (
	"fmt"
	"math"
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

// post sends a JSON body, with a header when there are two more strings.
func post(h http.Handler, method, path, body string, header ...string) *httptest.ResponseRecorder {
	req := local(httptest.NewRequest(method, "http://127.0.0.1:7700"+path, strings.NewReader(body)))
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	return serve(h, req)
}

// configured is a rig whose group has okConfig.
func configured(t *testing.T) *rig {
	t.Helper()
	r := newRig(t)
	r.node.now = r.node.now.Add(time.Hour) // ahead of this machine's clock, whatever the machine: then replicated time is what counts
	decode[wire.ConfigResult](t, put(r.api, "/v1/config", `"0"`, "", okConfig))
	return r
}

const disable1 = `{"edits":[{"op":"disable","kind":"instance","cluster":"cluster1","name":"instance1"}]}`

// TestEditsOfManyClients: 16 of them at two nodes, all at once. None is lost, none is applied twice; one that others were always faster than is told to try again, which happens on slow machines.
func TestEditsOfManyClients(t *testing.T) {
	r := configured(t)
	r.node.now = r.node.now.Add(-time.Hour)
	nodes := []http.Handler{r.api, newAPI(t, r.node, &syncBuffer{})}
	const clients, each = 16, 4
	var all sync.WaitGroup
	for i := range clients {
		all.Go(func() {
			for k := range each {
				body := fmt.Sprintf(`{"edits":[{"op":"add","kind":"module","cluster":"cluster1","contextRoot":"/m/%d-%d"}]}`, i, k)
				w := post(nodes[i%2], "POST", "/v1/config/edits", body, "Idempotency-Key", fmt.Sprintf("k-%d-%d", i, k))
				for range 5 {
					if w.Code != 409 || !strings.Contains(w.Body.String(), "Try again") {
						break
					}
					w = post(nodes[i%2], "POST", "/v1/config/edits", body, "Idempotency-Key", fmt.Sprintf("k-%d-%d", i, k))
				}
				if w.Code != 200 {
					t.Errorf("client %d: %d %s", i, w.Code, w.Body)
				}
			}
		})
	}
	all.Wait()
	rev := r.node.state.Revision()
	if n := len(rev.Config.Clusters[0].Modules); n != 1+clients*each || rev.Number != 1+clients*each {
		t.Errorf("%d modules in revision %d, want %d of each", n, rev.Number, 1+clients*each)
	}
}

// TestEditsAreOneTransaction: SUN-85. All hold in one revision, or none does.
func TestEditsAreOneTransaction(t *testing.T) {
	r := configured(t)
	w := post(r.api, "POST", "/v1/config/edits", `{"message":"both","edits":[
		{"op":"disable","kind":"instance","cluster":"cluster1","name":"instance1"},
		{"op":"set","kind":"instance","cluster":"cluster1","name":"instance2","values":{"weight":7}},
		{"op":"add","kind":"module","cluster":"cluster1","contextRoot":"/shop"}]}`)
	res := decode[wire.ConfigResult](t, w)
	cl := r.node.state.Revision().Config.Clusters[0]
	if res.Revision != 2 || w.Header().Get("ETag") != `"2"` || cl.Instances[0].Enabled || cl.Instances[1].Weight != 7 || len(cl.Modules) != 2 {
		t.Errorf("%+v %+v", res, cl)
	}
	if rev := r.node.state.Revision(); rev.Message != "both" || rev.Actor != "local" {
		t.Errorf("%+v", rev)
	}
	p := wantProblem(t, post(r.api, "POST", "/v1/config/edits", `{"edits":[
		{"op":"enable","kind":"instance","cluster":"cluster1","name":"instance1"},
		{"op":"set","kind":"instance","cluster":"cluster1","name":"instance9","values":{"weight":7}}]}`), 422, wire.CodeConfigInvalid)
	if len(p.Errors) != 1 || !strings.HasPrefix(p.Errors[0].Location, "body.edits[1]") || !strings.Contains(p.Errors[0].Message, "instance9") {
		t.Errorf("%+v", p.Errors)
	}
	if rev := r.node.state.Revision(); rev.Number != 2 || rev.Config.Clusters[0].Instances[0].Enabled {
		t.Errorf("a refused transaction changed something: %+v", rev)
	}
	if res := decode[wire.ConfigResult](t, post(r.api, "POST", "/v1/config/edits", disable1)); !res.Unchanged || res.Revision != 2 {
		t.Errorf("disabled twice: %+v", res)
	}
}

// TestEditsMeetOtherChanges: they are made again to what has become current, unless If-Match says what must be.
func TestEditsMeetOtherChanges(t *testing.T) {
	r := configured(t)
	interfere := 2
	r.node.proposed = func() {
		if interfere--; interfere < 0 {
			return
		}
		r.node.mu.Lock()
		defer r.node.mu.Unlock()
		rev := r.node.state.Revision()
		next := rev.Config.Clone()
		next.Clusters[0].Instances[1].Weight++
		r.node.apply(t, &fsm.ConfigSet{RequestID: fsm.RequestID{42, byte(rev.Number)}, Expect: rev.Number, Config: next})
	}
	res := decode[wire.ConfigResult](t, post(r.api, "POST", "/v1/config/edits", disable1))
	if cl := r.node.state.Revision().Config.Clusters[0]; res.Revision != 4 || cl.Instances[0].Enabled || cl.Instances[1].Weight != 3 {
		t.Errorf("%+v: a change was lost: %+v", res, cl.Instances)
	}
	interfere = 1
	enable := strings.Replace(disable1, "disable", "enable", 1)
	p := wantProblem(t, post(r.api, "POST", "/v1/config/edits", enable, "If-Match", `"4"`), 409, wire.CodeRevisionConflict)
	if p.Revision == nil || *p.Revision != 5 {
		t.Errorf("%+v", p)
	}
	interfere = 1000
	wantProblem(t, post(r.api, "POST", "/v1/config/edits", enable), 409, wire.CodeRefused)
	if r.node.state.Revision().Config.Clusters[0].Instances[0].Enabled {
		t.Error("a refused edit was made")
	}
}

// TestEditsAreMadeOnce: the same request with the same key, also when its edits cannot be made a second time, and when its first attempt lost a race.
func TestEditsAreMadeOnce(t *testing.T) {
	r := configured(t)
	interfere := true
	r.node.proposed = func() {
		if !interfere {
			return
		}
		interfere = false
		r.node.mu.Lock()
		defer r.node.mu.Unlock()
		rev := r.node.state.Revision()
		next := rev.Config.Clone()
		next.Clusters[0].Instances[1].Weight++
		r.node.apply(t, &fsm.ConfigSet{RequestID: fsm.RequestID{42}, Expect: rev.Number, Config: next})
	}
	for _, body := range []string{
		`{"edits":[{"op":"add","kind":"cluster","name":"c2"}]}`,
		`{"edits":[{"op":"remove","kind":"cluster","name":"c2"}]}`,
	} {
		key := []string{"Idempotency-Key", "k" + body}
		first := decode[wire.ConfigResult](t, post(r.api, "POST", "/v1/config/edits", body, key...))
		again := decode[wire.ConfigResult](t, post(r.api, "POST", "/v1/config/edits", body, key...))
		if again.Revision != first.Revision || r.node.state.Revision().Number != first.Revision {
			t.Errorf("%s: first %+v, again %+v, now at %d", body, first, again, r.node.state.Revision().Number)
		}
		wantProblem(t, post(r.api, "POST", "/v1/config/edits", body, "Idempotency-Key", "another"), 422, wire.CodeConfigInvalid)
	}
}

// TestWhatAChangeSaysToTheGroup: names become subjects, and the answer says what happened.
func TestWhatAChangeSaysToTheGroup(t *testing.T) {
	r := configured(t)
	one := fsm.Subject{Cluster: "cluster1", Instance: "instance1"}
	two := fsm.Subject{Cluster: "cluster1", Instance: "instance2"}
	root := fsm.Subject{Cluster: "cluster1", ContextRoot: "/fortune"}
	less := strings.Replace(strings.Replace(okConfig, `9001"]`, `9001"], enabled: false`, 1), "/fortune", "/fortune, enabled: false", 1)
	for _, tc := range []struct {
		name, method, path, body string
		now, stopped             []fsm.Subject
	}{
		{"nothing named", "POST", "/v1/config/edits", disable1, nil, nil},
		{"now", "POST", "/v1/config/edits", `{"now":[{"cluster":"cluster1","instance":"instance1"}],` + disable1[1:], []fsm.Subject{one}, nil},
		{"now all", "POST", "/v1/config/edits", `{"nowAll":true,` + disable1[1:], []fsm.Subject{one}, nil},
		{"a cluster", "POST", "/v1/config/edits", `{"now":[{"cluster":"cluster1"}],` + disable1[1:], []fsm.Subject{one, two}, nil},
		{"stopped", "POST", "/v1/config/edits", `{"stopped":[{"cluster":"cluster1","contextRoot":"/fortune"}],` + disable1[1:], nil, []fsm.Subject{root}},
		{"whole, all", "PUT", "/v1/config?now=all", less, []fsm.Subject{one, root}, nil},
		{"whole, list", "PUT", "/v1/config?now=cluster1/instance1,cluster1:/fortune", less, []fsm.Subject{one, root}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r.node.answer = func(c fsm.Command) (fsm.Result, bool) {
				return fsm.Result{Revision: 9, Effect: &fsm.Effect{
					Started: []fsm.QuiesceStart{{Subject: one, Timeout: config.Duration(31 * time.Minute), Sessions: 3}}, Stopped: []fsm.Displaced{{Subject: two, Why: "removed", Sessions: 2}}}}, true
			}
			w := put(r.api, tc.path, `"1"`, "", tc.body)
			if tc.method == "POST" {
				w = post(r.api, "POST", tc.path, tc.body)
			}
			res := decode[wire.ConfigResult](t, w)
			c := last[*fsm.ConfigChange](t, r.node)
			if !slices.Equal(c.Now, tc.now) || !slices.Equal(c.Stopped, tc.stopped) || c.Expect != 1 || c.Actor != "local" {
				t.Errorf("proposed now %v stopped %v expect %d", c.Now, c.Stopped, c.Expect)
			}
			e := res.Effect
			if e == nil || e.Counts != (wire.EffectCounts{Started: 1, Stopped: 1, Sessions: 2}) || e.Started[0].Instance != "instance1" || e.Started[0].Until.Sub(r.node.view.Now()) != 31*time.Minute ||
				e.Stopped[0].Why != "removed" {
				t.Errorf("effect %+v", e)
			}
		})
	}
	for _, path := range []string{"now=cluster1/nobody", "now=cluster9", "now=/x", "now=cluster1:fortune", "now=cluster1/", "now=" + strings.Repeat("cluster1,", 300) + "cluster1"} {
		wantProblem(t, put(r.api, "/v1/config?"+path, `"1"`, "", less), 422, wire.CodeInvalidRequest)
	}
	for _, body := range []string{`{"now":[{"cluster":"cluster1","instance":"x"}],` + disable1[1:], `{"now":[{"cluster":"cluster1","instance":"instance1","contextRoot":"/fortune"}],` + disable1[1:],
		`{"stopped":[{"cluster":"x"}],` + disable1[1:]} {
		wantProblem(t, post(r.api, "POST", "/v1/config/edits", body), 422, wire.CodeInvalidRequest)
	}
}

// TestLongEffectsAreCut: the lists are, the counts are not.
func TestLongEffectsAreCut(t *testing.T) {
	r := configured(t)
	r.node.answer = func(fsm.Command) (fsm.Result, bool) {
		e := fsm.Effect{}
		for i := range 250 {
			s := fsm.Subject{Cluster: "c", Instance: fmt.Sprint("i", i)}
			e.Started = append(e.Started, fsm.QuiesceStart{Subject: s})
			e.Stopped = append(e.Stopped, fsm.Displaced{Subject: s, Sessions: 2})
		}
		return fsm.Result{Revision: 2, Effect: &e}, true
	}
	e := decode[wire.ConfigResult](t, post(r.api, "POST", "/v1/config/edits", disable1)).Effect
	if len(e.Started) != 100 || len(e.Stopped) != 100 || e.Counts.Started != 250 || e.Counts.Stopped != 250 || e.Counts.Sessions != 500 {
		t.Errorf("%d started, %d stopped, counts %+v", len(e.Started), len(e.Stopped), e.Counts)
	}
}

// TestRollback: any revision that is kept becomes a new one.
func TestRollback(t *testing.T) {
	r := configured(t)
	decode[wire.ConfigResult](t, put(r.api, "/v1/config", `"1"`, "", renamed("other")))
	res := decode[wire.ConfigResult](t, post(r.api, "POST", "/v1/config/rollback", `{"revision":1}`))
	rev := r.node.state.Revision()
	if res.Revision != 3 || rev.Config.Clusters[0].Name != "cluster1" || rev.Message != "back to revision 1" {
		t.Errorf("%+v %+v", res, rev)
	}
	wantProblem(t, post(r.api, "POST", "/v1/config/rollback", `{"revision":77}`), 404, wire.CodeNotFound)
	wantProblem(t, post(r.api, "POST", "/v1/config/rollback", `{"revision":2}`, "If-Match", `"1"`), 409, wire.CodeRevisionConflict)
	wantProblem(t, post(r.api, "POST", "/v1/config/rollback", `{"revision":-2}`), 422, wire.CodeInvalidRequest)
	if w := read(r.api, "/v1/config/revisions/2"); !strings.Contains(w.Body.String(), `"other"`) || w.Header().Get("ETag") != `"2"` {
		t.Errorf("revision 2: %s", w.Body)
	}
	wantProblem(t, read(r.api, "/v1/config/revisions/9"), 404, wire.CodeNotFound)
	wantProblem(t, read(r.api, "/v1/config/revisions/x"), 422, wire.CodeInvalidRequest)
}

// TestPlan: differences, effect, warnings; nothing changes.
func TestPlan(t *testing.T) {
	r := configured(t)
	var asked []fsm.Subject
	var next *config.Config
	r.node.view.plan = func(c *config.Config, now []fsm.Subject) fsm.Effect {
		next, asked = c, now
		return fsm.Effect{Started: []fsm.QuiesceStart{{Subject: fsm.Subject{Cluster: "cluster1", Instance: "instance1"}, Timeout: config.Duration(time.Minute), Sessions: 4}}}
	}
	less := strings.Replace(okConfig, `9001"]`, `9001"], enabled: false`, 1)
	for name, w := range map[string]*httptest.ResponseRecorder{
		"whole": send(r.api, "POST", "/v1/config/plan?now=all", "application/yaml", strings.NewReader(less)),
		"edits": post(r.api, "POST", "/v1/config/plan", `{"nowAll":true,`+disable1[1:]),
	} {
		p := decode[wire.Plan](t, w)
		if p.Revision != 1 || w.Header().Get("ETag") != `"1"` || p.Unchanged || p.ChangeCount != 1 || len(p.Changes) != 1 || p.Changes[0].Field != "enabled" || p.Changes[0].Name != "instance1" {
			t.Errorf("%s: %+v", name, p)
		}
		if s := p.Effect.Started; len(s) != 1 || s[0].Sessions != 4 || s[0].Until.Sub(r.node.view.Now()) != time.Minute {
			t.Errorf("%s: effect %+v", name, p.Effect)
		}
		if next.Clusters[0].Instances[0].Enabled || len(asked) != 1 {
			t.Errorf("%s: the state was asked about %v now %v", name, next, asked)
		}
	}
	if p := decode[wire.Plan](t, send(r.api, "POST", "/v1/config/plan", "application/yaml", strings.NewReader(okConfig))); !p.Unchanged || p.ChangeCount != 0 {
		t.Errorf("%+v", p)
	}
	if p := decode[wire.Plan](t, post(r.api, "POST", "/v1/config/plan", `{"revision":1}`)); !p.Unchanged {
		t.Errorf("%+v", p)
	}
	if n := r.node.state.Revision().Number; n != 1 {
		t.Errorf("revision %d after nothing but plans", n)
	}
	for body, code := range map[string]string{
		`{"edits":[]}`: wire.CodeInvalidRequest, `{"edits":[],"edits":[]}`: wire.CodeMalformedBody, `{"revision":1,` + disable1[1:]: wire.CodeInvalidRequest, `{"edits":1}`: wire.CodeMalformedBody,
		`{"more":1,` + disable1[1:]: wire.CodeInvalidRequest, `{"edits":[{"op":"disable","kind":"instance","cluster":"cluster1","name":"nobody"}]}`: wire.CodeConfigInvalid,
		`{"edits":[{"op":"disable","knd":"instance"}]}`: wire.CodeInvalidRequest, `{"revision":9}`: wire.CodeNotFound, `{"revisions":9}`: wire.CodeConfigInvalid, `[]`: wire.CodeConfigInvalid,
	} {
		w := post(r.api, "POST", "/v1/config/plan", body)
		wantProblem(t, w, map[string]int{wire.CodeInvalidRequest: 422, wire.CodeMalformedBody: 400, wire.CodeConfigInvalid: 422, wire.CodeNotFound: 404}[code], code)
	}
}

// TestSchedules: TIP-22. A change with at waits for its time.
func TestSchedules(t *testing.T) {
	r := configured(t).busy()
	at := r.node.now.Add(time.Hour).Format(time.RFC3339)
	r.node.view.operating(func(*fsm.Operating) {})
	w := post(r.api, "POST", "/v1/config/edits?at="+at, disable1, "Idempotency-Key", "k")
	res := decode[wire.ConfigResult](t, w)
	set := last[*fsm.ScheduleSet](t, r.node)
	if w.Code != http.StatusAccepted || res.Schedule == nil || res.Schedule.Whole || len(res.Schedule.Edits) != 1 || res.Revision != 1 || set.Schedule.Config != nil || set.Schedule.ID != res.Schedule.ID {
		t.Errorf("status %d %+v, proposed %+v", w.Code, res, set)
	}
	again := decode[wire.ConfigResult](t, post(r.api, "POST", "/v1/config/edits?at="+at, disable1, "Idempotency-Key", "k"))
	if again.Schedule.ID != res.Schedule.ID {
		t.Error("the same request has another schedule")
	}
	w = put(r.api, "/v1/config?now=all&at="+at, `"1"`, "", strings.Replace(okConfig, `9001"]`, `9001"], enabled: false`, 1))
	if res := decode[wire.ConfigResult](t, w); w.Code != http.StatusAccepted || !res.Schedule.Whole || res.Schedule.Expect != 1 || len(res.Schedule.Now) != 1 {
		t.Errorf("status %d %+v", w.Code, res.Schedule)
	}
	stored := last[*fsm.ScheduleSet](t, r.node).Schedule
	wantProblem(t, put(r.api, "/v1/config?at="+at, `"7"`, "", okConfig), 409, wire.CodeRevisionConflict)
	for _, q := range []string{"at=yesterday", "at=2001-01-01T00:00:00Z", "at=2999-01-01T00:00:00Z", "at=" + at + "&wait=all"} {
		wantProblem(t, post(r.api, "POST", "/v1/config/edits?"+q, disable1), 422, wire.CodeInvalidRequest)
	}
	wantProblem(t, post(r.api, "POST", "/v1/config/edits?at="+at, `{"stopped":[{"cluster":"cluster1"}],`+disable1[1:]), 422, wire.CodeInvalidRequest)
	if n := r.node.state.Revision().Number; n != 1 {
		t.Errorf("revision %d: a scheduled change was made at once", n)
	}

	r.node.view.operating(func(o *fsm.Operating) { o.Schedules = []fsm.Schedule{stored} })
	if l := decode[wire.ScheduleList](t, read(r.api, "/v1/schedules")); len(l.Schedules) != 1 || l.Schedules[0].ID != stored.ID || !l.Schedules[0].At.Equal(stored.At) {
		t.Errorf("%+v", l)
	}
	if s := decode[wire.Schedule](t, read(r.api, "/v1/schedules/"+stored.ID)); s.ID != stored.ID {
		t.Errorf("%+v", s)
	}
	if s := decode[wire.Status](t, read(r.api, "/v1/status")); len(s.Schedules) != 1 {
		t.Errorf("%+v", s.Schedules)
	}
	wantProblem(t, read(r.api, "/v1/schedules/nope"), 404, wire.CodeNotFound)
	if w := post(r.api, "DELETE", "/v1/schedules/"+stored.ID, ""); w.Code != http.StatusNoContent || last[*fsm.ScheduleDrop](t, r.node).ID != stored.ID {
		t.Errorf("status %d", w.Code)
	}
	r.node.answer = func(fsm.Command) (fsm.Result, bool) { return fsm.Result{Code: fsm.CodeAbsent}, true }
	wantProblem(t, post(r.api, "DELETE", "/v1/schedules/nope", ""), 404, wire.CodeNotFound)
}

// TestGuardOfRemoval: SUN-79. The group decides whether what is removed has been quiesced.
func TestGuardOfRemoval(t *testing.T) {
	r := configured(t)
	r.node.answer = func(c fsm.Command) (fsm.Result, bool) {
		if len(c.(*fsm.ConfigChange).Stopped) > 0 {
			return fsm.Result{Code: fsm.CodeInvalid, Message: "instance1 of cluster cluster1 is not disabled"}, true
		}
		return fsm.Result{Revision: 2}, true
	}
	remove := `"edits":[{"op":"remove","kind":"instance","cluster":"cluster1","name":"instance1"}]}`
	p := wantProblem(t, post(r.api, "POST", "/v1/config/edits", `{"stopped":[{"cluster":"cluster1","instance":"instance1"}],`+remove), 409, wire.CodeRefused)
	if !strings.Contains(p.Detail, "instance1 of cluster cluster1 is not disabled") {
		t.Error(p.Detail)
	}
	decode[wire.ConfigResult](t, post(r.api, "POST", "/v1/config/edits", "{"+remove))
}

// TestIDsOfProbesNeverMatch: a probe for a repeated request must not be able to change anything.
func TestIDsOfProbesNeverMatch(t *testing.T) {
	r := configured(t)
	body := `{"edits":[{"op":"remove","kind":"cluster","name":"nope"}]}`
	wantProblem(t, post(r.api, "POST", "/v1/config/edits", body, "Idempotency-Key", "k"), 422, wire.CodeConfigInvalid)
	if c := last[*fsm.ConfigChange](t, r.node); c.Expect != math.MaxUint64 || r.node.state.Revision().Number != 1 {
		t.Errorf("a probe that expects revision %d; the current one is %d", c.Expect, r.node.state.Revision().Number)
	}
}

// TestEditsWarnOfWhatTheyBring: what was unusual before them is no news.
func TestEditsWarnOfWhatTheyBring(t *testing.T) {
	r := newRig(t)
	if res := decode[wire.ConfigResult](t, put(r.api, "/v1/config", `"0"`, "", "clusters: [{name: a}]")); !strings.Contains(strings.Join(res.Warnings, "\n"), `"a"`) {
		t.Fatalf("no warning of a cluster without anything: %q", res.Warnings)
	}
	res := decode[wire.ConfigResult](t, post(r.api, "POST", "/v1/config/edits", `{"edits":[{"op":"add","kind":"cluster","name":"b"}]}`))
	if all := strings.Join(res.Warnings, "\n"); !strings.Contains(all, `"b"`) || strings.Contains(all, `"a"`) {
		t.Errorf("%q", res.Warnings)
	}
}

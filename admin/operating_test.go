package admin_test

import (
	"fmt"
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

var (
	quiescing1 = fsm.Subject{Cluster: "cluster1", Instance: "instance1"}
	fortune    = fsm.Subject{Cluster: "cluster1", ContextRoot: "/fortune"}
)

// twoQuiesces puts into force that one change, of id 7, has disabled an instance and a module ten minutes ago.
func twoQuiesces(t *testing.T) *rig {
	t.Helper()
	r := configured(t).busy()
	start := r.node.view.Now().Add(-10 * time.Minute)
	r.node.view.left = map[fsm.Subject]int{fortune: 5}
	r.node.view.operating(func(o *fsm.Operating) {
		c := o.Config.Clone()
		c.Clusters[0].Instances[0].Enabled, c.Clusters[0].Modules[0].Enabled = false, false
		o.Config, o.Index = c, 50
		o.Quiesces = []fsm.Quiesce{
			{ID: 7, Subject: quiescing1, Started: start, Deadline: start.Add(31 * time.Minute), Actor: "token ab", Revision: 2},
			{ID: 7, Subject: fortune, Started: start, Deadline: start.Add(5 * time.Minute), Revision: 2},
		}
	})
	id, _ := r.node.state.InstanceID("cluster1", "instance1")
	r.node.sessions(t, fsm.SessionOp{Kind: fsm.OpAssign, Key: fsm.Key{1}, Instance: id}, fsm.SessionOp{Kind: fsm.OpAssign, Key: fsm.Key{2}, Instance: id})
	r.node.health = []admin.InstanceStatus{{Cluster: "cluster1", Instance: "instance1", Up: true, InFlight: 2}}
	r.node.members = []admin.Member{
		{Name: "n1", Self: true, Reachable: true, Ready: true, Role: "leader", InForce: 50, Instances: r.node.health, Modules: []admin.ModuleStatus{{Cluster: "cluster1", ContextRoot: "/fortune", InFlight: 1}}},
		{Name: "n2", Reachable: true, Ready: true, InForce: 49, Instances: []admin.InstanceStatus{{Cluster: "cluster1", Instance: "instance1", Up: true, InFlight: 3}},
			Modules: []admin.ModuleStatus{{Cluster: "cluster1", ContextRoot: "/fortune", InFlight: 4}}},
		{Name: "n3", Err: "connection refused"},
	}
	return r
}

// TestQuiescesSayWhatIsLeft: sessions from the table, requests in flight over all nodes that answer, time from the replicated clock.
func TestQuiescesSayWhatIsLeft(t *testing.T) {
	r := twoQuiesces(t)
	l := decode[wire.QuiesceList](t, read(r.api, "/v1/quiesces")).Quiesces
	if len(l) != 2 {
		t.Fatalf("%+v", l)
	}
	if q := l[0]; q.ID != 7 || q.Kind != "instance" || q.Name != "instance1" || q.Sessions != 2 || q.InFlight != 5 || time.Duration(q.Remains) != 21*time.Minute || q.Actor != "token ab" {
		t.Errorf("%+v", q)
	}
	if q := l[1]; q.Kind != "module" || q.Name != "/fortune" || q.Sessions != 5 || q.InFlight != 5 || q.Remains != 0 {
		t.Errorf("%+v", q)
	}
	s := decode[wire.Status](t, read(r.api, "/v1/status"))
	if len(s.Quiesces) != 2 || s.OperatingIndex != 50 || s.Nodes[0].InForce != 50 || s.Nodes[1].InForce != 49 {
		t.Errorf("%+v", s)
	}
	if i := s.Clusters[0].Instances[0]; i.Admin != wire.AdminQuiescing || i.InFlight != 5 || i.Sessions != 2 {
		t.Errorf("%+v", i)
	}
	if m := s.Clusters[0].Modules[0]; m.Admin != wire.AdminQuiescing || m.Enabled || m.Sessions != 5 || m.InFlight != 5 {
		t.Errorf("%+v", m)
	}
}

// TestSetQuiesce: SUN-66. Remaining counts from now, total from the start; it is the state that does the sum, so each node gets the same.
func TestSetQuiesce(t *testing.T) {
	r := twoQuiesces(t)
	l := decode[wire.QuiesceList](t, post(r.api, "PATCH", "/v1/quiesces/7", `{"subject":{"cluster":"cluster1","instance":"instance1"},"remaining":"5m"}`))
	c := last[*fsm.QuiesceSet](t, r.node)
	if len(l.Quiesces) != 1 || c.ID != 7 || c.Subject != quiescing1 || c.Remaining != config.Duration(5*time.Minute) || c.Total != 0 || c.Actor != "local" {
		t.Errorf("%+v, proposed %+v", l, c)
	}
	before := len(r.node.commands)
	if l := decode[wire.QuiesceList](t, post(r.api, "PATCH", "/v1/quiesces/7", `{"total":"15m"}`)); len(l.Quiesces) != 2 || len(r.node.commands) != before+2 {
		t.Errorf("%+v: %d commands for two quiesces", l, len(r.node.commands)-before)
	}
	if c := last[*fsm.QuiesceSet](t, r.node); c.Total != config.Duration(15*time.Minute) || c.Remaining != 0 || c.Subject != fortune {
		t.Errorf("%+v", c)
	}
	for _, body := range []string{`{}`, `{"remaining":"5m","total":"5m"}`, `{"remaining":"5"}`, `{"remaining":"-5m"}`, `{"remaining":"0s"}`, `{"total":"9000h"}`, `{"total":"soon"}`, `{"remaining":5}`,
		`{"remaining":"5m","subject":{"instance":"instance1"}}`, `{"remaining":"5m","more":1}`} {
		wantProblem(t, post(r.api, "PATCH", "/v1/quiesces/7", body), 422, wire.CodeInvalidRequest)
	}
	wantProblem(t, post(r.api, "PATCH", "/v1/quiesces/8", `{"total":"15m"}`), 404, wire.CodeNotFound)
	wantProblem(t, post(r.api, "PATCH", "/v1/quiesces/7", `{"total":"15m","subject":{"cluster":"cluster1","instance":"instance2"}}`), 404, wire.CodeNotFound)
	wantProblem(t, post(r.api, "PATCH", "/v1/quiesces/-1", `{"total":"15m"}`), 422, wire.CodeInvalidRequest)
	r.node.answer = func(fsm.Command) (fsm.Result, bool) { return fsm.Result{Code: fsm.CodeAbsent}, true }
	wantProblem(t, post(r.api, "PATCH", "/v1/quiesces/7", `{"total":"15m"}`), 404, wire.CodeNotFound)
}

// TestCancelQuiesce: to cancel is to enable again, all of an id or one of it, in one transaction.
func TestCancelQuiesce(t *testing.T) {
	r := twoQuiesces(t)
	r.node.apply(t, &fsm.ConfigSet{RequestID: fsm.RequestID{99}, Expect: 1, Config: r.node.view.Operating().Config})
	decode[wire.ConfigResult](t, post(r.api, "DELETE", "/v1/quiesces/7?cluster=cluster1&instance=instance1", ""))
	if cl := last[*fsm.ConfigChange](t, r.node).Config.Clusters[0]; !cl.Instances[0].Enabled || cl.Modules[0].Enabled {
		t.Errorf("%+v", cl)
	}
	decode[wire.ConfigResult](t, post(r.api, "DELETE", "/v1/quiesces/7?lock=3", ""))
	if c := last[*fsm.ConfigChange](t, r.node); !c.Config.Clusters[0].Instances[0].Enabled || !c.Config.Clusters[0].Modules[0].Enabled || c.Lock != 3 {
		t.Errorf("%+v", c)
	}
	wantProblem(t, post(r.api, "DELETE", "/v1/quiesces/9", ""), 404, wire.CodeNotFound)
	wantProblem(t, post(r.api, "DELETE", "/v1/quiesces/7?cluster=cluster1&instance=other", ""), 404, wire.CodeNotFound)
}

// TestMaintenanceLock: TIP-15 to TIP-20. Whoever is refused reads who has it, why and since when; under the lock's id changes go through.
func TestMaintenanceLock(t *testing.T) {
	r := configured(t)
	lock := &fsm.Lock{ID: 12, Owner: "alice", Reason: "new release", Since: r.node.now, Until: r.node.now.Add(time.Hour)}
	if m := decode[wire.Maintenance](t, read(r.api, "/v1/maintenance")); m.On || m.Lock != nil {
		t.Errorf("%+v", m)
	}
	r.node.view.operating(func(o *fsm.Operating) { o.Lock = lock })
	r.node.answer = func(c fsm.Command) (fsm.Result, bool) {
		if c, ok := c.(*fsm.ConfigChange); ok && c.Lock == lock.ID {
			return fsm.Result{Revision: 2}, true
		}
		if _, token := c.(*fsm.TokenPut); token {
			return fsm.Result{}, false
		}
		return fsm.Result{Code: fsm.CodeLocked, Lock: lock}, true
	}
	if m := decode[wire.Maintenance](t, read(r.api, "/v1/maintenance")); !m.On || m.Lock.ID != 12 || m.Lock.Owner != "alice" {
		t.Errorf("%+v", m)
	}
	if s := decode[wire.Status](t, read(r.api, "/v1/status")); s.Maintenance == nil || s.Maintenance.Reason != "new release" {
		t.Errorf("%+v", s.Maintenance)
	}
	for name, w := range map[string]*httptest.ResponseRecorder{
		"whole":    put(r.api, "/v1/config", `"1"`, "", renamed("a")),
		"edits":    post(r.api, "POST", "/v1/config/edits", disable1),
		"other id": post(r.api, "POST", "/v1/config/edits", `{"lock":11,`+disable1[1:]),
		"taken":    post(r.api, "PUT", "/v1/maintenance", `{"reason":"mine","owner":"bob"}`),
		"off":      post(r.api, "DELETE", "/v1/maintenance?owner=bob", ""),
		"off 2":    post(r.api, "DELETE", "/v1/maintenance", ""),
	} {
		p := wantProblem(t, w, http.StatusLocked, wire.CodeLocked)
		if p.Lock == nil || p.Lock.Owner != "alice" || p.Lock.Reason != "new release" || !p.Lock.Since.Equal(lock.Since) || !p.Lock.Until.Equal(lock.Until) || !strings.Contains(p.Detail, "alice") ||
			!strings.Contains(p.Detail, "new release") {
			t.Errorf("%s: %+v", name, p)
		}
	}
	decode[wire.ConfigResult](t, put(r.api, "/v1/config?lock=12&owner=alice", `"1"`, "", renamed("a")))
	decode[wire.ConfigResult](t, post(r.api, "POST", "/v1/config/edits?owner=alice", `{"lock":12,`+disable1[1:]))
	decode[wire.NewToken](t, post(r.api, "POST", "/v1/tokens", `{"role":"viewer"}`)) // TIP-19: tokens are no configuration
}

// TestLockKeepsToItsOwner: TIP-18. The id of the lock is no secret, so it alone lets nobody through: a change under it must be its owner's, by default or by name.
func TestLockKeepsToItsOwner(t *testing.T) {
	r := twoQuiesces(t)
	r.node.apply(t, &fsm.ConfigSet{RequestID: fsm.RequestID{99}, Expect: 1, Config: r.node.view.Operating().Config})
	secret := func(note string) []string {
		return []string{"Authorization", "Bearer " + decode[wire.NewToken](t, post(r.api, "POST", "/v1/tokens", `{"role":"operator","note":"`+note+`"}`)).Secret}
	}
	bob, carol := secret("bob"), secret("carol")
	quiesces := r.node.view.Operating().Quiesces
	r.node.view.operating(func(o *fsm.Operating) {
		o.Quiesces, o.Lock = quiesces, &fsm.Lock{ID: 12, Owner: "bob", Reason: "new release", Since: r.node.now}
	})
	yaml := func(query string, who []string) *httptest.ResponseRecorder {
		return post(r.api, "PUT", "/v1/config?lock=12"+query, renamed("a"), append([]string{"If-Match", `"2"`, "Content-Type", "application/yaml"}, who...)...)
	}
	calls := map[string]func(query string, who []string) *httptest.ResponseRecorder{
		"PUT config": yaml,
		"PUT config later": func(query string, who []string) *httptest.ResponseRecorder {
			return yaml("&at="+r.node.view.Now().Add(time.Hour).Format(time.RFC3339)+query, who)
		},
		"edits": func(query string, who []string) *httptest.ResponseRecorder {
			return post(r.api, "POST", "/v1/config/edits?wait=all"+query, `{"lock":12,"edits":[{"op":"add","kind":"cluster","name":"c9"}]}`, who...)
		},
		"rollback": func(query string, who []string) *httptest.ResponseRecorder {
			return post(r.api, "POST", "/v1/config/rollback?wait=all"+query, `{"lock":12,"revision":1}`, who...)
		},
		"quiesce cancel": func(query string, who []string) *httptest.ResponseRecorder {
			return post(r.api, "DELETE", "/v1/quiesces/7?lock=12"+query, "", who...)
		},
		"maintenance off": func(query string, who []string) *httptest.ResponseRecorder {
			return post(r.api, "DELETE", "/v1/maintenance?force=false"+query, "", who...)
		},
	}
	r.node.answer = func(fsm.Command) (fsm.Result, bool) { return fsm.Result{Revision: 3}, true }
	for name, call := range calls {
		for _, tc := range []struct {
			query string
			who   []string
			is    string
		}{{"", carol, "carol"}, {"", nil, "local"}, {"&owner=alice", bob, "alice"}} {
			before := len(r.node.commands)
			p := wantProblem(t, call(tc.query, tc.who), http.StatusLocked, wire.CodeLocked)
			for _, text := range []string{"by bob", "new release", "you are " + tc.is, "--owner", "maintenance off --force"} {
				if !strings.Contains(p.Detail, text) {
					t.Errorf("%s as %s: %q says nothing of %q", name, tc.is, p.Detail, text)
				}
			}
			if p.Lock == nil || p.Lock.Owner != "bob" || len(r.node.commands) != before {
				t.Errorf("%s as %s: %+v, or something was proposed", name, tc.is, p.Lock)
			}
		}
		for _, tc := range []struct {
			query string
			who   []string
		}{{"", bob}, {"&owner=bob", carol}, {"&owner=bob", nil}} {
			before := len(r.node.commands)
			if w := call(tc.query, tc.who); w.Code >= 300 || len(r.node.commands) == before {
				t.Errorf("%s of the owner (%s): %d %s, or nothing was proposed", name, tc.query, w.Code, w.Body)
			}
		}
	}
}

// TestWhoOwnsTheLock: by default whom the token is for.
func TestWhoOwnsTheLock(t *testing.T) {
	r := configured(t).busy()
	noted := decode[wire.NewToken](t, post(r.api, "POST", "/v1/tokens", `{"role":"operator","note":"alice"}`))
	bare := decode[wire.NewToken](t, post(r.api, "POST", "/v1/tokens", `{"role":"operator"}`))
	for _, tc := range []struct{ token, body, want string }{
		{"", `{"reason":"r"}`, "local"}, {noted.Secret, `{"reason":"r","timeout":"2h"}`, "alice"}, {bare.Secret, `{"reason":"r"}`, "token " + bare.ID}, {noted.Secret, `{"reason":"r","owner":"ops"}`, "ops"},
	} {
		header := []string{}
		if tc.token != "" {
			header = []string{"Authorization", "Bearer " + tc.token}
		}
		decode[wire.Maintenance](t, post(r.api, "PUT", "/v1/maintenance", tc.body, header...))
		if c := last[*fsm.LockSet](t, r.node); c.Owner != tc.want || c.Reason != "r" || (c.Timeout == config.Duration(2*time.Hour)) != strings.Contains(tc.body, "2h") {
			t.Errorf("%s: %+v, want %s", tc.body, c, tc.want)
		}
	}
	for _, body := range []string{`{}`, `{"reason":""}`, `{"reason":"r","timeout":"never"}`, `{"reason":"r","timeout":"-1h"}`, `{"reason":"` + strings.Repeat("r", 600) + `"}`, `{"reason":1}`, `{"reason":"r","ownr":"x"}`} {
		wantProblem(t, post(r.api, "PUT", "/v1/maintenance", body), 422, wire.CodeInvalidRequest)
	}
	lock := &fsm.Lock{ID: 3, Owner: "alice"}
	r.node.view.operating(func(o *fsm.Operating) { o.Lock = lock })
	for query, want := range map[string]int{"": 423, "?owner=alice": 204, "?force=true": 204, "?force=perhaps": 422} {
		if w := post(r.api, "DELETE", "/v1/maintenance"+query, ""); w.Code != want {
			t.Errorf("DELETE %s: status %d, want %d", query, w.Code, want)
		}
	}
	if w := post(r.api, "DELETE", "/v1/maintenance", "", "Authorization", "Bearer "+noted.Secret); w.Code != 204 {
		t.Errorf("the owner cannot turn it off: %d", w.Code)
	}
	r.node.view.operating(func(o *fsm.Operating) {})
	wantProblem(t, post(r.api, "DELETE", "/v1/maintenance", ""), 404, wire.CodeNotFound)
}

// TestStates: admin state, verdict, registration and share of an instance are separate things.
func TestStates(t *testing.T) {
	r := configured(t)
	decode[wire.ConfigResult](t, put(r.api, "/v1/config", `"1"`, "", weighted))
	var ids [5]fsm.InstanceID
	r.node.health = nil
	for i := range ids {
		ids[i], _ = r.node.state.InstanceID("w", fmt.Sprint("i", i+1))
		r.node.health = append(r.node.health, admin.InstanceStatus{Cluster: "w", Instance: fmt.Sprint("i", i+1), Up: true})
	}
	r.node.view.operating(func(o *fsm.Operating) {
		o.Verdicts = []fsm.Verdict{{Instance: ids[0], State: fsm.HealthSuspect, Reason: "n2: timeout", Down: 1, Reporting: 3}}
		o.Registered = []fsm.Registration{{Cluster: "w", Instance: config.Instance{Name: "i2"}}}
	})
	list := decode[wire.Status](t, read(r.api, "/v1/status")).Clusters[0].Instances
	check := func(what string, want ...float64) {
		t.Helper()
		for i, percent := range want {
			if got := list[i].Share; got == nil || *got != percent {
				t.Errorf("%s: share of i%d is %v, want %v", what, i+1, got, percent)
			}
		}
	}
	if list[0].Verdict != "suspect" || list[0].VerdictReason != "n2: timeout" || list[1].Verdict != "up" || !list[1].Registered || list[0].Registered || list[3].Admin != wire.AdminStopped {
		t.Errorf("%+v", list)
	}
	check("weights 1, 2, 1", 25, 50, 25, 0, 0) // WAS-16
	r.node.view.operating(func(o *fsm.Operating) {
		o.Verdicts = []fsm.Verdict{{Instance: ids[0], State: fsm.HealthFailed}}
	})
	list = decode[wire.Status](t, read(r.api, "/v1/status")).Clusters[0].Instances
	check("the first is down", 0, 66.7, 33.3, 0, 0) // WAS-17
	r.node.health[1].Up, r.node.health[2].Up = false, false
	list = decode[wire.Status](t, read(r.api, "/v1/status")).Clusters[0].Instances
	check("only the backup is left", 0, 0, 0, 0, 100)
}

// TestReasonOfAVerdictIsTheNewest: the state keeps the reason of the change; what the nodes find since, while the verdict stays, is said all the same, and costs no entry.
func TestReasonOfAVerdictIsTheNewest(t *testing.T) {
	r := configured(t)
	id, _ := r.node.state.InstanceID("cluster1", "instance1")
	failed := fsm.Verdict{Instance: id, State: fsm.HealthFailed, Reason: "node n1: connection refused", Down: 1, Reporting: 1}
	for _, tc := range []struct {
		name    string
		verdict fsm.HealthState
		says    []admin.InstanceStatus
		want    string
	}{
		{"the same", fsm.HealthFailed, []admin.InstanceStatus{{Reason: "connection refused"}}, "node n1: connection refused"},
		{"another one", fsm.HealthFailed, []admin.InstanceStatus{{Reason: "no answer within 10s"}}, "node n1: no answer within 10s"},
		{"suspect by checks", fsm.HealthSuspect, []admin.InstanceStatus{{Up: true, Suspect: true}}, "node n1: checks have failed"},
		{"a part of it only", fsm.HealthSuspect, []admin.InstanceStatus{{Up: true, Partial: true, Reason: "one listener"}}, "node n1: connection refused"},
		{"nobody finds anything any more", fsm.HealthFailed, []admin.InstanceStatus{{Up: true}}, "node n1: connection refused"},
		{"nobody says", fsm.HealthFailed, nil, "node n1: connection refused"},
	} {
		failed.State = tc.verdict
		r.node.view.operating(func(o *fsm.Operating) { o.Verdicts = []fsm.Verdict{failed} })
		r.node.health = nil
		for _, s := range tc.says {
			s.Cluster, s.Instance = "cluster1", "instance1"
			r.node.health = append(r.node.health, s)
		}
		for _, in := range decode[wire.Status](t, read(r.api, "/v1/status")).Clusters[0].Instances {
			if in.Name == "instance1" && (in.VerdictReason != tc.want || in.Verdict != string(tc.verdict)) {
				t.Errorf("%s: %s, %q, want %q", tc.name, in.Verdict, in.VerdictReason, tc.want)
			}
		}
	}
}

// TestAgentInStatus: an instance that is up and gets nothing, or less, by its agent's word says so, by the word in the middle of what the nodes have
// heard, and its share goes by it.
func TestAgentInStatus(t *testing.T) { // SUN-10, WAS-13
	drain, half, none := admin.InstanceStatus{Agent: "drain", Withheld: 1}, admin.InstanceStatus{Agent: "50%", Withheld: 0.5}, admin.InstanceStatus{}
	of := func(name string, s admin.InstanceStatus) admin.InstanceStatus {
		s.Cluster, s.Instance, s.Up = "w", name, true
		return s
	}
	for _, tc := range []struct {
		policy string
		first  []admin.InstanceStatus // what n1, n2, n3 say of i1; n3 does not answer when it is not there
		second admin.InstanceStatus   // what all say of i2
		agent  string
		shares [5]float64 // of i1 to i5
	}{
		{"weighted-round-robin", []admin.InstanceStatus{none, none, none}, none, "", [5]float64{25, 50, 25, 0, 0}},
		{"weighted-round-robin", []admin.InstanceStatus{drain, drain, drain}, none, "drain", [5]float64{0, 66.7, 33.3, 0, 0}},
		{"weighted-round-robin", []admin.InstanceStatus{none, none, none}, half, "", [5]float64{33.3, 33.3, 33.3, 0, 0}},
		{"round-robin", []admin.InstanceStatus{half, half, half}, drain, "50%", [5]float64{33.3, 0, 66.7, 0, 0}},
		{"round-robin", []admin.InstanceStatus{none, drain, drain}, drain, "drain", [5]float64{0, 0, 100, 0, 0}},
		{"round-robin", []admin.InstanceStatus{drain, none, none}, drain, "", [5]float64{50, 0, 50, 0, 0}},
		{"round-robin", []admin.InstanceStatus{drain, none, half}, drain, "50%", [5]float64{33.3, 0, 66.7, 0, 0}},
		{"round-robin", []admin.InstanceStatus{none, half}, drain, "50%", [5]float64{33.3, 0, 66.7, 0, 0}},
		{"least-sessions", []admin.InstanceStatus{drain, drain}, drain, "drain", [5]float64{}}, // the load decides
	} {
		r := configured(t)
		decode[wire.ConfigResult](t, put(r.api, "/v1/config", `"1"`, "", strings.Replace(weighted, "weighted-round-robin", tc.policy, 1)))
		r.node.members = nil
		for n, s := range tc.first {
			says := []admin.InstanceStatus{of("i1", s), of("i2", tc.second), of("i3", none), of("i5", none)}
			if n == 0 {
				r.node.health = says
			}
			r.node.members = append(r.node.members, admin.Member{Name: fmt.Sprint("n", n+1), Self: n == 0, Reachable: true, Instances: says})
		}
		list := decode[wire.Status](t, read(r.api, "/v1/status")).Clusters[0].Instances
		i1 := list[0]
		if i1.Agent != tc.agent || i1.Health != wire.HealthUp || list[1].Agent != tc.second.Agent || len(i1.Nodes) != len(tc.first) {
			t.Errorf("%+v: %+v", tc, i1)
			continue
		}
		for n, s := range tc.first {
			if got := i1.Nodes[n]; got.Agent != s.Agent || got.Withheld != s.Withheld {
				t.Errorf("%+v: node %d: %+v", tc, n+1, got)
			}
		}
		for i, want := range tc.shares {
			if got := list[i].Share; (got == nil) != (tc.policy == "least-sessions") || got != nil && *got != want {
				t.Errorf("%+v: share of %s is %v, want %v", tc, list[i].Name, got, want)
			}
		}
	}
	r := configured(t)
	decode[wire.ConfigResult](t, put(r.api, "/v1/config", `"1"`, "", weighted))
	r.node.health = []admin.InstanceStatus{of("i1", drain), of("i2", drain), of("i3", drain), of("i5", none)}
	if got := decode[wire.Status](t, read(r.api, "/v1/status")).Clusters[0].Instances[4].Share; got == nil || *got != 100 {
		t.Errorf("all but the backup drain: its share is %v, want 100", got)
	}
}

const weighted = `
clusters:
  - name: w
    policy: weighted-round-robin
    registration: {allow: true, heartbeat: 250ms, dropAfter: 1s}
    instances:
      - {name: i1, listeners: ["http://127.0.0.1:9001"], weight: 1}
      - {name: i2, listeners: ["http://127.0.0.1:9002"], weight: 2, zone: z2, version: v2}
      - {name: i3, listeners: ["http://127.0.0.1:9003"], weight: 1}
      - {name: i4, listeners: ["http://127.0.0.1:9004"], weight: 1, enabled: false}
      - {name: i5, listeners: ["http://127.0.0.1:9005"], weight: 1, backup: true}
`

// TestEndpoints: WAS-20. Clients that choose by themselves see what is enabled and available.
func TestEndpoints(t *testing.T) {
	r := configured(t)
	decode[wire.ConfigResult](t, put(r.api, "/v1/config", `"1"`, "", weighted))
	for _, name := range []string{"i1", "i2", "i4", "i5"} {
		r.node.health = append(r.node.health, admin.InstanceStatus{Cluster: "w", Instance: name, Up: true})
	}
	r.node.health = append(r.node.health, admin.InstanceStatus{Cluster: "w", Instance: "i3"})
	e := decode[wire.Endpoints](t, read(r.api, "/v1/endpoints?cluster=w"))
	if len(e.Clusters) != 1 || e.Revision != 2 {
		t.Fatalf("%+v", e)
	}
	if got := fmt.Sprint(e.Clusters[0].Endpoints); got != "[{i1 [http://127.0.0.1:9001] 1   false} {i2 [http://127.0.0.1:9002] 2 z2 v2 false} {i5 [http://127.0.0.1:9005] 1   true}]" {
		t.Error(got)
	}
	id, _ := r.node.state.InstanceID("w", "i1")
	r.node.view.operating(func(o *fsm.Operating) { o.Verdicts = []fsm.Verdict{{Instance: id, State: fsm.HealthFailed}} })
	if e := decode[wire.Endpoints](t, read(r.api, "/v1/endpoints?consistency=stale")); len(e.Clusters[0].Endpoints) != 2 {
		t.Errorf("%+v", e)
	}
	wantProblem(t, read(r.api, "/v1/endpoints?cluster=nope"), 404, wire.CodeNotFound)
}

package admin_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/admin/permit"
	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm"
)

// asked sends a request with a token from another machine.
func asked(h http.Handler, token, method, path, body string) *httptest.ResponseRecorder {
	req := httptest.NewRequest(method, "http://balancer.example:7700"+path, strings.NewReader(body))
	if body == "" {
		req.Body = http.NoBody
	} else {
		req.Header.Set("Content-Type", "application/json")
	}
	return serve(h, bearer(req, token))
}

// must is an answer that has to be a success.
func must(t *testing.T, w *httptest.ResponseRecorder) *httptest.ResponseRecorder {
	t.Helper()
	if w.Code >= 300 {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	return w
}

// tokenFor makes a token by the API, from the node's own machine.
func tokenFor(t *testing.T, r *rig, body string) wire.NewToken {
	t.Helper()
	return decode[wire.NewToken](t, post(r.api, "POST", "/v1/tokens", body))
}

// permissions gives the permission that each operation of the published document names, by "METHOD path".
func permissions(t *testing.T, r *rig) map[string]string {
	t.Helper()
	w := serve(r.api, local(httptest.NewRequest("GET", "http://127.0.0.1:7700/v1/openapi.json", nil)))
	var doc struct {
		Paths map[string]map[string]struct {
			Description string `json:"description"`
		} `json:"paths"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	named := regexp.MustCompile("or the permission `([^`]+)`\\.$")
	for path, methods := range doc.Paths {
		for method, op := range methods {
			permission := ""
			if m := named.FindStringSubmatch(op.Description); m != nil {
				permission = m[1]
			}
			out[strings.ToUpper(method)+" "+path] = permission
		}
	}
	return out
}

// TestEveryRouteNamesItsPermission: TIP-07e. Each route but the open ones names one that there is, and each that there is opens a route.
func TestEveryRouteNamesItsPermission(t *testing.T) {
	r := newRig(t)
	used := map[string]bool{}
	for op, permission := range permissions(t, r) {
		_, path, _ := strings.Cut(op, " ")
		if slices.Contains(open, path) != (permission == "") {
			t.Errorf("%s names the permission %q", op, permission)
		}
		if _, known := permit.Find(permission); !known && permission != "" && permission != permit.Anyone {
			t.Errorf("%s: there is no permission %q", op, permission)
		}
		used[permission] = true
	}
	for _, p := range permit.All {
		if !used[p.Name] && p.Name != permit.WorkflowsHook { // which a route looks at itself
			t.Errorf("%s opens nothing", p.Name)
		}
	}
}

// TestBuiltInRolesAreAsBefore: permissions have changed nothing about who may call what there was before them.
func TestBuiltInRolesAreAsBefore(t *testing.T) {
	const operator = `DELETE /v1/certificates/{name}, DELETE /v1/clusters/{cluster}/instances/{instance}/heartbeat, DELETE /v1/maintenance, DELETE /v1/nodes/{name}, DELETE /v1/nodes/{name}/evacuate, ` +
		`DELETE /v1/quiesces/{quiesce}, DELETE /v1/schedules/{schedule}, DELETE /v1/sessions/{key}, PATCH /v1/quiesces/{quiesce}, POST /v1/certificates, POST /v1/config/edits, POST /v1/config/rollback, ` +
		`POST /v1/nodes/transfer, POST /v1/nodes/{name}/evacuate, POST /v1/nodes/{name}/resync, POST /v1/nodes/{name}/transfer, POST /v1/sessions/explain, POST /v1/sessions/{key}/move, POST /v1/workflows, ` +
		`POST /v1/workflows/{id}/abort, POST /v1/workflows/{id}/pause, POST /v1/workflows/{id}/resume, PUT /v1/certificates/{name}, PUT /v1/clusters/{cluster}/instances/{instance}/heartbeat, PUT /v1/config, PUT /v1/maintenance`
	const admin = `DELETE /v1/issuer, DELETE /v1/roles/{name}, DELETE /v1/tokens/{id}, DELETE /v1/user-groups/{name}, DELETE /v1/users/{name}, GET /v1/backup, GET /v1/follow, GET /v1/issuer, GET /v1/roles, ` +
		`GET /v1/roles/{name}, GET /v1/tokens, GET /v1/user-groups, GET /v1/user-groups/{name}, GET /v1/users, GET /v1/users/{name}, POST /v1/restore, POST /v1/tokens, POST /v1/upgrade-binary, PUT /v1/issuer, ` +
		`PUT /v1/roles/{name}, PUT /v1/user-groups/{name}, PUT /v1/users/{name}`
	const viewer = `GET /metrics, GET /v1/certificates, GET /v1/certificates/{name}, GET /v1/config, GET /v1/config/history, GET /v1/config/revisions/{revision}, GET /v1/endpoints, GET /v1/events, GET /v1/maintenance, ` +
		`GET /v1/nodes, GET /v1/openapi.json, GET /v1/quiesces, GET /v1/schedules, GET /v1/schedules/{schedule}, GET /v1/sessions, GET /v1/sessions/{key}, GET /v1/status, GET /v1/workflows, GET /v1/workflows/{id}, ` +
		`POST /v1/config/plan, POST /v1/config/validate, POST /v1/sessions/lookup, POST /v1/workflows/plan`
	needs := permissions(t, newRig(t))
	for role, list := range map[string]string{wire.RoleViewer: viewer, wire.RoleOperator: operator, wire.RoleAdmin: admin} {
		for _, op := range strings.Split(list, ", ") {
			if p, known := permit.Find(needs[op]); !known || p.Role != role {
				t.Errorf("%s needs %q of the role %q, was one of %s", op, needs[op], p.Role, role)
			}
		}
	}
}

// TestOwnRolesOpenWhatTheyAllow: TIP-07f. A role of one permission opens the routes that name it and no other one, for a token of the role and for a user of it.
func TestOwnRolesOpenWhatTheyAllow(t *testing.T) {
	r := newRig(t)
	named := permissions(t, r)
	path := strings.NewReplacer("{key}", strings.Repeat("ab", 16), "{id}", "abc", "{revision}", "1", "{quiesce}", "7", "{schedule}", "abc", "{cluster}", "cluster1", "{instance}", "instance1", "{name}", "n1")
	for i, p := range permit.All {
		role := fmt.Sprint("own", i)
		must(t, post(r.api, "PUT", "/v1/roles/"+role, fmt.Sprintf(`{"allow":[%q]}`, p.Name)))
		must(t, post(r.api, "PUT", "/v1/users/"+role, fmt.Sprintf(`{"roles":[%q]}`, role)))
		for _, token := range []string{tokenFor(t, r, fmt.Sprintf(`{"role":%q}`, role)).Secret, tokenFor(t, r, fmt.Sprintf(`{"user":%q}`, role)).Secret} {
			for op, needs := range named {
				method, pattern, _ := strings.Cut(op, " ")
				opens := needs == "" || needs == permit.Anyone || needs == p.Name || needs == permit.InstancesWrite && p.Name == permit.ConfigWrite
				if opens && method == "GET" && (pattern == "/v1/follow" || pattern == "/v1/backup") {
					continue // they break off
				}
				w := asked(r.api, token, method, path.Replace(pattern), "")
				if refused := w.Code == http.StatusForbidden || w.Code == http.StatusUnauthorized; refused == opens {
					t.Errorf("%s with %s: status %d: %s", op, p.Name, w.Code, w.Body)
				}
			}
		}
	}
}

// TestUnknownPermissions: no role is made of what there is not, and one that a later version has made opens nothing here.
func TestUnknownPermissions(t *testing.T) {
	r := newRig(t)
	for _, bad := range []string{"", "config", "config:*", "*", "anyone", "config:write@cluster=shop", "instances:write@cluster=", "Config:write", "config:write ", strings.Repeat("x", 100_000)} {
		body, err := json.Marshal(wire.RoleRequest{Allow: []string{"status:read", bad}})
		if err != nil {
			t.Fatal(err)
		}
		p := wantProblem(t, post(r.api, "PUT", "/v1/roles/own", string(body)), http.StatusUnprocessableEntity, wire.CodeInvalidRequest)
		if len(p.Errors) != 1 || p.Errors[0].Location != "body.allow[1]" || len(p.Errors[0].Message) > 2000 {
			t.Errorf("%.40q: %+v", bad, p.Errors)
		}
	}
	wantProblem(t, post(r.api, "PUT", "/v1/roles/own", `{"allow":[]}`), http.StatusUnprocessableEntity, wire.CodeInvalidRequest)
	if _, err := r.node.Propose(t.Context(), &fsm.RoleSet{Role: fsm.Role{Name: "later", Allow: []string{"teleport:write", "status:*"}}}); err != nil {
		t.Fatal(err)
	}
	token := tokenFor(t, r, `{"role":"later"}`).Secret
	wantProblem(t, asked(r.api, token, "GET", "/v1/status", ""), http.StatusForbidden, wire.CodeForbidden)
	if who := decode[wire.Whoami](t, asked(r.api, token, "GET", "/v1/whoami", "")); len(who.Permissions) != 0 || len(who.Roles) != 1 {
		t.Errorf("%+v", who)
	}
}

// TestUsersOverTheAPI: TIP-07h, TIP-26. What a user may is looked up at each request: roles, groups, being disabled and removed count at once for its tokens.
func TestUsersOverTheAPI(t *testing.T) {
	r := configured(t)
	wantProblem(t, post(r.api, "PUT", "/v1/users/alice", `{"groups":["ops"]}`), http.StatusConflict, wire.CodeRefused)
	must(t, post(r.api, "PUT", "/v1/user-groups/ops", `{"roles":["viewer"],"note":"on call"}`))
	u := decode[wire.User](t, post(r.api, "PUT", "/v1/users/alice", `{"groups":["ops"]}`))
	if !slices.Equal(u.AllRoles, []string{"viewer"}) || !slices.Contains(u.Permissions, permit.StatusRead) || len(u.Tokens) != 0 || u.Actor != "local" {
		t.Errorf("%+v", u)
	}
	token := tokenFor(t, r, `{"user":"alice","note":"laptop"}`)
	if token.User != "alice" || token.Role != "" {
		t.Errorf("%+v", token)
	}
	may := func(status int) {
		t.Helper()
		if w := asked(r.api, token.Secret, "POST", "/v1/config/edits", disable1); w.Code != status {
			t.Errorf("status %d, want %d: %s", w.Code, status, w.Body)
		}
	}
	may(http.StatusForbidden)
	must(t, post(r.api, "PUT", "/v1/user-groups/ops", `{"roles":["operator"]}`))
	may(http.StatusOK)
	if rev := r.node.state.Revision(); rev.Actor != "user alice (token "+token.ID+")" {
		t.Errorf("the history says %q", rev.Actor)
	}
	who := decode[wire.Whoami](t, asked(r.api, token.Secret, "GET", "/v1/whoami", ""))
	if who.User != "alice" || who.Token != token.ID || !slices.Equal(who.Groups, []string{"ops"}) || !slices.Equal(who.Roles, []string{"operator"}) || !slices.Contains(who.Permissions, permit.ConfigWrite) {
		t.Errorf("%+v", who)
	}
	must(t, post(r.api, "PUT", "/v1/users/alice", `{"groups":["ops"],"disabled":true}`))
	may(http.StatusUnauthorized)
	if p := wantProblem(t, asked(r.api, token.Secret, "GET", "/v1/whoami", ""), http.StatusUnauthorized, wire.CodeUnauthorized); !strings.Contains(p.Detail, "alice is disabled") {
		t.Error(p.Detail)
	}
	must(t, post(r.api, "PUT", "/v1/users/alice", `{}`)) // out of the group
	if p := wantProblem(t, asked(r.api, token.Secret, "GET", "/v1/status", ""), http.StatusForbidden, wire.CodeForbidden); !strings.Contains(p.Detail, "needs the permission status:read (the role viewer has it)") || !strings.Contains(p.Detail, "has no role") {
		t.Error(p.Detail)
	}
	wantProblem(t, post(r.api, "DELETE", "/v1/users/bob", ""), http.StatusNotFound, wire.CodeNotFound)
	must(t, post(r.api, "DELETE", "/v1/users/alice", ""))
	may(http.StatusUnauthorized)
	if n := len(r.node.state.Tokens()); n != 0 {
		t.Errorf("%d tokens are left", n)
	}
	var texts []string
	for _, e := range r.node.state.Events(0, 100) {
		if e.Kind == fsm.EventAccess && strings.Contains(e.Text, "alice") {
			texts = append(texts, e.Text)
		}
	}
	if got := strings.Join(texts, "; "); got != "User alice set: roles none; groups ops by local; Token "+token.ID+" made by local: of user alice; User alice set: disabled by local; User alice set: roles none; groups none by local; User alice removed, with its token by local" {
		t.Error(got)
	}
}

// TestAccessRefusals: what is in use stays, versions are held to, names are checked, and the last admin access cannot be taken away.
func TestAccessRefusals(t *testing.T) {
	r := newRig(t)
	role := decode[wire.Role](t, post(r.api, "PUT", "/v1/roles/boss", `{"allow":["access:write"]}`))
	must(t, post(r.api, "PUT", "/v1/user-groups/bosses", `{"roles":["boss"]}`))
	must(t, post(r.api, "PUT", "/v1/users/root", `{"groups":["bosses"]}`))
	root := tokenFor(t, r, `{"user":"root"}`)
	for _, tc := range []struct {
		method, path, body string
		status             int
		code, says         string
	}{
		{"DELETE", "/v1/roles/boss", "", 409, wire.CodeRefused, "role boss is in use by group bosses"},
		{"DELETE", "/v1/user-groups/bosses", "", 409, wire.CodeRefused, "group bosses is in use by user root"},
		{"DELETE", "/v1/users/root", "", 409, wire.CodeRefused, "would take the last admin access away"},
		{"PUT", "/v1/users/root", `{"disabled":true,"groups":["bosses"]}`, 409, wire.CodeRefused, "would take the last admin access away"},
		{"PUT", "/v1/roles/boss", `{"allow":["status:read"]}`, 409, wire.CodeRefused, "would take the last admin access away"},
		{"DELETE", "/v1/tokens/" + root.ID, "", 409, wire.CodeRefused, "would take the last admin access away"},
		{"PUT", "/v1/roles/admin", `{"allow":["status:read"]}`, 409, wire.CodeRefused, "is built in"},
		{"DELETE", "/v1/roles/viewer", "", 409, wire.CodeRefused, "is built in"},
		{"DELETE", "/v1/roles/none", "", 404, wire.CodeNotFound, "There is no role none"},
		{"GET", "/v1/users/none", "", 404, wire.CodeNotFound, "There is no user none"},
		{"GET", "/v1/user-groups/none", "", 404, wire.CodeNotFound, "There is no group of users none"},
		{"PUT", "/v1/users/x", `{"roles":["none"]}`, 409, wire.CodeRefused, "there is no role none"},
		{"PUT", "/v1/users/x", `{"roles":["node"]}`, 409, wire.CodeRefused, "for join tokens only"},
		{"PUT", "/v1/users/x", `{"rolls":[]}`, 422, wire.CodeInvalidRequest, ""},
		{"PUT", "/v1/users/x", `{"roles":"viewer"}`, 422, wire.CodeInvalidRequest, ""},
		{"PUT", "/v1/users/-x", `{}`, 422, wire.CodeInvalidRequest, ""},
		{"PUT", "/v1/users/a%20b", `{}`, 422, wire.CodeInvalidRequest, ""},
		{"PUT", "/v1/users/" + strings.Repeat("x", 129), `{}`, 422, wire.CodeInvalidRequest, ""},
		{"PUT", "/v1/roles/boss", fmt.Sprintf(`{"allow":["status:read"],"version":%d}`, role.Version+1), 409, wire.CodeRefused, "changed meanwhile"},
		{"PUT", "/v1/roles/boss", `{"allow":["status:read"],"version":0}`, 409, wire.CodeRefused, "there is a role boss already"},
		{"POST", "/v1/tokens", `{"user":"none"}`, 422, wire.CodeInvalidRequest, ""},
		{"POST", "/v1/tokens", `{"role":"none"}`, 422, wire.CodeInvalidRequest, ""},
		{"POST", "/v1/tokens", `{"user":"root","role":"admin"}`, 422, wire.CodeInvalidRequest, ""},
		{"POST", "/v1/tokens", `{}`, 422, wire.CodeInvalidRequest, ""},
	} {
		p := wantProblem(t, post(r.api, tc.method, tc.path, tc.body), tc.status, tc.code)
		if !strings.Contains(p.Detail, tc.says) {
			t.Errorf("%s %s: %q does not say %q", tc.method, tc.path, p.Detail, tc.says)
		}
	}
	if w := asked(r.api, root.Secret, "GET", "/v1/users", ""); w.Code != http.StatusForbidden { // access:write alone does not read
		t.Errorf("status %d", w.Code)
	}
	tokenFor(t, r, `{"role":"admin"}`)
	must(t, post(r.api, "DELETE", "/v1/users/root", ""))
	wantProblem(t, asked(r.api, root.Secret, "GET", "/v1/whoami", ""), http.StatusUnauthorized, wire.CodeUnauthorized)
	must(t, post(r.api, "DELETE", "/v1/user-groups/bosses", ""))
	must(t, post(r.api, "DELETE", "/v1/roles/boss", ""))
	if l := decode[wire.RoleList](t, read(r.api, "/v1/roles")); len(l.Roles) != 5 || len(l.Permissions) != len(permit.All) {
		t.Errorf("%+v", l)
	}
}

// TestARepeatedChangeOfAccess: the same request with the same key is applied once, and one that lost a race is made anew.
func TestARepeatedChangeOfAccess(t *testing.T) {
	r := newRig(t)
	first := decode[wire.Role](t, post(r.api, "PUT", "/v1/roles/own", `{"allow":["status:read"]}`, "Idempotency-Key", "k"))
	must(t, post(r.api, "PUT", "/v1/roles/own", `{"allow":["config:read"]}`))
	again := decode[wire.Role](t, post(r.api, "PUT", "/v1/roles/own", `{"allow":["status:read"]}`, "Idempotency-Key", "k"))
	if first.Version == again.Version || !slices.Equal(again.Allow, []string{"config:read"}) {
		t.Errorf("%+v, then %+v", first, again)
	}
	raced := false
	r.node.proposed = func() {
		if !raced {
			raced = true
			r.node.mu.Lock()
			defer r.node.mu.Unlock()
			r.node.apply(t, &fsm.RoleSet{Expect: again.Version, Actor: "somebody", Role: fsm.Role{Name: "own", Allow: []string{"audit:read"}}})
		}
	}
	if last := decode[wire.Role](t, post(r.api, "PUT", "/v1/roles/own", `{"allow":["sessions:read"]}`)); !raced || !slices.Equal(last.Allow, []string{"sessions:read"}) {
		t.Errorf("raced %v: %+v", raced, last)
	}
}

// TestBoundedPermissions: who may change the instances of one cluster may not touch another one, nor what is more than its instances.
func TestBoundedPermissions(t *testing.T) {
	const two = okConfig + "\n  - name: other\n    registration: {allow: true}\n    modules: [{contextRoot: /other}]\n    instances: [{name: o1, listeners: [\"http://127.0.0.1:9003\"]}]\n"
	r := newRig(t)
	r.node.now = r.node.now.Add(time.Hour)
	must(t, put(r.api, "/v1/config", `"0"`, "", strings.Replace(two, "- name: cluster1", "- name: cluster1\n    registration: {allow: true}", 1)))
	must(t, post(r.api, "PUT", "/v1/roles/shop", `{"allow":["instances:write@cluster=cluster1"]}`))
	token := tokenFor(t, r, `{"role":"shop"}`).Secret
	edit := func(fields string) string { return `{"edits":[` + fields + `]}` }
	ours := `{"op":"disable","kind":"instance","cluster":"cluster1","name":"instance1"}`
	for _, tc := range []struct {
		method, path, body string
		allowed            bool
	}{
		{"POST", "/v1/config/edits", edit(ours), true},
		{"POST", "/v1/config/edits", edit(`{"op":"enable","kind":"cluster","name":"cluster1"}`), true},
		{"POST", "/v1/config/edits", edit(`{"op":"disable","kind":"module","cluster":"cluster1","contextRoot":"/fortune"}`), true},
		{"POST", "/v1/config/edits", edit(`{"op":"add","kind":"instance","cluster":"cluster1","name":"i9","values":{"listeners":["http://127.0.0.1:9009"]}}`), true},
		{"POST", "/v1/config/edits", edit(`{"op":"disable","kind":"instance","cluster":"other","name":"o1"}`), false},
		{"POST", "/v1/config/edits", edit(ours + `,{"op":"disable","kind":"instance","cluster":"other","name":"o1"}`), false},
		{"POST", "/v1/config/edits", edit(`{"op":"set","kind":"cluster","name":"cluster1","values":{"policy":"round-robin"}}`), false},
		{"POST", "/v1/config/edits", edit(`{"op":"remove","kind":"cluster","name":"cluster1"}`), false},
		{"POST", "/v1/config/edits", edit(`{"op":"set","kind":"module","cluster":"cluster1","contextRoot":"/fortune","values":{"retries":2}}`), false},
		{"POST", "/v1/config/edits", edit(`{"op":"set","kind":"group","values":{}}`), false},
		{"POST", "/v1/config/edits", edit(`{"op":"add","kind":"listener","name":"l","values":{"address":":1"}}`), false},
		{"POST", "/v1/config/edits", edit(`{"op":"disable","kind":"","cluster":"cluster1"}`), false},
		{"POST", "/v1/config/edits", `{"edits":[` + ours + `],"now":[{"cluster":"other","instance":"o1"}]}`, false},
		{"PUT", "/v1/config", okConfig, false},
		{"POST", "/v1/config/rollback", `{"revision":0}`, false},
		{"PUT", "/v1/clusters/cluster1/instances/i7/heartbeat", `{"listeners":["http://127.0.0.1:9007"]}`, true},
		{"PUT", "/v1/clusters/other/instances/i7/heartbeat", `{"listeners":["http://127.0.0.1:9007"]}`, false},
		{"DELETE", "/v1/clusters/other/instances/i7/heartbeat", "", false},
		{"GET", "/v1/status", "", false},
	} {
		before := r.node.state.Revision().Number
		w := asked(r.api, token, tc.method, tc.path, tc.body)
		if tc.allowed != (w.Code < 300) || !tc.allowed && (w.Code != http.StatusForbidden || r.node.state.Revision().Number != before) {
			t.Errorf("%s %s %s: status %d: %s", tc.method, tc.path, tc.body, w.Code, w.Body)
		}
	}
	r.busy() // with a quiesce of cluster1
	if w := asked(r.api, token, "PATCH", "/v1/quiesces/7", `{"remaining":"5m"}`); w.Code >= 300 {
		t.Errorf("status %d: %s", w.Code, w.Body)
	}
	must(t, post(r.api, "PUT", "/v1/roles/shop", `{"allow":["instances:write@cluster=other"]}`))
	wantProblem(t, asked(r.api, token, "PATCH", "/v1/quiesces/7", `{"remaining":"5m"}`), http.StatusForbidden, wire.CodeForbidden)
	wantProblem(t, asked(r.api, token, "DELETE", "/v1/quiesces/7", ""), http.StatusForbidden, wire.CodeForbidden)
}

// TestTheOwnerOfALockIsTheUser: whichever of its tokens it uses.
func TestTheOwnerOfALockIsTheUser(t *testing.T) {
	r := newRig(t)
	must(t, post(r.api, "PUT", "/v1/users/alice", `{"roles":["operator"]}`))
	one, two := tokenFor(t, r, `{"user":"alice","note":"laptop"}`).Secret, tokenFor(t, r, `{"user":"alice"}`).Secret
	m := decode[wire.Maintenance](t, asked(r.api, one, "PUT", "/v1/maintenance", `{"reason":"new disk"}`))
	if m.Lock == nil || m.Lock.Owner != "user alice" {
		t.Fatalf("%+v", m.Lock)
	}
	must(t, asked(r.api, two, "DELETE", "/v1/maintenance", ""))
}

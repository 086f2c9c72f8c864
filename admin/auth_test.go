package admin_test

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/admin/wire"
)

// open lists the only routes that need no token.
var open = []string{"/healthz", "/readyz"}

// operation is one operation of the OpenAPI document.
type operation struct{ method, path, role string }

// operations walks the document that the API itself publishes, so a route that is added is tested too.
func operations(t *testing.T, api http.Handler) []operation {
	t.Helper()
	resp := serve(api, local(httptest.NewRequest("GET", "http://127.0.0.1:7700/v1/openapi.json", nil)))
	var doc struct {
		OpenAPI string `json:"openapi"`
		Paths   map[string]map[string]struct {
			Security []map[string][]string `json:"security"`
		} `json:"paths"`
	}
	if err := json.Unmarshal(resp.Body.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(doc.OpenAPI, "3.1") || len(doc.Paths) < 10 {
		t.Fatalf("not the OpenAPI document: version %q, %d paths", doc.OpenAPI, len(doc.Paths))
	}
	var ops []operation
	for path, methods := range doc.Paths {
		for method, op := range methods {
			o := operation{method: strings.ToUpper(method), path: strings.NewReplacer("{key}", strings.Repeat("ab", 16), "{id}", "abc", "{revision}", "1", "{quiesce}", "7", "{schedule}", "abc",
				"{cluster}", "cluster1", "{instance}", "instance1", "{name}", "n1").Replace(path)}
			if len(op.Security) == 1 {
				o.role = op.Security[0]["token"][0]
			}
			ops = append(ops, o)
		}
	}
	return ops
}

func serve(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// local makes r come from the node's own machine; without it a request of httptest comes from 192.0.2.1.
func local(r *http.Request) *http.Request {
	r.RemoteAddr = "127.0.0.1:40000"
	return r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 7700}))
}

func bearer(r *http.Request, token string) *http.Request {
	r.Header.Set("Authorization", "Bearer "+token)
	return r
}

// wantProblem checks that w is a whole problem document.
func wantProblem(t *testing.T, w *httptest.ResponseRecorder, status int, code string) *wire.Problem {
	t.Helper()
	var p wire.Problem
	if ct := w.Header().Get("Content-Type"); ct != "application/problem+json" {
		t.Fatalf("status %d, content type %q, body %.300s; want a problem with %s", w.Code, ct, w.Body, code)
	}
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
		t.Fatalf("%v: %s", err, w.Body)
	}
	if w.Code != status || p.Status != status || p.Code != code || p.Type != wire.ProblemTypePrefix+code || p.Title == "" || p.Detail == "" {
		t.Fatalf("got status %d and %+v, want status %d and code %s", w.Code, p, status, code)
	}
	known := slices.ContainsFunc(wire.Codes, func(c struct {
		Code    string
		Status  int
		Meaning string
	}) bool {
		return c.Code == code && c.Status == status
	})
	if !known {
		t.Fatalf("code %s with status %d is not in the published list", code, status)
	}
	return &p
}

func TestEveryRouteNeedsAToken(t *testing.T) {
	r := newRig(t)
	expired := r.token(wire.RoleAdmin, r.node.now.Add(-time.Hour))
	joining := r.token(wire.RoleNode, time.Time{})
	admin := r.token(wire.RoleAdmin, time.Time{})
	wrong := map[string]string{
		"none":          "",
		"empty":         "Bearer ",
		"basic":         "Basic " + admin,
		"garbage":       "Bearer x",
		"no secret":     "Bearer hft1.abc",
		"no such id":    "Bearer hft1.ffffffffffffffff." + strings.Split(admin, ".")[2],
		"no id":         "Bearer hft1.." + strings.Split(admin, ".")[2],
		"other secret":  "Bearer " + strings.Join(strings.Split(admin, ".")[:2], ".") + "." + strings.Repeat("A", 43),
		"cut secret":    "Bearer " + admin[:len(admin)-2],
		"longer secret": "Bearer " + admin + "AA",
		"expired":       "Bearer " + expired,
		"join token":    "Bearer " + joining,
		"control bytes": "Bearer hft1.\x01.\x02",
	}
	ops := operations(t, r.api)
	for _, op := range ops {
		for name, header := range wrong {
			req := httptest.NewRequest(op.method, "http://10.0.0.1:7700"+op.path, nil)
			if header != "" {
				req.Header.Set("Authorization", header)
			}
			w := serve(r.api, req)
			if slices.Contains(open, op.path) {
				if w.Code != http.StatusOK || op.role != "" {
					t.Errorf("%s with %s: status %d, role %q, want an open route", op.path, name, w.Code, op.role)
				}
				continue
			}
			if p := wantProblem(t, w, http.StatusUnauthorized, wire.CodeUnauthorized); strings.Contains(p.Detail, strings.Split(admin, ".")[2]) {
				t.Error("the problem repeats the secret")
			}
			if w.Header().Get("WWW-Authenticate") == "" {
				t.Errorf("%s %s: 401 without WWW-Authenticate", op.method, op.path)
			}
		}
	}
	// What is not in the document is guarded as well.
	for _, path := range []string{"/", "/v1", "/v1/nope", "/debug/pprof/", "/openapi.json", "/docs", "/schemas/Status.json", "/v1/openapi.yaml"} {
		wantProblem(t, serve(r.api, httptest.NewRequest("GET", "http://10.0.0.1:7700"+path, nil)), http.StatusUnauthorized, wire.CodeUnauthorized)
		wantProblem(t, serve(r.api, bearer(httptest.NewRequest("GET", "http://10.0.0.1:7700"+path, nil), admin)), http.StatusNotFound, wire.CodeNotFound)
	}
	if log := r.log.String(); strings.Contains(log, strings.Split(admin, ".")[2]) || strings.Contains(log, "pprof") {
		t.Error("the log has a secret or an address in it")
	}
}

func TestRolesOpenWhatTheyShould(t *testing.T) {
	r := newRig(t)
	// The store is for applications and for who may change what runs: its values are those of users, whom a viewer has no business with.
	rank := []string{wire.RoleViewer, wire.RoleOperator, wire.RoleAdmin}
	may := map[string][]string{wire.RoleApplication: {wire.RoleApplication}, wire.RoleViewer: rank[:1], wire.RoleOperator: append(rank[:2:2], wire.RoleApplication), wire.RoleAdmin: append(rank[:3:3], wire.RoleApplication)}
	for role, allowed := range may {
		token := r.token(role, time.Time{})
		for _, op := range operations(t, r.api) {
			if op.role == "" || op.path == "/v1/whoami" { // that one says what the others refuse
				continue
			}
			w := serve(r.api, bearer(httptest.NewRequest(op.method, "http://balancer.example:7700"+op.path, nil), token))
			if slices.Contains(allowed, op.role) {
				if w.Code == http.StatusForbidden || w.Code == http.StatusUnauthorized {
					t.Errorf("%s on %s %s: status %d", role, op.method, op.path, w.Code)
				}
			} else {
				wantProblem(t, w, http.StatusForbidden, wire.CodeForbidden)
			}
		}
	}
	writes := 0
	for _, op := range operations(t, r.api) {
		if op.method != "GET" && op.role == wire.RoleViewer && !strings.HasSuffix(op.path, "/lookup") && !strings.HasSuffix(op.path, "/validate") && !strings.HasSuffix(op.path, "/plan") {
			t.Errorf("%s %s: a viewer can write", op.method, op.path)
		}
		if op.role == wire.RoleOperator || op.role == wire.RoleAdmin {
			writes++
		}
	}
	if writes < 4 {
		t.Errorf("only %d operations above viewer: the walk is broken", writes)
	}
}

func TestATokenIsMeantWhenItIsSent(t *testing.T) {
	r := newRig(t)
	viewer := r.token(wire.RoleViewer, time.Time{})
	w := serve(r.api, local(bearer(httptest.NewRequest("GET", "http://127.0.0.1/v1/tokens", nil), viewer)))
	wantProblem(t, w, http.StatusForbidden, wire.CodeForbidden)
	w = serve(r.api, local(bearer(httptest.NewRequest("GET", "http://127.0.0.1/v1/status", nil), "hft1.x.y")))
	wantProblem(t, w, http.StatusUnauthorized, wire.CodeUnauthorized)
	twice := local(bearer(httptest.NewRequest("GET", "http://127.0.0.1/v1/status", nil), viewer))
	twice.Header.Add("Authorization", "Bearer "+viewer)
	wantProblem(t, serve(r.api, twice), http.StatusUnauthorized, wire.CodeUnauthorized)
}

// TestLoopbackTrust: DNS rebinding, cross-site requests of a browser, and a proxy beside the node.
func TestLoopbackTrust(t *testing.T) {
	r := newRig(t)
	token := r.token(wire.RoleViewer, time.Time{})
	for _, tc := range []struct {
		name, host string
		header     [2]string
		token      string
		remote     string
		code       string // empty: allowed
	}{
		{name: "by IPv4", host: "127.0.0.1:7700"},
		{name: "by IPv6", host: "[::1]:7700"},
		{name: "by another address of its own", host: "10.1.2.3"},
		{name: "localhost", host: "localhost:7700"},
		{name: "LocalHost.", host: "LocalHost.:7700"},
		{name: "rebound name", host: "evil.example:7700", code: wire.CodeHostNotAllowed},
		{name: "rebound name without port", host: "evil.example", code: wire.CodeHostNotAllowed},
		{name: "name that starts like an address", host: "127.0.0.1.evil.example", code: wire.CodeHostNotAllowed},
		{name: "subdomain of localhost", host: "x.localhost", code: wire.CodeHostNotAllowed},
		{name: "no host", host: "", code: wire.CodeHostNotAllowed},
		{name: "odd number", host: "2130706433", code: wire.CodeHostNotAllowed},
		{name: "name with a token", host: "balancer.example", token: token},
		{name: "own origin", host: "127.0.0.1:7700", header: [2]string{"Origin", "http://127.0.0.1:7700"}},
		{name: "other origin", host: "127.0.0.1:7700", header: [2]string{"Origin", "http://evil.example"}, code: wire.CodeCrossSite},
		{name: "other port", host: "127.0.0.1:7700", header: [2]string{"Origin", "http://127.0.0.1:8080"}, code: wire.CodeCrossSite},
		{name: "null origin", host: "127.0.0.1:7700", header: [2]string{"Origin", "null"}, code: wire.CodeCrossSite},
		{name: "cross-site fetch", host: "127.0.0.1:7700", header: [2]string{"Sec-Fetch-Site", "cross-site"}, code: wire.CodeCrossSite},
		{name: "same-site fetch", host: "127.0.0.1:7700", header: [2]string{"Sec-Fetch-Site", "same-site"}, code: wire.CodeCrossSite},
		{name: "typed address", host: "127.0.0.1:7700", header: [2]string{"Sec-Fetch-Site", "none"}},
		{name: "cross-site with a token", host: "127.0.0.1:7700", header: [2]string{"Origin", "http://evil.example"}, token: token, code: wire.CodeCrossSite},
		{name: "through a proxy", host: "127.0.0.1:7700", header: [2]string{"X-Forwarded-For", "203.0.113.7"}, code: wire.CodeUnauthorized},
		{name: "through a standard proxy", host: "127.0.0.1:7700", header: [2]string{"Forwarded", "for=203.0.113.7"}, code: wire.CodeUnauthorized},
		{name: "remote", host: "127.0.0.1:7700", remote: "203.0.113.7:999", code: wire.CodeUnauthorized},
	} {
		t.Run(tc.name, func(t *testing.T) {
			req := local(httptest.NewRequest("GET", "/v1/config", nil))
			req.Host = tc.host
			if tc.header[0] != "" {
				req.Header.Set(tc.header[0], tc.header[1])
			}
			if tc.token != "" {
				bearer(req, tc.token)
			}
			if tc.remote != "" {
				req.RemoteAddr = tc.remote
			}
			w := serve(r.api, req)
			switch tc.code {
			case "":
				if w.Code != http.StatusOK {
					t.Errorf("status %d: %s", w.Code, w.Body)
				}
			case wire.CodeUnauthorized:
				wantProblem(t, w, http.StatusUnauthorized, tc.code)
			default:
				wantProblem(t, w, http.StatusForbidden, tc.code)
			}
		})
	}
}

// TestATokenEndsEvenWhenReplicatedTimeStandsStill: nothing is written for hours, so replicated time is old.
func TestATokenEndsEvenWhenReplicatedTimeStandsStill(t *testing.T) {
	n := newNode(t)
	api := newAPI(t, n, &syncBuffer{})
	r := &rig{T: t, node: n, api: api}
	n.now = time.Now().Add(-3 * time.Hour)
	old := r.token(wire.RoleViewer, time.Now().Add(-2*time.Hour))
	fresh := r.token(wire.RoleViewer, time.Now().Add(time.Hour))
	wantProblem(t, serve(api, bearer(httptest.NewRequest("GET", "/v1/config", nil), old)), http.StatusUnauthorized, wire.CodeUnauthorized)
	if w := serve(api, bearer(httptest.NewRequest("GET", "/v1/config", nil), fresh)); w.Code != http.StatusOK {
		t.Errorf("status %d: %s", w.Code, w.Body)
	}
}

func TestUnknownMethodsAndRoutes(t *testing.T) {
	r := newRig(t)
	for _, tc := range []struct {
		method, target string
		status         int
		code           string
	}{
		{"GET", "/nope", 404, wire.CodeNotFound},
		{"GET", "/v1//config", 404, wire.CodeNotFound},
		{"GET", "/v1/../v1/config", 404, wire.CodeNotFound},
		{"GET", "/v1/config/", 404, wire.CodeNotFound},
		{"POST", "/v1/config", 405, wire.CodeMethodNotAllowed},
		{"BREW", "/v1/config", 405, wire.CodeMethodNotAllowed},
		{"DELETE", "/healthz", 405, wire.CodeMethodNotAllowed},
		{"GET", "/v1/sessions?limit=0", 422, wire.CodeInvalidRequest},
		{"GET", "/v1/sessions?limit=1001", 422, wire.CodeInvalidRequest},
		{"GET", "/v1/sessions?limit=x", 422, wire.CodeInvalidRequest},
		{"GET", "/v1/sessions?limit=1&limit=2", 422, wire.CodeInvalidRequest},
		{"GET", "/v1/sessions?lmit=1", 422, wire.CodeInvalidRequest},
		{"GET", "/v1/sessions?cursor=-1", 422, wire.CodeInvalidRequest},
		{"GET", "/v1/sessions?cursor=fffffffffffffffff", 422, wire.CodeInvalidRequest},
		{"GET", "/v1/sessions?%zz", 400, wire.CodeBadRequest},
		{"GET", "/v1/status?consistency=maybe", 422, wire.CodeInvalidRequest},
		{"GET", "/v1/sessions/abc", 422, wire.CodeInvalidRequest},
		{"GET", "/v1/sessions/" + strings.Repeat("AB", 16), 422, wire.CodeInvalidRequest},
		{"GET", "/v1/sessions/" + strings.Repeat("ab", 16), 404, wire.CodeNotFound},
		{"GET", "/v1/config?revision=7", 404, wire.CodeNotFound},
		{"GET", "/v1/config?revision=99999999999999999999", 422, wire.CodeInvalidRequest},
		{"DELETE", "/v1/tokens/nope", 404, wire.CodeNotFound},
		{"DELETE", "/v1/tokens/No%2Fpe", 422, wire.CodeInvalidRequest},
	} {
		req := local(httptest.NewRequest(tc.method, "http://127.0.0.1"+tc.target, nil))
		w := serve(r.api, req)
		t.Run(tc.method+tc.target, func(t *testing.T) { wantProblem(t, w, tc.status, tc.code) })
		if tc.status == 405 && w.Header().Get("Allow") == "" {
			t.Errorf("%s %s: 405 without Allow", tc.method, tc.target)
		}
	}
}

// TestOddAcceptHeaders: the framework's parser of Accept can slice past the end.
func TestOddAcceptHeaders(t *testing.T) {
	r := newRig(t)
	for _, accept := range []string{"a;,b", ";", ",", ";;,,", "application/json;q=", "*/*;q=0", strings.Repeat(";,", 4000), "application/cbor", "\xff"} {
		req := local(httptest.NewRequest("GET", "http://127.0.0.1/v1/status", nil))
		req.Header.Set("Accept", accept)
		if w := serve(r.api, req); w.Code != http.StatusOK || w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("Accept %.20q: status %d, type %q", accept, w.Code, w.Header().Get("Content-Type"))
		}
	}
}

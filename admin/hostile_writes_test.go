package admin_test

import (
	"fmt"
	"io"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/admin/wire"
)

// TestHostileBodiesOfEveryRoute: whatever the route, a body that is not one sound JSON object is refused as a whole problem, and nothing is proposed.
func TestHostileBodiesOfEveryRoute(t *testing.T) {
	bodies := map[string]string{
		"empty": "", "cut": `{"a`, "garbage": "\x00\x01\x02", "not UTF-8": "{\"a\":\"\xff\"}", "two values": "{} {}", "trailing": "{}]", "deep objects": strings.Repeat(`{"a":`, 50_000), "deep arrays": strings.Repeat("[", 200_000),
		"array": "[]", "null": "null", "text": `"x"`, "number": "1e999999", "unknown key": `{"zzz":1}`, "many keys": manyKeys(5_000), "BOM": "\ufeff{}", "comment": "{/* */}", "comma": `{"a":1,}`,
		"NUL": "{\"reason\":\"a\x00b\"}", "lone surrogate": `{"\ud800":1}`, "prototype": `{"__proto__":{"a":1}}`,
	}
	for _, tc := range writes {
		if tc.mediaType != mediaJSON {
			continue
		}
		r := newRig(t).busy()
		before := len(r.node.commands)
		for name, body := range bodies {
			w := send(r.api, tc.method, tc.path, mediaJSON, strings.NewReader(body))
			if whole(t, w); w.Code < 400 {
				t.Errorf("%s %s takes a body that is %s: status %d", tc.method, tc.path, name, w.Code)
			}
		}
		twice := strings.Replace(tc.good, "{", `{"zzz":1,"zzz":2,`, 1)
		wantProblem(t, send(r.api, tc.method, tc.path, mediaJSON, strings.NewReader(twice)), 400, wire.CodeMalformedBody)
		if n := len(r.node.commands) - before; n != 0 {
			t.Errorf("%s %s: %d commands of hostile bodies", tc.method, tc.path, n)
		}
		if strings.Contains(r.log.String(), "BUG:") {
			t.Errorf("%s %s: a handler panicked: %s", tc.method, tc.path, r.log)
		}
	}
}

const mediaJSON = "application/json"

// TestNoRouteAnswersForeignNames: neither a page whose name was pointed at this machine (DNS rebinding) nor another site's page gets anything, on any
// route, and nothing is read of what it sends.
func TestNoRouteAnswersForeignNames(t *testing.T) {
	r := newRig(t).busy()
	before := len(r.node.commands)
	for _, op := range operations(t, r.api) {
		if op.role == "" {
			continue
		}
		body := &countingReader{r: strings.NewReader(`{"reason":"x"}`)}
		req := local(httptest.NewRequest(op.method, "http://evil.example:7700"+op.path, body))
		req.Header.Set("Content-Type", mediaJSON)
		wantProblem(t, serve(r.api, req), 403, wire.CodeHostNotAllowed)
		req = local(httptest.NewRequest(op.method, "http://127.0.0.1:7700"+op.path, body))
		req.Header.Set("Content-Type", mediaJSON)
		req.Header.Set("Origin", "http://evil.example")
		wantProblem(t, serve(r.api, req), 403, wire.CodeCrossSite)
		if body.n != 0 {
			t.Errorf("%s %s: %d bytes were read", op.method, op.path, body.n)
		}
	}
	if n := len(r.node.commands) - before; n != 0 {
		t.Errorf("%d commands of strangers", n)
	}
}

// TestHostileEdits: each is refused with its place, and the configuration stays.
func TestHostileEdits(t *testing.T) {
	r := configured(t)
	many := strings.TrimSuffix(strings.Repeat(`{"op":"enable","kind":"cluster","name":"cluster1"},`, 1001), ",")
	for name, tc := range map[string]struct {
		body, code string
		status     int
	}{
		"no edits":         {`{"edits":[]}`, wire.CodeInvalidRequest, 422},
		"null for edits":   {`{"edits":null}`, wire.CodeInvalidRequest, 422},
		"missing":          {`{"message":"x"}`, wire.CodeInvalidRequest, 422},
		"not a list":       {`{"edits":{}}`, wire.CodeInvalidRequest, 422},
		"too many":         {`{"edits":[` + many + `]}`, wire.CodeInvalidRequest, 422},
		"unknown op":       {`{"edits":[{"op":"destroy","kind":"cluster","name":"cluster1"}]}`, wire.CodeConfigInvalid, 422},
		"unknown kind":     {`{"edits":[{"op":"add","kind":"pool","name":"cluster1"}]}`, wire.CodeConfigInvalid, 422},
		"unknown field":    {`{"edits":[{"op":"add","kind":"cluster","name":"c","colour":"red"}]}`, wire.CodeInvalidRequest, 422},
		"unknown value":    {`{"edits":[{"op":"add","kind":"cluster","name":"c","values":{"colour":"red"}}]}`, wire.CodeConfigInvalid, 422},
		"values no object": {`{"edits":[{"op":"add","kind":"cluster","name":"c","values":[1]}]}`, wire.CodeConfigInvalid, 422},
		"values text":      {`{"edits":[{"op":"add","kind":"cluster","name":"c","values":"x"}]}`, wire.CodeConfigInvalid, 422},
		"duplicate inside": {`{"edits":[{"op":"add","kind":"cluster","name":"c","values":{"policy":"x","policy":"y"}}]}`, wire.CodeMalformedBody, 400},
		"huge number":      {`{"edits":[{"op":"set","kind":"instance","cluster":"cluster1","name":"instance1","values":{"weight":1e400}}]}`, wire.CodeMalformedBody, 400},
		"fraction":         {`{"edits":[{"op":"set","kind":"instance","cluster":"cluster1","name":"instance1","values":{"weight":1.5}}]}`, wire.CodeConfigInvalid, 422},
		"wrong unit":       {`{"edits":[{"op":"set","kind":"cluster","name":"cluster1","values":{"quiesceTimeout":"31 parsecs"}}]}`, wire.CodeConfigInvalid, 422},
		"path as a name":   {`{"edits":[{"op":"add","kind":"cluster","name":"../../etc"}]}`, wire.CodeConfigInvalid, 422},
		"escape as a name": {"{\"edits\":[{\"op\":\"add\",\"kind\":\"cluster\",\"name\":\"\\u001b[2J\"}]}", wire.CodeConfigInvalid, 422},
		"half is good":     {`{"edits":[{"op":"add","kind":"cluster","name":"good"},{"op":"remove","kind":"cluster","name":"absent"}]}`, wire.CodeConfigInvalid, 422},
		"long message":     {`{"message":"` + strings.Repeat("m", 600) + `","edits":[{"op":"add","kind":"cluster","name":"c"}]}`, wire.CodeInvalidRequest, 422},
		"negative lock":    {`{"lock":-1,"edits":[{"op":"add","kind":"cluster","name":"c"}]}`, wire.CodeInvalidRequest, 422},
	} {
		t.Run(name, func(t *testing.T) {
			w := post(r.api, "POST", "/v1/config/edits", tc.body)
			p := wantProblem(t, w, tc.status, tc.code)
			if len(p.Errors) == 0 || p.Errors[0].Message == "" {
				t.Errorf("no place, no reason: %+v", p)
			}
			if strings.Contains(w.Body.String(), "\x1b") {
				t.Error("the answer has a control character")
			}
		})
	}
	if n := r.node.state.Revision().Number; n != 1 {
		t.Errorf("revision %d after nothing but refusals", n)
	}
}

// TestLargeConfigurations: thousands of edits and instances are taken in a bearable time; what does not fit into the log is refused.
func TestLargeConfigurations(t *testing.T) {
	r := configured(t)
	var edits []string
	for i := range 1000 {
		edits = append(edits, fmt.Sprintf(`{"op":"add","kind":"instance","cluster":"cluster1","name":"n%d","values":{"listeners":["http://10.0.%d.%d:80"]}}`, i, i/250, i%250))
	}
	start := time.Now()
	decode[wire.ConfigResult](t, post(r.api, "POST", "/v1/config/edits", `{"edits":[`+strings.Join(edits, ",")+`]}`))
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("1000 edits took %v", took)
	}
	if n := len(r.node.state.Revision().Config.Clusters[0].Instances); n != 1002 {
		t.Errorf("%d instances", n)
	}
	p := decode[wire.Plan](t, send(r.api, "POST", "/v1/config/plan", "application/yaml", strings.NewReader("clusters: []")))
	if p.ChangeCount < len(p.Changes) || len(p.Changes) > 1000 {
		t.Errorf("%d of %d changes", len(p.Changes), p.ChangeCount)
	}
}

func FuzzEdits(f *testing.F) {
	for _, seed := range []string{disable1, "", "null", `{"edits":[]}`, `{"edits":[{"op":"set","kind":"cluster","name":"cluster1","values":{"health":{"path":"/x"}}}]}`, `{"edits":[{"op":"add","kind":"module","cluster":"cluster1","contextRoot":"/a","host":"h"}],"now":[{"cluster":"cluster1"}]}`,
		`{"edits":[{"op":"set","kind":"group","values":null}]}`, `{"edits":[{}],"edits":[]}`, `{"edits":[{"op":"remove","kind":"instance","cluster":"cluster1","name":"instance1"}],"stopped":[{"cluster":"cluster1","instance":"instance1"}]}`} {
		f.Add(seed, false)
		f.Add(seed, true)
	}
	r := fuzzRig(f)
	f.Fuzz(func(t *testing.T, body string, plan bool) {
		path := "/v1/config/edits"
		if plan {
			path = "/v1/config/plan"
		}
		before := r.node.state.Revision()
		w := post(r.api, "POST", path, body)
		whole(t, w)
		if after := r.node.state.Revision(); (w.Code >= 400 || plan) && after != before {
			t.Errorf("status %d, but the revision is %d after %d", w.Code, after.Number, before.Number)
		}
	})
}

// fuzzRig is a rig for a fuzz target, with a group that has okConfig.
func fuzzRig(f *testing.F) *rig {
	f.Helper()
	n := newNode(f)
	r := &rig{node: n, api: newAPI(f, n, io.Discard)}
	if w := put(r.api, "/v1/config", `"0"`, "", okConfig); w.Code != 200 {
		f.Fatalf("status %d: %s", w.Code, w.Body)
	}
	return r
}

func FuzzHeartbeat(f *testing.F) {
	for _, seed := range []string{`{"listeners":["http://a:1"]}`, `{}`, "", "[]", `{"listeners":["http://a:1"],"failoverTo":"i1","weight":3}`, `{"name":"self"}`, `{"name":null}`, `{"failoverTo":null}`, `{"listeners":null}`, `{"template":"i1"}`} {
		f.Add(seed)
	}
	r := fuzzRig(f)
	if w := put(r.api, "/v1/config", `"1"`, "", weighted); w.Code != 200 {
		f.Fatalf("status %d: %s", w.Code, w.Body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		w := send(r.api, "PUT", beatPath, mediaJSON, strings.NewReader(body))
		whole(t, w)
		if w.Code == 200 {
			if in := r.node.beats[len(r.node.beats)-1]; in.Name != "self" || len(in.Listeners) == 0 {
				t.Errorf("registered %+v from %q", in, body)
			}
			r.node.beats = r.node.beats[:0]
		}
	})
}

func FuzzSubject(f *testing.F) {
	for _, seed := range []string{"c/i", "c", "c:/x", "c:h/x", "", "/", ":", "c/", "c:", "c:h", "c/i/j", "c:h:8/x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if s, ok := wire.ParseSubject(text); ok && s.String() != text {
			t.Errorf("%q comes back as %q: %+v", text, s.String(), s)
		}
	})
}

func FuzzQuiesceAndLock(f *testing.F) {
	for _, seed := range []string{`{"remaining":"5m"}`, `{"total":"15m","subject":{"cluster":"c"}}`, `{"reason":"x","timeout":"1h"}`, "", "{}", `{"reason":1}`, `{"remaining":"1e9h"}`} {
		f.Add(seed)
	}
	n := newNode(f)
	api := newAPI(f, n, io.Discard)
	f.Fuzz(func(t *testing.T, body string) {
		for _, w := range []*httptest.ResponseRecorder{
			send(api, "PATCH", "/v1/quiesces/7", mediaJSON, strings.NewReader(body)),
			send(api, "POST", "/v1/config/rollback", mediaJSON, strings.NewReader(body)),
		} {
			whole(t, w)
		}
	})
}

package admin_test

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

const storeConfig = `
clusters:
  - name: cluster1
    affinity: {type: learn}
    modules: [{contextRoot: /fortune, store: {sessions: true, kv: true, maxValue: 1KiB, maxBytes: 4KiB}}]
    instances: [{name: instance1, listeners: ["http://127.0.0.1:9001"]}]
  - name: cluster2
    modules: [{contextRoot: /a}, {contextRoot: /b, store: {sessions: true}}]
    instances: [{name: instance1, listeners: ["http://127.0.0.1:9001"]}]
`

// storeRig is an API whose group has a module with a store, id 1, and one with session data alone, id 3.
func storeRig(t *testing.T) *rig {
	t.Helper()
	r := newRig(t)
	c, err := config.Parse("", []byte(storeConfig))
	if err != nil {
		t.Fatal(err)
	}
	r.node.mu.Lock()
	defer r.node.mu.Unlock()
	if res := r.node.apply(t, &fsm.ConfigChange{Config: c}); res.Code != fsm.CodeOK {
		t.Fatal(res)
	}
	r.node.view.left = map[fsm.Subject]int{{Cluster: "cluster1", ContextRoot: "/fortune"}: 1, {Cluster: "cluster2", ContextRoot: "/a"}: 2, {Cluster: "cluster2", ContextRoot: "/b"}: 3}
	return r
}

// storeRequest is a request of an application, with all that a route of the store may ask for.
func storeRequest(method, path string) *http.Request {
	if method == http.MethodDelete && path == "/v1/kv/cluster1" {
		path += "?all=true&contextRoot=/fortune"
	}
	req := local(httptest.NewRequest(method, "http://127.0.0.1:7700"+path, strings.NewReader(`{}`)))
	req.Header.Set("Holdfast-Session", "id-1")
	if method == http.MethodPatch {
		req.Header.Set("Content-Type", "application/merge-patch+json")
	}
	return req
}

type header struct{ name, value string }

// app makes a call as an application on the node's own machine does.
func (r *rig) app(method, path, body string, headers ...header) *httptest.ResponseRecorder {
	req := local(httptest.NewRequest(method, "http://127.0.0.1:7700"+path, strings.NewReader(body)))
	if method == http.MethodPatch {
		req.Header.Set("Content-Type", "application/merge-patch+json")
	}
	for _, h := range headers {
		req.Header.Set(h.name, h.value)
	}
	return serve(r.api, req)
}

const (
	dataPath = "/v1/session-data/cluster1"
	keyPath  = "/v1/kv/cluster1/"
)

var mine = header{"Holdfast-Session", "id-1.instance1"}

func wantStatus(t *testing.T, w *httptest.ResponseRecorder, status int) *httptest.ResponseRecorder {
	t.Helper()
	if w.Code != status {
		t.Fatalf("status %d, want %d: %s", w.Code, status, w.Body)
	}
	return w
}

// TestStoreSessionData: TC-02, TC-06, TC-15. What an instance writes is read by any other, byte for byte and with its type, until it is removed.
func TestStoreSessionData(t *testing.T) {
	r := storeRig(t)
	wantProblem(t, r.app("GET", dataPath, "", mine), 404, wire.CodeNotFound)
	w := wantStatus(t, r.app("PUT", dataPath, "\x00\xff bytes", mine, header{"Content-Type", "application/x-java-serialized-object"}), 201)
	tag := w.Header().Get("ETag")
	got := wantStatus(t, r.app("GET", dataPath, "", mine), 200)
	if got.Body.String() != "\x00\xff bytes" || got.Header().Get("Content-Type") != "application/x-java-serialized-object" || got.Header().Get("ETag") != tag || tag == "" ||
		got.Header().Get("Holdfast-Consistency") != wire.Linearizable || got.Header().Get("Last-Modified") == "" || got.Header().Get("Holdfast-Expires") == "" {
		t.Errorf("%q %v", got.Body, got.Header())
	}
	if w := r.app("GET", dataPath, "", mine, header{"If-None-Match", `"1", ` + tag}); w.Code != http.StatusNotModified || w.Body.Len() != 0 {
		t.Errorf("%d %q", w.Code, w.Body)
	}
	if w := wantStatus(t, r.app("PUT", dataPath, "", mine), 204); w.Header().Get("ETag") == tag {
		t.Error("the version has not changed")
	}
	if w := wantStatus(t, r.app("GET", dataPath+"?consistency=stale", "", mine), 200); w.Body.Len() != 0 || w.Header().Get("Content-Type") != "application/octet-stream" {
		t.Errorf("%q %v", w.Body, w.Header())
	}
	wantStatus(t, r.app("GET", dataPath, "", header{"Holdfast-Session", "id-2"}), 404)
	wantStatus(t, r.app("DELETE", dataPath, "", mine), 204)
	wantProblem(t, r.app("DELETE", dataPath, "", mine), 404, wire.CodeNotFound)
	if log := r.log.String(); strings.Contains(log, "id-1") || strings.Contains(log, "bytes") && strings.Contains(log, "\xff") {
		t.Error("the log has what belongs to a session")
	}
}

// TestStoreConditions: compare and set by entity tags, as HTTP has it.
func TestStoreConditions(t *testing.T) {
	r := storeRig(t)
	path := keyPath + "a"
	match := func(tag string) header { return header{"If-Match", tag} }
	absent := header{"If-None-Match", "*"}
	wantProblem(t, r.app("PUT", path, "x", match("*")), 412, wire.CodePreconditionFailed)
	first := wantStatus(t, r.app("PUT", path, "1", absent), 201).Header().Get("ETag")
	if w := r.app("PUT", path, "x", absent); w.Header().Get("ETag") != first {
		t.Errorf("%v", w.Header())
	} else {
		wantProblem(t, w, 412, wire.CodePreconditionFailed)
	}
	second := wantStatus(t, r.app("PUT", path, "2", match(first)), 204).Header().Get("ETag")
	wantProblem(t, r.app("PUT", path, "x", match(first)), 412, wire.CodePreconditionFailed)
	wantProblem(t, r.app("DELETE", path, "", match(first)), 412, wire.CodePreconditionFailed)
	wantProblem(t, r.app("PATCH", path, `{}`, match(first)), 412, wire.CodePreconditionFailed)
	wantProblem(t, r.app("PUT", path, "x", match(strings.TrimSuffix(second, `"`)+`-00c0ffee"`)), 412, wire.CodePreconditionFailed) // of another history
	wantProblem(t, r.app("GET", keyPath+"b", "", match(first)), 404, wire.CodeNotFound)
	for _, bad := range []string{"7", `"x"`, `W/"7"`, `"7`, `""`, `"0"`, `"-1"`, `"7","8"`, `"99999999999999999999"`} {
		wantProblem(t, r.app("PUT", path, "x", match(bad)), 400, wire.CodeInvalidPrecondition)
	}
	wantProblem(t, r.app("PUT", path, "x", match(second), absent), 400, wire.CodeInvalidPrecondition)
	wantProblem(t, r.app("PUT", path, "x", header{"If-None-Match", first}), 400, wire.CodeInvalidPrecondition)
	wantProblem(t, r.app("DELETE", path, "", absent), 400, wire.CodeInvalidPrecondition)
	wantProblem(t, r.app("PATCH", path, `{}`, absent), 400, wire.CodeInvalidPrecondition)
	if w := r.app("GET", path, ""); w.Body.String() != "2" || w.Header().Get("ETag") != second {
		t.Errorf("%q %v", w.Body, w.Header())
	}
	wantStatus(t, r.app("DELETE", path, "", match(second)), 204)
}

// TestStoreIdempotency: a write that is sent again with its key is done once.
func TestStoreIdempotency(t *testing.T) {
	r := storeRig(t)
	key := header{"Idempotency-Key", "k1"}
	first := wantStatus(t, r.app("PUT", keyPath+"a", "mine", key), 201).Header().Get("ETag")
	wantStatus(t, r.app("PUT", keyPath+"a", "theirs"), 204)
	if again := wantStatus(t, r.app("PUT", keyPath+"a", "mine", key), 204).Header().Get("ETag"); again != first {
		t.Errorf("%s, then %s", first, again)
	}
	if w := r.app("GET", keyPath+"a", ""); w.Body.String() != "theirs" {
		t.Errorf("%q", w.Body)
	}
}

// TestStoreIdempotencyOfPatches: nobody hears that a patch that was made was not, whatever has become of the value since.
func TestStoreIdempotencyOfPatches(t *testing.T) {
	r := storeRig(t)
	path, json := keyPath+"a", header{"Content-Type", "application/json"}
	first := wantStatus(t, r.app("PUT", path, `{"n":1}`, json), 201).Header().Get("ETag")
	match, bound, free := header{"If-Match", first}, header{"Idempotency-Key", "k1"}, header{"Idempotency-Key", "k2"}
	second := wantStatus(t, r.app("PATCH", path, `{"n":2}`, match, bound), 204).Header().Get("ETag")
	third := wantStatus(t, r.app("PATCH", path, `{"m":3}`, free), 204).Header().Get("ETag")
	again := func() {
		t.Helper()
		if tag := wantStatus(t, r.app("PATCH", path, `{"n":2}`, match, bound), 204).Header().Get("ETag"); tag != second {
			t.Errorf("%s, then %s", second, tag)
		}
		if tag := wantStatus(t, r.app("PATCH", path, `{"m":3}`, free), 204).Header().Get("ETag"); tag != third {
			t.Errorf("%s, then %s", third, tag)
		}
	}
	again()
	if w := r.app("GET", path, ""); w.Body.String() != `{"m":3,"n":2}` || w.Header().Get("ETag") != third {
		t.Errorf("%q %v", w.Body, w.Header())
	}
	other := header{"Idempotency-Key", "k3"} // was never sent before
	if w := r.app("PATCH", path, `{"n":2}`, match, other); w.Header().Get("ETag") != third {
		t.Errorf("%v", w.Header())
	} else {
		wantProblem(t, w, 412, wire.CodePreconditionFailed)
	}
	wantStatus(t, r.app("PUT", path, "no JSON"), 204)
	again()
	wantProblem(t, r.app("PATCH", path, `{"n":2}`, other), 422, wire.CodeInvalidRequest)
	wantStatus(t, r.app("DELETE", path, ""), 204)
	again()
	wantProblem(t, r.app("PATCH", path, `{"n":2}`, other), 404, wire.CodeNotFound)
	wantProblem(t, r.app("PATCH", path, `{"n":2}`, match, other), 412, wire.CodePreconditionFailed)
}

// TestStoreBounds: TC-15. Over a bound: 413 or 507 with the bound in the text, and nothing stored.
func TestStoreBounds(t *testing.T) {
	r := storeRig(t)
	if p := wantProblem(t, r.app("PUT", dataPath, strings.Repeat("x", 1025), mine), 413, wire.CodeValueTooLarge); !strings.Contains(p.Detail, "1025 bytes; at most 1024") {
		t.Error(p.Detail)
	}
	wantProblem(t, r.app("PUT", dataPath, strings.Repeat("x", fsm.MaxStoredValue+1), mine), 413, wire.CodeBodyTooLarge)
	wantStatus(t, r.app("GET", dataPath, "", mine), 404)
	n := 0
	for ; n < 10; n++ {
		w := r.app("PUT", fmt.Sprint(keyPath, "k", n), strings.Repeat("x", 1024))
		if w.Code == 507 {
			if p := wantProblem(t, w, 507, wire.CodeStoreFull); !strings.Contains(p.Detail, "may have 4096") {
				t.Error(p.Detail)
			}
			break
		}
		wantStatus(t, w, 201)
	}
	if n < 2 || n > 4 {
		t.Errorf("%d values of 1 KiB fit into 4 KiB", n)
	}
	wantStatus(t, r.app("GET", fmt.Sprint(keyPath, "k", n), ""), 404)
	report := decode[wire.StoreReport](t, read(r.api, "/v1/store"))
	if len(report.Modules) != 1 || report.Modules[0].Keys != n || report.Modules[0].MaxBytes != 4096 || report.Modules[0].Bytes > 4096 || report.Bytes != report.Modules[0].Bytes {
		t.Errorf("%+v", report)
	}
}

// TestStoreHostileRequests: what makes no sense is refused with words, and stores nothing.
func TestStoreHostileRequests(t *testing.T) {
	r := storeRig(t)
	for name, tc := range map[string]struct {
		method, path, body string
		header             header
		status             int
		code               string
	}{
		"no session":              {"PUT", dataPath, "x", header{}, 422, wire.CodeInvalidRequest},
		"not a session":           {"PUT", dataPath, "x", header{"Holdfast-Session", "x"}, 422, wire.CodeSessionIDNotInCluster},
		"long session":            {"PUT", dataPath, "x", header{"Holdfast-Session", "id-" + strings.Repeat("x", 5000)}, 422, wire.CodeInvalidRequest},
		"no cluster":              {"PUT", "/v1/session-data/none", "x", mine, 404, wire.CodeNotFound},
		"no module":               {"PUT", dataPath + "?contextRoot=/none", "x", mine, 404, wire.CodeNotFound},
		"wrong host":              {"PUT", dataPath + "?contextRoot=/fortune&host=a.example", "x", mine, 404, wire.CodeNotFound},
		"which module":            {"PUT", "/v1/session-data/cluster2", "x", mine, 422, wire.CodeInvalidRequest},
		"module without a store":  {"PUT", "/v1/session-data/cluster2?contextRoot=/a", "x", mine, 404, wire.CodeNotFound},
		"module without keys":     {"PUT", "/v1/kv/cluster2/k?contextRoot=/b", "x", header{}, 404, wire.CodeNotFound},
		"no media type":           {"PUT", keyPath + "k", "x", header{"Content-Type", ";;"}, 422, wire.CodeInvalidRequest},
		"long media type":         {"PUT", keyPath + "k", "x", header{"Content-Type", "a/" + strings.Repeat("b", 300)}, 422, wire.CodeInvalidRequest},
		"compressed":              {"PUT", keyPath + "k", "x", header{"Content-Encoding", "gzip"}, 415, wire.CodeUnsupportedMediaType},
		"negative time":           {"PUT", keyPath + "k?ttlSeconds=-1", "x", header{}, 422, wire.CodeInvalidRequest},
		"endless time":            {"PUT", keyPath + "k?ttlSeconds=99999999999999999999", "x", header{}, 422, wire.CodeInvalidRequest},
		"unknown parameter":       {"PUT", keyPath + "k?ttl=5", "x", header{}, 422, wire.CodeInvalidRequest},
		"dots":                    {"PUT", keyPath + "..%2Fk", "x", header{}, 404, wire.CodeNotFound},
		"hidden":                  {"PUT", keyPath + ".k", "x", header{}, 422, wire.CodeInvalidRequest},
		"odd key":                 {"PUT", keyPath + "k%00", "x", header{}, 422, wire.CodeInvalidRequest},
		"long key":                {"PUT", keyPath + strings.Repeat("k", 513), "x", header{}, 422, wire.CodeInvalidRequest},
		"patch of nothing":        {"PATCH", keyPath + "k", "{}", header{}, 404, wire.CodeNotFound},
		"patch of another type":   {"PATCH", keyPath + "k", "{}", header{"Content-Type", "application/json"}, 415, wire.CodeUnsupportedMediaType},
		"patch that is none":      {"PATCH", keyPath + "k", "{", header{}, 400, wire.CodeMalformedBody},
		"patch with a double":     {"PATCH", keyPath + "k", `{"a":1,"a":2}`, header{}, 400, wire.CodeMalformedBody},
		"deep patch":              {"PATCH", keyPath + "k", strings.Repeat(`{"a":`, 9000) + "1" + strings.Repeat("}", 9000), header{}, 400, wire.CodeMalformedBody},
		"clear without a word":    {"DELETE", "/v1/kv/cluster1", "", header{}, 422, wire.CodeInvalidRequest},
		"clear that is not meant": {"DELETE", "/v1/kv/cluster1?all=false", "", header{}, 422, wire.CodeInvalidRequest},
		"clear of an odd module":  {"DELETE", "/v1/kv/none?all=true&contextRoot=/x", "", header{}, 404, wire.CodeNotFound},
		"data of an odd key":      {"GET", "/v1/sessions/xyz/data", "", header{}, 422, wire.CodeInvalidRequest},
		"post":                    {"POST", dataPath, "x", mine, 405, wire.CodeMethodNotAllowed},
		"list of too many":        {"GET", "/v1/kv/cluster1?limit=1001", "", header{}, 422, wire.CodeInvalidRequest},
		"watch from before time":  {"GET", "/v1/kv/cluster1?changedSince=-1", "", header{}, 422, wire.CodeInvalidRequest},
		"watch for ever":          {"GET", "/v1/kv/cluster1?changedSince=1&waitSeconds=61", "", header{}, 422, wire.CodeInvalidRequest},
	} {
		t.Run(name, func(t *testing.T) {
			h := []header{}
			if tc.header.name != "" {
				h = append(h, tc.header)
			}
			wantProblem(t, r.app(tc.method, tc.path, tc.body, h...), tc.status, tc.code)
		})
	}
	if list, total := r.node.state.StoreUse(); len(list) != 0 || total != 0 {
		t.Errorf("%+v", list)
	}
}

// TestStoreOverTheWire: lengths that lie and bodies that never come, on a real connection.
func TestStoreOverTheWire(t *testing.T) {
	r := storeRig(t)
	for name, request := range map[string]string{
		"negative length": "PUT " + keyPath + "k HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -5\r\n\r\nhello",
		"huge header":     "PUT " + keyPath + "k HTTP/1.1\r\nHost: 127.0.0.1\r\nHoldfast-Session: " + strings.Repeat("x", 64<<10) + "\r\nContent-Length: 1\r\n\r\nx",
		"two lengths":     "PUT " + keyPath + "k HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxy",
		"huge length":     "PUT " + keyPath + "k HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 99999999999\r\n\r\nx",
	} {
		t.Run(name, func(t *testing.T) {
			c, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if err := c.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
				t.Fatal(err)
			}
			// The server may have answered and gone before it has read all.
			_, _ = c.Write([]byte(request))
			answer := make([]byte, 12)
			if _, err := c.Read(answer); err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 4") {
				t.Errorf("%q, %v", answer, err)
			}
		})
	}
	if list, _ := r.node.state.StoreUse(); len(list) != 0 {
		t.Errorf("%+v", list)
	}
}

// TestStorePatches: TC-38. A JSON merge patch (RFC 7396); the log gets the part that changes and no more.
func TestStorePatches(t *testing.T) {
	r := storeRig(t)
	big := strings.Repeat("x", 700)
	wantStatus(t, r.app("PUT", dataPath, `{"big":"`+big+`","cart":{"a":1,"b":2},"n":1.50,"user":"ann"}`, mine, header{"Content-Type", "application/json"}), 201)
	wantStatus(t, r.app("PATCH", dataPath, `{"cart":{"b":3}}`, mine), 204)
	splice := last[*fsm.StoreSplice](t, r.node)
	if len(splice.Insert) != 1 || splice.Insert[0] != '3' || splice.Cut != 1 {
		t.Errorf("%q in the place of %d bytes", splice.Insert, splice.Cut)
	}
	wantStatus(t, r.app("PATCH", dataPath, `{"user":null,"new":{"x":null,"y":[1,null]}}`, mine), 204)
	if w := r.app("GET", dataPath, "", mine); w.Body.String() != `{"big":"`+big+`","cart":{"a":1,"b":3},"n":1.50,"new":{"y":[1,null]}}` {
		t.Errorf("%s", w.Body)
	}
	wantProblem(t, r.app("PATCH", dataPath, `{"more":"`+big+`"}`, mine), 413, wire.CodeValueTooLarge)
	wantStatus(t, r.app("PUT", dataPath, `{"a"`, mine, header{"Content-Type", "application/vnd.shop+json"}), 204)
	wantProblem(t, r.app("PATCH", dataPath, `{}`, mine), 422, wire.CodeInvalidRequest)
	wantStatus(t, r.app("PUT", dataPath, `{}`, mine, header{"Content-Type", "text/plain"}), 204)
	wantProblem(t, r.app("PATCH", dataPath, `{}`, mine), 422, wire.CodeInvalidRequest)
}

// TestStorePatchMeetsOthers: a patch without If-Match is made anew to what others have written meanwhile, so that nothing of theirs is lost.
func TestStorePatchMeetsOthers(t *testing.T) {
	r := storeRig(t)
	wantStatus(t, r.app("PUT", keyPath+"k", `{"n":0}`, header{"Content-Type", "application/json"}), 201)
	others := 3
	r.node.proposed = func() {
		if others--; others > 0 {
			r.node.mu.Lock()
			defer r.node.mu.Unlock()
			r.node.apply(t, &fsm.StorePut{StoreKey: fsm.StoreKey{Space: fsm.SpaceKV, Module: 1, Key: "k"}, Type: "application/json", Data: fmt.Appendf(nil, `{"n":%d}`, others)})
		}
	}
	wantStatus(t, r.app("PATCH", keyPath+"k", `{"mine":true}`), 204)
	if w := r.app("GET", keyPath+"k", ""); w.Body.String() != `{"mine":true,"n":1}` {
		t.Errorf("%s", w.Body)
	}
	others = 1 << 30
	wantProblem(t, r.app("PATCH", keyPath+"k", `{"mine":true}`), 409, wire.CodeRefused)
}

// TestStoreKeys: TC-07, TC-19. Keys are listed by prefix, page by page, with their values where these are wanted.
func TestStoreKeys(t *testing.T) {
	r := storeRig(t)
	for _, k := range []string{"a", "flags%2Fx", "flags%2Fy", "z"} {
		wantStatus(t, r.app("PUT", keyPath+k+"?ttlSeconds=60", "v:"+k, header{"Content-Type", "text/plain"}), 201)
	}
	list := decode[wire.StoredKeys](t, read(r.api, "/v1/kv/cluster1?prefix=flags/&values=true"))
	if len(list.Keys) != 2 || list.Keys[0].Key != "flags/x" || string(list.Keys[1].Data) != "v:flags%2Fy" || list.Keys[0].Type != "text/plain" || list.Keys[0].Bytes != 11 || list.Next != "" || list.Index == 0 ||
		list.Keys[0].Expires.Sub(list.Keys[0].Changed) != time.Minute {
		t.Errorf("%+v", list)
	}
	var all []string
	for after := ""; ; {
		page := decode[wire.StoredKeys](t, read(r.api, "/v1/kv/cluster1?limit=3&after="+after))
		for _, k := range page.Keys {
			all = append(all, k.Key)
			if k.Data != nil {
				t.Error("values that nobody asked for")
			}
		}
		if after = page.Next; after == "" {
			break
		}
	}
	if got := strings.Join(all, " "); got != "a flags/x flags/y z" {
		t.Error(got)
	}
	wantStatus(t, r.app("DELETE", "/v1/kv/cluster1?all=true", ""), 204)
	if list := decode[wire.StoredKeys](t, read(r.api, "/v1/kv/cluster1")); len(list.Keys) != 0 {
		t.Errorf("%+v", list)
	}
}

// TestStoreWatch: a member learns of a change when it happens, and of none when there is none.
func TestStoreWatch(t *testing.T) {
	r := storeRig(t)
	wantStatus(t, r.app("PUT", keyPath+"a", "1"), 201)
	first := decode[wire.StoredKeys](t, read(r.api, "/v1/kv/cluster1"))
	answers := make(chan *httptest.ResponseRecorder, 1)
	watch := func(since uint64, seconds int) {
		go func() {
			answers <- read(r.api, fmt.Sprintf("/v1/kv/cluster1?changedSince=%d&waitSeconds=%d", since, seconds))
		}()
	}
	// A second without a change: the list is as it was.
	watch(first.Index, 1)
	if list := decode[wire.StoredKeys](t, <-answers); len(list.Keys) != 1 {
		t.Errorf("%+v", list)
	}
	watch(first.Index, 60)
	wantStatus(t, r.app("DELETE", keyPath+"a", ""), 204)
	list := decode[wire.StoredKeys](t, <-answers)
	if len(list.Keys) != 0 || list.Index <= first.Index {
		t.Errorf("%+v", list)
	}
	// What has happened already is told of at once.
	watch(first.Index, 60)
	if again := decode[wire.StoredKeys](t, <-answers); again.Index < list.Index {
		t.Errorf("%+v", again)
	}
}

// TestStoreWatchEndsWithTheRight: who may not read any more while a watch waits gets nothing that was written since.
func TestStoreWatchEndsWithTheRight(t *testing.T) {
	r := storeRig(t)
	wantStatus(t, r.app("PUT", keyPath+"a", "1"), 201)
	token := r.applicationToken("cluster1")
	id, _, _ := strings.Cut(strings.TrimPrefix(token, "hft1."), ".")
	began, answers := make(chan struct{}), make(chan *httptest.ResponseRecorder, 1)
	r.node.view.watched = sync.OnceFunc(func() { close(began) })
	go func() {
		answers <- serve(r.api, bearer(httptest.NewRequest("GET", fmt.Sprintf("http://balancer.example:7700/v1/kv/cluster1?values=true&changedSince=%d&waitSeconds=60", r.node.state.Applied()), nil), token))
	}()
	<-began
	if res, err := r.node.Propose(t.Context(), &fsm.TokenDrop{ID: id}); err != nil || res.Code != fsm.CodeOK {
		t.Fatal(err, res)
	}
	wantStatus(t, r.app("PUT", keyPath+"a", "secret"), 204)
	wantProblem(t, <-answers, 401, wire.CodeUnauthorized)
}

// TestStoreNeedsItsPermission: a role that may look into sessions, or drop them, does not get at what applications keep by that.
func TestStoreNeedsItsPermission(t *testing.T) {
	r := storeRig(t)
	wantStatus(t, r.app("PUT", dataPath, "cart", mine), 201)
	wantStatus(t, r.app("PUT", keyPath+"a", "1"), 201)
	path := "/v1/sessions/" + keyOf("cluster1", "id-1.instance1").String() + "/data"
	for i, tc := range []struct {
		more   string
		status int
	}{{"", 403}, {`,"store:use@cluster=cluster2"`, 403}, {`,"store:use@cluster=cluster1"`, 0}, {`,"store:use"`, 0}} {
		role := fmt.Sprint("support", i)
		must(t, post(r.api, "PUT", "/v1/roles/"+role, `{"allow":["sessions:explain","sessions:write"`+tc.more+`]}`))
		token := tokenFor(t, r, fmt.Sprintf(`{"role":%q}`, role)).Secret
		for _, call := range []struct {
			method, path string
			status       int
		}{{"GET", path, 200}, {"DELETE", "/v1/kv/cluster1?all=true", 204}} {
			want := call.status
			if tc.status != 0 {
				want = tc.status
			}
			if w := asked(r.api, token, call.method, call.path, ""); w.Code != want {
				t.Errorf("%s %s with more %s: status %d, want %d: %s", call.method, call.path, tc.more, w.Code, want, w.Body)
			}
		}
	}
}

// applicationToken is a token of the role application that is bound to clusters.
func (r *rig) applicationToken(clusters ...string) string {
	r.Helper()
	secret := sha256.Sum256([]byte("application" + strings.Join(clusters, ",")))
	hash := sha256.Sum256(secret[:])
	id := fmt.Sprintf("%x", hash[8:16])
	res, err := r.node.Propose(r.Context(), &fsm.TokenPut{Token: fsm.Token{ID: id, Role: wire.RoleApplication, Hash: hash[:], Clusters: clusters}})
	if err != nil || res.Code != fsm.CodeOK {
		r.Fatal(err, res)
	}
	return "hft1." + id + "." + base64.RawURLEncoding.EncodeToString(secret[:])
}

// TestStoreTokens: an application's token opens the store of the clusters that it is bound to, and nothing else.
func TestStoreTokens(t *testing.T) {
	r := storeRig(t)
	far := func(token, method, path string) *httptest.ResponseRecorder {
		req := bearer(httptest.NewRequest(method, "http://balancer.example:7700"+path, strings.NewReader("x")), token)
		req.Header.Set("Holdfast-Session", "id-1")
		return serve(r.api, req)
	}
	bound, free := r.applicationToken("cluster1"), r.applicationToken()
	wantStatus(t, far(bound, "PUT", dataPath), 201)
	wantStatus(t, far(bound, "PUT", keyPath+"a"), 201)
	if p := wantProblem(t, far(bound, "PUT", "/v1/session-data/cluster2?contextRoot=/b"), 403, wire.CodeForbidden); !strings.Contains(p.Detail, "store:use for cluster cluster2") {
		t.Error(p.Detail)
	}
	wantProblem(t, far(bound, "GET", "/v1/kv/cluster2"), 403, wire.CodeForbidden)
	wantStatus(t, far(free, "PUT", "/v1/session-data/cluster2?contextRoot=/b"), 201)
	for _, path := range []string{"/v1/status", "/v1/config", "/v1/sessions", "/v1/store", "/v1/events", "/metrics", "/v1/sessions/" + strings.Repeat("ab", 16) + "/data"} {
		wantProblem(t, far(free, "GET", path), 403, wire.CodeForbidden)
	}
	wantProblem(t, far(free, "DELETE", "/v1/kv/cluster1?all=true"), 403, wire.CodeForbidden)
	wantProblem(t, far(r.token(wire.RoleViewer, time.Time{}), "GET", dataPath), 403, wire.CodeForbidden)
	wantStatus(t, far(r.token(wire.RoleOperator, time.Time{}), "GET", dataPath), 200)
	if w := send(r.api, "POST", "/v1/tokens", "application/json", strings.NewReader(`{"role":"operator","clusters":["cluster1"]}`)); w.Code != 422 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	made := decode[wire.NewToken](t, send(r.api, "POST", "/v1/tokens", "application/json", strings.NewReader(`{"role":"application","clusters":["cluster1"]}`)))
	if len(made.Clusters) != 1 {
		t.Errorf("%+v", made)
	}
	wantStatus(t, far(made.Secret, "GET", dataPath), 200)
	wantStatus(t, far(made.Secret, "GET", "/v1/kv/cluster2"), 403)
}

// TestStoreOfAKey: operators see and remove the data of a session by its key.
func TestStoreOfAKey(t *testing.T) {
	r := storeRig(t)
	wantStatus(t, r.app("PUT", dataPath, "cart", mine), 201)
	path := "/v1/sessions/" + keyOf("cluster1", "id-1.instance1").String() + "/data"
	if w := wantStatus(t, r.app("GET", path, ""), 200); w.Body.String() != "cart" {
		t.Errorf("%q", w.Body)
	}
	wantStatus(t, r.app("DELETE", path, ""), 204)
	wantStatus(t, r.app("GET", path, ""), 404)
}

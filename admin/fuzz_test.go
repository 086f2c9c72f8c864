package admin_test

import (
	"encoding/json"
	"io"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/holdfast-lb/holdfast/admin/wire"
)

// whole checks what holds for every answer to whatever input: a success, or a whole problem document that blames the caller.
func whole(t *testing.T, w *httptest.ResponseRecorder) {
	t.Helper()
	if w.Code >= 200 && w.Code < 300 {
		return
	}
	var p wire.Problem
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || p.Code == "" || p.Status != w.Code || w.Code < 400 || w.Code >= 500 {
		t.Errorf("status %d: %v: %.300s", w.Code, err, w.Body)
	}
}

func FuzzPutConfig(f *testing.F) {
	for _, seed := range []string{okConfig, "", "{}", "[", "listeners: []\nlisteners: []", `{"clusters":[{"name":"a"}]}`, "a: &a [*a]", "\x00", "x: !!binary aGk=", "? a\n: b", "{\"a\":\"\\ud800\"}"} {
		f.Add(seed, true, `"0"`)
	}
	f.Add(okConfig, false, `"00"`)
	n := newNode(f)
	api := newAPI(f, n, io.Discard)
	f.Fuzz(func(t *testing.T, body string, yaml bool, ifMatch string) {
		mediaType := "application/json"
		if yaml {
			mediaType = "application/yaml"
		}
		req := local(httptest.NewRequest("PUT", "http://127.0.0.1/v1/config", strings.NewReader(body)))
		req.Header.Set("Content-Type", mediaType)
		req.Header["If-Match"] = []string{ifMatch}
		before := n.state.Revision()
		w := serve(api, req)
		whole(t, w)
		if after := n.state.Revision(); w.Code >= 400 && after != before {
			t.Errorf("status %d, but the revision is %d after %d", w.Code, after.Number, before.Number)
		}
	})
}

func FuzzLookup(f *testing.F) {
	for _, seed := range []string{`{"cluster":"c","contextRoot":"/x","session":"id-1"}`, `{"cookie":"sealed-","cluster":"c","contextRoot":"/"}`, "", "null", "[[[[", `{"a":1,"a":2}`, `{"\u0061":1,"a":2}`, "1e9999", "\"\\ud800\""} {
		f.Add(seed)
	}
	api := newAPI(f, newNode(f), io.Discard)
	f.Fuzz(func(t *testing.T, body string) {
		whole(t, send(api, "POST", "/v1/sessions/lookup", "application/json", strings.NewReader(body)))
	})
}

func FuzzAuthorization(f *testing.F) {
	for _, seed := range []string{"", "Bearer", "Bearer hft1.a.b", "bearer hft1.." + strings.Repeat("A", 43), "Basic eA==", "Bearer hft1.a." + strings.Repeat("A", 43), "\x00"} {
		f.Add(seed)
	}
	api := newAPI(f, newNode(f), io.Discard)
	f.Fuzz(func(t *testing.T, header string) {
		req := httptest.NewRequest("GET", "http://10.0.0.1/v1/status", nil)
		req.Header["Authorization"] = []string{header}
		if w := serve(api, req); w.Code != 401 {
			t.Errorf("status %d for %q", w.Code, header)
		}
	})
}

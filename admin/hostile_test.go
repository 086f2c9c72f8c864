package admin_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/admin/wire"
)

const okConfig = `
listeners: [{name: web, address: ":8080"}]
clusters:
  - name: cluster1
    modules: [{contextRoot: /fortune}]
    instances:
      - {name: instance1, listeners: ["http://127.0.0.1:9001"]}
      - {name: instance2, listeners: ["http://127.0.0.1:9002"]}
`

// writes are the routes that take a body, with a good one.
var writes = []struct{ method, path, mediaType, good string }{
	{"PUT", "/v1/config", "application/yaml", okConfig},
	{"POST", "/v1/config/validate", "application/yaml", okConfig},
	{"POST", "/v1/sessions/lookup", "application/json", `{"cluster":"c","contextRoot":"/x","session":"id-1"}`},
	{"POST", "/v1/tokens", "application/json", `{"role":"viewer"}`},
	{"POST", "/v1/config/plan", "application/yaml", okConfig},
	{"POST", "/v1/config/edits", "application/json", `{"edits":[{"op":"add","kind":"cluster","name":"c9"}]}`},
	{"POST", "/v1/config/rollback", "application/json", `{"revision":0}`},
	{"PATCH", "/v1/quiesces/7", "application/json", `{"remaining":"5m"}`},
	{"PUT", "/v1/maintenance", "application/json", `{"reason":"new module"}`},
	{"POST", "/v1/nodes/n1/evacuate", "application/json", `{"reason":"new disk"}`},
	{"PUT", "/v1/clusters/cluster1/instances/instance1/heartbeat", "application/json", `{"listeners":["http://127.0.0.1:9009"]}`},
	{"POST", "/v1/upgrade-binary", "application/json", `{"program":"/usr/local/bin/holdfast"}`},
	{"POST", "/v1/workflows/plan", "application/json", goodUpgrade},
	{"POST", "/v1/sessions/explain", "application/json", workBodies["/v1/sessions/explain"]},
	{"POST", "/v1/certificates", "application/json", authorityBody("n2")},
	{"PUT", "/v1/certificates/n1", "application/json", authorityBody("")},
	{"PUT", "/v1/roles/n1", "application/json", `{"allow":["status:read"]}`},
	{"PUT", "/v1/user-groups/n1", "application/json", `{"roles":["viewer"]}`},
	{"PUT", "/v1/users/n1", "application/json", `{"roles":["viewer"]}`},
	{"PUT", "/v1/acme/account", "application/json", `{"keyId":"kid-1","key":"0123456789abcdef"}`},
	{"PUT", "/v1/issuer", "application/json", `{"url":"https://login.example","audience":"holdfast"}`},
}

func send(h http.Handler, method, path, mediaType string, body io.Reader) *httptest.ResponseRecorder {
	req := local(httptest.NewRequest(method, "http://127.0.0.1:7700"+path, body))
	req.Header.Set("If-Match", `"0"`)
	if mediaType != "" {
		req.Header.Set("Content-Type", mediaType)
	}
	return serve(h, req)
}

func TestContentTypes(t *testing.T) {
	for _, tc := range writes {
		r := newRig(t).busy()
		other := map[string]string{"application/yaml": "text/plain", "application/json": "application/yaml"}[tc.mediaType]
		for _, mt := range []string{"", "text/plain", other, "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/json+x", "application/x+json",
			tc.mediaType + "; charset=utf-16", "application/", "/", ";", "application/json, text/plain", strings.Repeat("a", 9000)} {
			w := send(r.api, tc.method, tc.path, mt, strings.NewReader(tc.good))
			wantProblem(t, w, http.StatusUnsupportedMediaType, wire.CodeUnsupportedMediaType)
			if w.Header().Get("Accept") == "" {
				t.Errorf("%s: 415 without Accept", tc.path)
			}
		}
		for _, mt := range []string{tc.mediaType, strings.ToUpper(tc.mediaType), tc.mediaType + ";charset=UTF-8"} {
			r := newRig(t).busy()
			if w := send(r.api, tc.method, tc.path, mt, strings.NewReader(tc.good)); w.Code >= 300 {
				t.Errorf("%s %s with %s: status %d: %s", tc.method, tc.path, mt, w.Code, w.Body)
			}
		}
	}
	r := newRig(t)
	req := local(httptest.NewRequest("POST", "http://127.0.0.1/v1/tokens", strings.NewReader("\x1f\x8b")))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Content-Encoding", "gzip")
	wantProblem(t, serve(r.api, req), http.StatusUnsupportedMediaType, wire.CodeUnsupportedMediaType)
}

func TestHostileJSON(t *testing.T) {
	r := newRig(t)
	deep := strings.Repeat(`{"a":`, 100_000) + "1" + strings.Repeat("}", 100_000)
	for name, tc := range map[string]struct {
		body   string
		status int
		code   string
	}{
		"empty":              {"", 400, wire.CodeBadRequest},
		"cut":                {`{"cluster":"c"`, 400, wire.CodeMalformedBody},
		"garbage":            {"\x00\x01\x02", 400, wire.CodeMalformedBody},
		"not UTF-8":          {"{\"cluster\":\"\xff\"}", 400, wire.CodeMalformedBody},
		"two values":         {`{"cluster":"c","contextRoot":"/x","session":"id-1"} {}`, 400, wire.CodeMalformedBody},
		"trailing garbage":   {`{"cluster":"c","contextRoot":"/x","session":"id-1"}]`, 400, wire.CodeMalformedBody},
		"duplicate key":      {`{"cluster":"c","contextRoot":"/x","session":"id-1","session":"id-2"}`, 400, wire.CodeMalformedBody},
		"escaped duplicate":  {`{"cluster":"c","contextRoot":"/x","session":"id-1","\u0073ession":"id-2"}`, 400, wire.CodeMalformedBody},
		"deep objects":       {deep, 400, wire.CodeMalformedBody},
		"deep arrays":        {strings.Repeat("[", 500_000), 400, wire.CodeMalformedBody},
		"array":              {`[]`, 422, wire.CodeInvalidRequest},
		"null":               {`null`, 422, wire.CodeInvalidRequest},
		"string":             {`"secret-id"`, 422, wire.CodeInvalidRequest},
		"wrong type":         {`{"cluster":1,"contextRoot":"/x","session":"id-1"}`, 422, wire.CodeInvalidRequest},
		"object for text":    {`{"cluster":{},"contextRoot":"/x","session":"id-1"}`, 422, wire.CodeInvalidRequest},
		"unknown key":        {`{"cluster":"c","contextRoot":"/x","session":"id-1","more":1}`, 422, wire.CodeInvalidRequest},
		"key in other case":  {`{"Cluster":"c","contextRoot":"/x","session":"id-1"}`, 422, wire.CodeInvalidRequest},
		"missing key":        {`{"contextRoot":"/x","session":"id-1"}`, 422, wire.CodeInvalidRequest},
		"neither":            {`{"cluster":"c","contextRoot":"/x"}`, 422, wire.CodeInvalidRequest},
		"both":               {`{"cluster":"c","contextRoot":"/x","session":"id-1","cookie":"sealed-1"}`, 422, wire.CodeInvalidRequest},
		"long":               {`{"cluster":"c","contextRoot":"/x","session":"` + strings.Repeat("s", 5000) + `"}`, 422, wire.CodeInvalidRequest},
		"huge number":        {`{"cluster":1e999999999,"contextRoot":"/x"}`, 400, wire.CodeMalformedBody},
		"unrecognised id":    {`{"cluster":"c","contextRoot":"/x","session":"secret-id"}`, 422, wire.CodeSessionIDNotInCluster},
		"forged cookie":      {`{"cluster":"c","contextRoot":"/x","cookie":"secret-id"}`, 422, wire.CodeSessionIDNotInCluster},
		"over the body cap":  {`{"cluster":"` + strings.Repeat("c", 1<<20) + `"}`, 413, wire.CodeBodyTooLarge},
		"BOM":                {"\ufeff{}", 400, wire.CodeMalformedBody},
		"NUL in text":        {"{\"cluster\":\"a\x00b\"}", 400, wire.CodeMalformedBody},
		"comment":            {`{/* */}`, 400, wire.CodeMalformedBody},
		"trailing comma":     {`{"cluster":"c",}`, 400, wire.CodeMalformedBody},
		"unquoted":           {`{cluster:"c"}`, 400, wire.CodeMalformedBody},
		"many keys":          {manyKeys(20_000), 422, wire.CodeInvalidRequest},
		"lone surrogate key": {`{"\ud800":1}`, 422, wire.CodeInvalidRequest},
	} {
		t.Run(name, func(t *testing.T) {
			w := send(r.api, "POST", "/v1/sessions/lookup", "application/json", strings.NewReader(tc.body))
			wantProblem(t, w, tc.status, tc.code)
			if strings.Contains(w.Body.String(), "secret-id") || strings.Contains(w.Body.String(), "ssss") {
				t.Errorf("the problem repeats the session id: %.300s", w.Body)
			}
		})
	}
	if strings.Contains(r.log.String(), "secret-id") {
		t.Error("the log has the session id")
	}
	if strings.Contains(r.log.String(), "BUG:") {
		t.Errorf("a handler panicked: %s", r.log.String())
	}
}

func manyKeys(n int) string {
	var b strings.Builder
	b.WriteString("{")
	for i := range n {
		fmt.Fprintf(&b, "%q:1,", fmt.Sprint("k", i))
	}
	return strings.TrimSuffix(b.String(), ",") + "}"
}

func TestHostileConfigurations(t *testing.T) {
	r := newRig(t)
	var bomb strings.Builder
	bomb.WriteString("a0: &a0 [x,x,x,x,x,x,x,x,x]\n")
	for i := 1; i < 10; i++ {
		fmt.Fprintf(&bomb, "a%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d,", i-1), 9), ","))
	}
	for name, body := range map[string]string{
		"malformed YAML":  "listeners: [",
		"malformed JSON":  `{"listeners": [`,
		"scalar":          "hello",
		"duplicate keys":  "listeners: []\nlisteners: []\n",
		"duplicate JSON":  `{"listeners":[],"listeners":[]}`,
		"unknown key":     "listners: []",
		"wrong type":      "clusters: 5",
		"YAML bomb":       bomb.String(),
		"deep YAML":       strings.Repeat("[", 100_000),
		"deep JSON":       strings.Repeat(`{"a":`, 50_000),
		"binary":          "\x00\xff\xfe",
		"two documents":   "listeners: []\n---\nlisteners: []\n",
		"tab indentation": "clusters:\n\t- name: x\n",
	} {
		t.Run(name, func(t *testing.T) {
			for _, mt := range []string{"application/yaml", "application/json"} {
				p := wantProblem(t, send(r.api, "PUT", "/v1/config", mt, strings.NewReader(body)), http.StatusUnprocessableEntity, wire.CodeConfigInvalid)
				if len(p.Errors) == 0 || p.Errors[0].Message == "" {
					t.Errorf("no errors in the problem: %+v", p)
				}
			}
		})
	}
	if n := r.node.state.Revision().Number; n != 0 {
		t.Errorf("revision %d after nothing but faulty configurations", n)
	}
}

// zeros is an endless body.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// TestHugeBodies: 100 MB with and without a length, over a real connection; memory stays flat.
func TestHugeBodies(t *testing.T) {
	const size = 100 << 20
	r := newRig(t)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for _, tc := range writes {
		for _, chunked := range []bool{false, true} {
			req, err := http.NewRequestWithContext(t.Context(), tc.method, r.url+tc.path, io.LimitReader(zeros{}, size))
			if err != nil {
				t.Fatal(err)
			}
			if !chunked {
				req.ContentLength = size
			}
			req.Header.Set("Content-Type", tc.mediaType)
			req.Header.Set("If-Match", `"0"`)
			status, err := exchange(req)
			if err != nil || status != http.StatusRequestEntityTooLarge {
				t.Errorf("%s %s chunked=%v: status %d, %v", tc.method, tc.path, chunked, status, err)
			}
		}
	}
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 200<<20 {
		t.Errorf("%d MB were allocated for bodies that are refused", grown>>20)
	}
}

// exchange sends req on a connection of its own and reads the status, however the sending ends: a refusal comes while
// the client still writes.
func exchange(req *http.Request) (int, error) {
	conn, err := net.Dial("tcp", req.URL.Host)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	sent := make(chan error, 1)
	go func() { sent <- req.Write(conn) }()
	defer func() { conn.Close(); <-sent }()
	var got bytes.Buffer
	_, err = io.CopyN(&got, conn, int64(len("HTTP/1.1 413")))
	var status int
	fmt.Sscanf(got.String(), "HTTP/1.1 %d", &status)
	return status, err
}

// TestUnwantedBodies: nobody without a token makes a node read a body.
func TestUnwantedBodies(t *testing.T) {
	r := newRig(t)
	body := &countingReader{r: io.LimitReader(zeros{}, 1<<20)}
	req := httptest.NewRequest("PUT", "http://10.0.0.1/v1/config", body)
	req.Header.Set("Content-Type", "application/yaml")
	w := serve(r.api, req)
	wantProblem(t, w, http.StatusUnauthorized, wire.CodeUnauthorized)
	if body.n != 0 || w.Header().Get("Connection") != "close" {
		t.Errorf("%d bytes were read, Connection: %q", body.n, w.Header().Get("Connection"))
	}
}

type countingReader struct {
	r io.Reader
	n int
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += n
	return n, err
}

// TestHeaderBomb: a head over 16 KiB (and the slack of net/http) is refused.
func TestHeaderBomb(t *testing.T) {
	r := newRig(t)
	req, err := http.NewRequestWithContext(t.Context(), "GET", r.url+"/v1/status", nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 1000 {
		req.Header.Set(fmt.Sprint("X-Bomb-", i), strings.Repeat("b", 100))
	}
	if status, err := exchange(req); err != nil || status != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("status %d, %v", status, err)
	}
}

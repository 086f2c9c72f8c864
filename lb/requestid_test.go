package lb

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

var uuid7 = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

func TestNewRequestIDs(t *testing.T) {
	now, seen := time.UnixMilli(1_800_000_000_000), map[string]bool{}
	before := ""
	for i := range 10_000 {
		id := newRequestID(now.Add(time.Duration(i) * time.Millisecond))
		if !uuid7.MatchString(id) || seen[id] || id <= before || !isRequestID(id) {
			t.Fatalf("%q after %q", id, before)
		}
		seen[id], before = true, id
	}
	if !strings.HasPrefix(newRequestID(now), "01a3185c-5000-7") { // 1,800,000,000,000 ms in hexadecimal digits
		t.Error(newRequestID(now))
	}
}

func TestWhoseRequestIDIsKept(t *testing.T) {
	now := time.Now()
	for _, tc := range []struct {
		trust   string
		trusted bool
		ids     []string
		kept    bool
	}{
		{"proxies", true, []string{"abc-1"}, true},
		{"proxies", false, []string{"abc-1"}, false},
		{"all", false, []string{"abc-1"}, true},
		{"all", false, []string{"Root=1-67891233-abcdef012345678912345678;Parent=53995c3f42cd8ad8;Sampled=1"}, true},
		{"none", true, []string{"abc-1"}, false},
		{"all", true, nil, false},
		{"all", true, []string{""}, false},
		{"all", true, []string{"a", "b"}, false},
		{"all", true, []string{"a b"}, false},
		{"all", true, []string{"a\r\nX: y"}, false},
		{"all", true, []string{`a"b`}, false},
		{"all", true, []string{"ä"}, false},
		{"all", true, []string{"<script>"}, false},
		{"all", true, []string{strings.Repeat("a", 128)}, true},
		{"all", true, []string{strings.Repeat("a", 129)}, false},
	} {
		p := newSettings(&config.Proxy{RequestID: config.RequestID{Header: "x-request-id", Trust: tc.trust}}).requestID
		got := p.requestID(http.Header{"X-Request-Id": tc.ids}, tc.trusted, now)
		if kept := len(tc.ids) == 1 && got == tc.ids[0]; kept != tc.kept || !kept && !uuid7.MatchString(got) {
			t.Errorf("%+v: %q", tc, got)
		}
	}
	off := newSettings(&config.Proxy{}).requestID
	if got := off.requestID(http.Header{"": {"x"}, "X-Request-Id": {"x"}}, true, now); got != "" {
		t.Errorf("without a field: %q", got)
	}
}

// Instance, client and log have the same id.
func TestRequestIDGoesEverywhere(t *testing.T) {
	r, a, cc := limitedRig(t, func(w http.ResponseWriter, r *http.Request) { w.Header().Set("X-Request-Id", "the instance's own") }, func(c *config.Config) {
		c.Proxy.RequestID = config.RequestID{Header: "X-Request-Id", Trust: "proxies", Respond: true}
	})
	got := send(t, r, "/", "X-Request-Id: forged", "X_Request_Id: forged, too")
	id := a.header().Get("X-Request-Id")
	if list := got.Header["X-Request-Id"]; !uuid7.MatchString(id) || len(list) != 1 || list[0] != id || !strings.Contains(r.accessLog(), `"requestId":"`+id+`"`) {
		t.Errorf("instance %q, client %q, log %s", id, list, r.accessLog())
	}
	for name, values := range a.header() {
		if strings.ReplaceAll(strings.ToLower(name), "_", "-") == "x-request-id" && (len(values) != 1 || values[0] != id) {
			t.Errorf("the instance could take %s: %q for the id", name, values)
		}
	}
	cc = cc.Clone()
	cc.Proxy.RequestID.Respond = false
	r.apply(cc)
	if got := send(t, r, "/"); got.Header.Get("X-Request-Id") != "the instance's own" {
		t.Errorf("%v", got.Header)
	}
	cc = cc.Clone()
	cc.Proxy.RequestID = config.RequestID{}
	r.apply(cc)
	if send(t, r, "/", "X-Request-Id: theirs"); a.header().Get("X-Request-Id") != "theirs" {
		t.Errorf("without ids, a field is a field: %v", a.header())
	}
}

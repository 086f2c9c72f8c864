package lb

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// cookieApp sets the cookies that the request's field Set names, separated by "|".
func cookieApp(t *testing.T) *app {
	return newApp(t, "i1", func(w http.ResponseWriter, r *http.Request) {
		for _, line := range strings.Split(r.Header.Get("Set"), "|") {
			if line != "" {
				w.Header().Add("Set-Cookie", line)
			}
		}
	})
}

// TestSessionsWithoutAffinity: an application with sessions in a cluster with affinity none is warned of, once an hour for each module.
func TestSessionsWithoutAffinity(t *testing.T) { // UCD-17
	cc := conf(of(cookieApp(t))...)
	cl := &cc.Clusters[0]
	cl.Affinity = config.Affinity{Type: "none"}
	cl.Modules = append(cl.Modules, cl.Modules[0])
	cl.Modules[1].ContextRoot = "/other"
	r := newRig(t, cc)
	warnings := func() int { return strings.Count(r.logs.String(), "affinity none") }
	counted := func() float64 { return metric(t, r, "holdfast_session_cookies_without_affinity_total", "cluster=c1") }
	for _, harmless := range []string{"", "theme=dark", "JSESSIONID=; Max-Age=0", "JSESSIONID=x; Max-Age=0", "XJSESSIONID=1", "garbage", "a=JSESSIONID=b"} {
		send(t, r, "/", "Set: "+harmless)
	}
	if warnings() != 0 || counted() != 0 {
		t.Fatalf("%d warnings, %v counted for cookies that are none of a session", warnings(), counted())
	}
	for i, line := range []string{"JSESSIONID=secret.i1; Path=/", "a=b|PHPSESSID=secret", "ASP.NET_SessionId=secret; HttpOnly", "connect.sid=s%3Asecret", ".AspNetCore.Session=secret"} {
		send(t, r, "/", "Set: "+line)
		if warnings() != 1 || counted() != float64(i+1) {
			t.Errorf("%s: %d warnings, %v counted", line, warnings(), counted())
		}
	}
	if logs := r.logs.String(); strings.Contains(logs, "secret") || !strings.Contains(logs, "cookie=JSESSIONID") || !strings.Contains(logs, "contextRoot=/ ") {
		t.Error("the warning names no cookie or module, or it has a session's id")
	}
	if send(t, r, "/other", "Set: JSESSIONID=secret"); warnings() != 2 {
		t.Errorf("%d warnings with another module", warnings())
	}
	cl.Affinity = config.Affinity{Type: "insert", IdleTimeout: config.Duration(time.Minute)}
	r.apply(clone(cc))
	if send(t, r, "/", "Set: JSESSIONID=secret"); counted() != 6 {
		t.Errorf("%v counted with affinity", counted())
	}
}

func TestSeldomIsOnceAnHour(t *testing.T) {
	var s seldom
	at := time.Unix(60_000_000, 0)
	if !s.due(at) {
		t.Error("not said at first")
	}
	if s.due(at) || s.due(at.Add(time.Hour-time.Second)) {
		t.Error("said again within the hour")
	}
	if !s.due(at.Add(time.Hour)) || s.due(at.Add(time.Hour)) {
		t.Error("after an hour it is said once more")
	}
}

package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/admin/client"
)

// command runs one command line against a fake group.
func command(t *testing.T, url string, args ...string) (status int, out, errOut string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	status = run(t.Context(), append(args, "--admin", url), strings.NewReader(""), &stdout, &stderr)
	return status, stdout.String(), stderr.String()
}

// application is an instance that knows some paths, and what it was asked for.
type application struct {
	mu    sync.Mutex
	asked []string
	bad   string // the path that it answers with 500
}

func (a *application) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked = append(a.asked, r.Host+r.URL.Path)
	if r.URL.Path == a.bad {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	http.Redirect(w, r, "/login", http.StatusFound)
}

// TestPreflight: SUN-26, SUN-32, WAS-03. An instance is asked for every enabled module, on each listener, and for the health check, before it gets
// requests; one that does not answer as it should is not added.
func TestPreflight(t *testing.T) {
	group := newFakeGroup()
	srv := httptest.NewServer(group.api)
	defer srv.Close()
	file := filepath.Join(t.TempDir(), "shop.yaml")
	const shop = `
clusters:
  - name: cluster1
    health: {path: /ping}
    modules: [{contextRoot: /shop}, {contextRoot: /api, host: api.example.com}, {contextRoot: /old, enabled: false}]
    instances: [{name: instance1, listeners: ["http://127.0.0.1:9001"], enabled: false}]
`
	if err := os.WriteFile(file, []byte(shop), 0o600); err != nil {
		t.Fatal(err)
	}
	if status, _, errOut := command(t, srv.URL, "config", "apply", "-f", file); status != 0 {
		t.Fatal(errOut)
	}
	good, bad := &application{}, &application{bad: "/api"}
	one, two := httptest.NewServer(good), httptest.NewServer(bad)
	defer one.Close()
	defer two.Close()
	add := []string{"instance", "add", "cluster1", "instance2", "--preflight", "--listener"}

	status, _, errOut := command(t, srv.URL, append(add, one.URL+","+two.URL)...)
	if status != 1 || !strings.Contains(errOut, "1 probe did not answer as they should; nothing was changed") || !strings.Contains(errOut, two.URL+"/api: status 500") {
		t.Errorf("status %d: %s", status, errOut)
	}
	status, _, errOut = command(t, srv.URL, append(add, "http://127.0.0.1:1")...)
	if status != 1 || !strings.Contains(errOut, "connection refused") {
		t.Errorf("status %d: %s", status, errOut)
	}
	if n := group.state.Revision().Number; n != 1 {
		t.Errorf("revision %d: an instance was added in spite of its answers", n)
	}
	good.asked = nil
	if status, out, errOut := command(t, srv.URL, append(add, one.URL)...); status != 0 || !strings.Contains(out, "revision 2 applied") {
		t.Errorf("status %d: %s%s", status, out, errOut)
	}
	host := strings.TrimPrefix(one.URL, "http://")
	if got, want := strings.Join(good.asked, " "), host+"/ping "+host+"/shop api.example.com/api"; got != want {
		t.Errorf("asked for %s, want %s", got, want)
	}
	if status, _, errOut := command(t, srv.URL, "instance", "enable", "cluster1", "instance1", "--preflight"); status != 1 || !strings.Contains(errOut, "instance1") {
		t.Errorf("status %d: %s", status, errOut)
	}
	if status, _, errOut := command(t, srv.URL, "instance", "enable", "cluster1", "instance1", "--preflight=warn"); status != 0 || !strings.Contains(errOut, "127.0.0.1:9001") {
		t.Errorf("status %d: %s", status, errOut)
	}
}

// TestProgressIsBrief: a line when something has become another, and every ten seconds, not with each look.
func TestProgressIsBrief(t *testing.T) {
	var out bytes.Buffer
	now := time.Unix(1_800_000_000, 0)
	p := progress{w: &out, now: func() time.Time { return now }}
	left := client.Remaining{Subject: client.Subject{Cluster: "c\x1b[2J", Instance: "i"}, Admin: "quiescing", Sessions: 9, InFlight: 4, Ends: time.Minute}
	lines := func() int { return strings.Count(out.String(), "\n") }
	for i := range 20 { // ten seconds of looks at a quiesce that goes on
		left.Ends -= 500 * time.Millisecond
		left.InFlight = int64(i%3 + 1)
		p.show(client.Waited{Left: []client.Remaining{left}})
		now = now.Add(500 * time.Millisecond)
	}
	if n := lines(); n != 1 {
		t.Errorf("%d lines in ten seconds: %s", n, out.String())
	}
	p.show(client.Waited{Left: []client.Remaining{left}})
	if n := lines(); n != 2 {
		t.Errorf("%d lines after ten seconds", n)
	}
	left.Admin = "stopped"
	p.show(client.Waited{Left: []client.Remaining{left}})
	p.show(client.Waited{Left: []client.Remaining{left}, Err: client.ErrEnabled})
	if n := lines(); n != 5 || strings.Contains(out.String(), "\x1b") {
		t.Errorf("%d lines: %q", n, out.String())
	}
	p.show(client.Waited{})
	if n := lines(); n != 5 {
		t.Errorf("%d lines when nothing is left", n)
	}
}

// TestPreflightOfStreams: an instance of streams must accept a connection on each listener.
func TestPreflightOfStreams(t *testing.T) {
	group := newFakeGroup()
	srv := httptest.NewServer(group.api)
	defer srv.Close()
	if status, _, errOut := command(t, srv.URL, "cluster", "add", "db"); status != 0 {
		t.Fatal(errOut)
	}
	good := httptest.NewServer(http.NotFoundHandler())
	defer good.Close()
	at := "tcp" + strings.TrimPrefix(good.URL, "http")
	status, _, errOut := command(t, srv.URL, "instance", "add", "db", "db1", "--preflight", "--listener", at+",tcp://127.0.0.1:1")
	if status != 1 || !strings.Contains(errOut, "tcp://127.0.0.1:1: ") || !strings.Contains(errOut, at+": accepts connections") || !strings.Contains(errOut, "nothing was changed") {
		t.Errorf("status %d: %s", status, errOut)
	}
	status, _, errOut = command(t, srv.URL, "instance", "add", "db", "db1", "--preflight", "--listener", at)
	c := group.state.Revision().Config
	if status != 0 || len(c.Clusters[0].Instances) != 1 || c.Clusters[0].Affinity.Type != "source" || c.Clusters[0].Health.Type != "tcp" {
		t.Errorf("status %d: %s; %s", status, errOut, c.Canonical())
	}
}

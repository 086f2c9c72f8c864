package lb

import (
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

// sameID is an application that gives every client the same session id.
func sameID(name string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "JSESSIONID", Value: "SAME", Path: "/"})
		fmt.Fprint(w, name)
	}
}

// visit asks for a path of a virtual host.
func visit(t *testing.T, r *rig, host, path, id string) reply {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, r.url(path), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = host
	if id != "" {
		req.Header.Set("Cookie", "JSESSIONID="+id)
	}
	return newClient(t).do(req)
}

// TestSessionsOfVirtualHostsAndClustersAreApart: one session id under /app of two virtual hosts, or under two context roots of two clusters, is two sessions.
func TestSessionsOfVirtualHostsAndClustersAreApart(t *testing.T) { // TC-24, SUN-31
	var apps []*app
	for i := range 3 {
		name := fmt.Sprint("i", i+1)
		apps = append(apps, newApp(t, name, sameID(name)))
	}
	cc := learnConf(of(apps...)...)
	module := cc.Clusters[0].Modules[0]
	vhost := func(host, root string) config.Module {
		m := module
		m.Host, m.ContextRoot = host, root
		return m
	}
	cc.Clusters[0].Modules = []config.Module{vhost("a.example", "/app"), vhost("b.example", "/app")}
	second := clone(cc).Clusters[0]
	second.Name, second.Modules = "c2", []config.Module{vhost("", "/other")}
	cc.Clusters = append(cc.Clusters, second)
	r := newRig(t, cc)

	places := []struct{ cluster, host, root string }{{"c1", "a.example", "/app"}, {"c1", "b.example", "/app"}, {"c2", "", "/other"}}
	on := map[string]string{}
	keys := map[fsm.Key]bool{}
	for _, p := range places {
		got := visit(t, r, p.host, p.root+"/", "")
		on[p.cluster+p.host] = got.body
		key, err := r.b.SessionKey(p.cluster, p.host, p.root, "SAME")
		if err != nil {
			t.Fatal(err)
		}
		keys[key] = true
		if ref, ok := r.g.sessions()[key]; got.StatusCode != 200 || !ok || ref.Instance != r.g.id(p.cluster, got.body) {
			t.Fatalf("%+v: %d %s, on record %v %v", p, got.StatusCode, got.body, ref, ok)
		}
	}
	if len(keys) != 3 || len(r.g.sessions()) != 3 {
		t.Fatalf("%d keys, %d sessions, want three of each", len(keys), len(r.g.sessions()))
	}
	if on["c1a.example"] == on["c1b.example"] {
		t.Fatal("both began on one instance: the test says nothing")
	}
	for range 3 { // each goes on where it began
		for _, p := range places {
			if got := visit(t, r, p.host, p.root+"/page", "SAME"); got.body != on[p.cluster+p.host] {
				t.Fatalf("%+v: %s, want %s", p, got.body, on[p.cluster+p.host])
			}
		}
	}
	if n := len(r.g.moves()); n != 0 {
		t.Errorf("%d sessions were moved", n)
	}
}

// TestWebSocketsWithoutAndBySource: agents' WebSockets need no affinity, or that of their address; both are passed on both ways.
func TestWebSocketsWithoutAndBySource(t *testing.T) { // UCD-10, UCD-11
	for kind, want := range map[string]struct{ instances, sessions int }{"none": {2, 0}, "source": {1, 1}} {
		a, b := newApp(t, "i1", wsEcho), newApp(t, "i2", wsEcho)
		cc := conf(of(a, b)...)
		cc.Clusters[0].Affinity.Type, cc.Clusters[0].Affinity.Name = kind, ""
		r := newRig(t, cc)
		var open []*rawConn
		for range 4 {
			c := dialRaw(t, r)
			c.write(wsRequest)
			if resp := c.response(); resp.StatusCode != http.StatusSwitchingProtocols || len(resp.Cookies()) != 0 {
				t.Fatalf("%s: %d, cookies %v", kind, resp.StatusCode, resp.Cookies())
			}
			open = append(open, c)
		}
		for i, c := range open {
			text := fmt.Sprintf("\x81\x05ping%d", i)
			c.write(text)
			got := make([]byte, len("hello ")+len(text))
			if _, err := io.ReadFull(c.in, got); err != nil || string(got) != "hello "+text {
				t.Fatalf("%s: %q, %v", kind, got, err)
			}
		}
		used := 0
		for _, name := range []string{"i1", "i2"} {
			if n := r.status("c1", name).InFlight; n > 0 {
				used++
				if n != int64(4/want.instances) {
					t.Errorf("%s: %d of four tunnels are on %s", kind, n, name)
				}
			}
		}
		if used != want.instances || len(r.g.sessions()) != want.sessions {
			t.Errorf("%s: %d instances, %d sessions; want %+v", kind, used, len(r.g.sessions()), want)
		}
	}
}

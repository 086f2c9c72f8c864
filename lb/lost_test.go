package lb

import (
	"net/http"
	"strings"
	"testing"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// TestSessionOfAModuleThatIsNotReplicated: when its instance is gone the session is lost, and instance, client, log and metrics are told.
func TestSessionOfAModuleThatIsNotReplicated(t *testing.T) { // SUN-49
	how := map[string]func(r *rig, a *app, cc *config.Config){
		"stopped": func(r *rig, _ *app, cc *config.Config) { r.disable(cc, 0); r.endQuiesces() },
		"removed": func(r *rig, _ *app, cc *config.Config) {
			without := clone(cc)
			without.Clusters[0].Instances = without.Clusters[0].Instances[1:]
			r.apply(without)
			r.inForce()
		},
		"unavailable": func(r *rig, a *app, _ *config.Config) {
			a.CloseClientConnections()
			a.Close()
		},
	}
	for name, leave := range how {
		for _, policy := range []string{"reassign", "refuse"} {
			for _, kind := range []string{"insert", "learn"} {
				t.Run(name+"/"+policy+"/"+kind, func(t *testing.T) {
					a, b := newApp(t, "i1", nil), newApp(t, "i2", nil)
					cc := conf(of(a, b)...)
					if kind == "learn" {
						a, b = tomcats(t)
						cc = learnConf(of(a, b)...)
					}
					cc.Clusters[0].Modules[0].Replicated, cc.Clusters[0].Modules[0].OnSessionLost = false, policy
					r := newRig(t, cc)
					cl := sessionsOn(t, r, 4)["i1"][0]
					leave(r, a, cc)
					if policy == "refuse" {
						for range 2 {
							if got := cl.get(r.url("/")); got.StatusCode != 503 || got.Header.Get("Retry-After") == "" {
								t.Fatalf("%d %s", got.StatusCode, got.body)
							}
						}
						if metric(t, r, "holdfast_failovers_refused_total", "cluster=c1", "reason=session") != 2 {
							t.Error("not counted")
						}
						return
					}
					got := cl.get(r.url("/"))
					if got.body != "i2" || got.Header.Get("X-Holdfast-Session") != "lost" || b.header().Get("X-Holdfast-Session") != "lost" {
						t.Fatalf("%d %s, client told %v, instance told %v", got.StatusCode, got.body, got.Header, b.header())
					}
					if log := r.accessLog(); strings.Count(log, `"assigned":false,"lost":true`) != 1 {
						t.Errorf("access log: %s", log)
					}
					if metric(t, r, "holdfast_sessions_lost_total", "cluster=c1") != 1 {
						t.Error("not counted")
					}
					got = cl.get(r.url("/"))
					if got.body != "i2" || got.Header.Get("X-Holdfast-Session") != "" || b.header().Get("X-Holdfast-Session") != "" {
						t.Fatalf("told twice: %s %v %v", got.body, got.Header, b.header())
					}
				})
			}
		}
	}
}

// TestNobodyElseSaysThatASessionIsLost: neither a client nor an instance gets the header through.
func TestNobodyElseSaysThatASessionIsLost(t *testing.T) {
	a := newApp(t, "i1", func(w http.ResponseWriter, r *http.Request) { w.Header().Set("X-Holdfast-Session", "lost") })
	r := newRig(t, conf(of(a)...))
	for _, line := range []string{"X-Holdfast-Session: lost", "x-holdfast-session: lost", "X-HOLDFAST-SESSION: found"} {
		for _, more := range []string{"Accept: */*", "Connection: X-Holdfast-Session"} {
			got := send(t, r, "/", line, more)
			if _, told := a.header()["X-Holdfast-Session"]; told || got.Header.Get("X-Holdfast-Session") != "" {
				t.Errorf("%s, %s: instance got %v, client got %v", line, more, a.header(), got.Header)
			}
		}
	}
}

func TestReplicatedSessionIsNotLost(t *testing.T) {
	a, b := newApp(t, "i1", nil), newApp(t, "i2", nil)
	cc := conf(of(a, b)...)
	r := newRig(t, cc)
	cl := sessionsOn(t, r, 2)["i1"][0]
	r.disable(cc, 0)
	r.endQuiesces()
	if got := cl.get(r.url("/")); got.body != "i2" || got.Header.Get("X-Holdfast-Session") != "" || metric(t, r, "holdfast_sessions_lost_total") != 0 {
		t.Fatalf("%s %v", got.body, got.Header)
	}
	if log := r.accessLog(); strings.Count(log, `"assigned":true`) != 1 {
		t.Errorf("access log: %s", log)
	}
}

// TestNewSessionIsNotLost: that an instance refuses the very first request of a session costs nothing.
func TestNewSessionIsNotLost(t *testing.T) {
	b := newApp(t, "i2", nil)
	cc := conf(inst("i1", deadURL(t)), inst("i2", b.URL))
	cc.Clusters[0].Modules[0].Replicated, cc.Clusters[0].Modules[0].OnSessionLost = false, "refuse"
	cc.Clusters[0].Health.Type = "none"
	r := newRig(t, cc)
	for range 4 {
		if got := newClient(t).get(r.url("/")); got.body != "i2" || got.Header.Get("X-Holdfast-Session") != "" {
			t.Fatalf("%d %s %v", got.StatusCode, got.body, got.Header)
		}
	}
}

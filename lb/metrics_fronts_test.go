package lb

import (
	"testing"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// TestMetricsNameTheListener: UCD-13. Requests and connections are counted by listener, whichever engine has them.
func TestMetricsNameTheListener(t *testing.T) {
	cc := conf(of(newApp(t, "i1", nil))...)
	agents := config.Listener{Name: "agents", Address: "127.0.0.1:" + freePort(t), Protocol: "http"}
	cc.Listeners = append(cc.Listeners, agents)
	r := newRig(t, cc)
	web, agent := newClient(t), newClient(t)
	for range 7 { // with a session, so that loops have some of them
		web.get(r.url("/"))
	}
	for range 3 {
		agent.get("http://" + agents.Address + "/")
	}
	for listener, want := range map[string]float64{"web": 7, "agents": 3} {
		r.wait("all are counted", func() bool { return metric(t, r, "holdfast_listener_requests_total", "listener="+listener) == want })
		if n := metric(t, r, "holdfast_listener_connections", "listener="+listener); n != 1 {
			t.Errorf("%s: %v connections", listener, n)
		}
	}
}

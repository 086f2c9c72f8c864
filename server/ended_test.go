package server

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

// TestGroupNotesWhatAHardTimeoutEnds: SUN-52. Each node ends what it has in flight to a stopped instance, answers for it, and the group has an event of each such node.
func TestGroupNotesWhatAHardTimeoutEnds(t *testing.T) {
	g := startGroup(t, 3)
	came := make(chan struct{}, 9)
	app := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/held" {
			came <- struct{}{}
			<-r.Context().Done()
		}
	}))
	t.Cleanup(app.Close)
	text := func(enabled bool) string {
		return fmt.Sprintf(`
listeners: [{name: web, address: ":%d"}]
clusters:
  - name: cluster1
    hardTimeout: 100ms
    modules: [{contextRoot: /}]
    instances: [{name: i1, listeners: [%q], enabled: %v}]
`, g.port, app.URL, enabled)
	}
	apply := func(enabled bool, now ...fsm.Subject) {
		t.Helper()
		c, err := config.Parse("test", []byte(text(enabled)))
		if err != nil {
			t.Fatal(err)
		}
		s := g.servers[0]
		r, err := s.node.Propose(t.Context(), &fsm.ConfigChange{Actor: "test", Expect: s.state.Revision().Number, Now: now, Config: c})
		if err != nil || r.Code != fsm.CodeOK {
			t.Fatalf("%+v, %v", r, err)
		}
		for _, s := range g.servers {
			eventually(t, "the node serves it", func() error {
				if _, at, _ := s.balancer.InForce(); at < r.Index {
					return fmt.Errorf("index %d", at)
				}
				return s.ready()
			})
		}
	}
	apply(true)
	type answer struct {
		status int
		last   bool
		err    error
	}
	answers := make(chan answer, 2)
	for i := range 2 {
		at := "http://" + g.servers[i].balancer.Addr("web").String() + "/held"
		go func() {
			resp, err := http.Get(at)
			if err != nil {
				answers <- answer{err: err}
				return
			}
			resp.Body.Close()
			answers <- answer{status: resp.StatusCode, last: resp.Close}
		}()
		<-came
	}
	apply(false, fsm.Subject{Cluster: "cluster1", Instance: "i1"})
	for range 2 {
		if a := <-answers; a.status != 503 || !a.last {
			t.Errorf("%+v", a)
		}
	}
	eventually(t, "the group has noted both", func() error {
		found := map[string]bool{}
		for _, e := range g.servers[2].state.Events(0, 1000) {
			if e.Kind == fsm.EventEnded && e.Cluster == "cluster1" && e.Instance == "i1" && strings.Contains(e.Text, "has ended 1 in flight to instance i1 of cluster cluster1, which was stopped 100ms before") {
				found[e.Node] = true
			}
		}
		if !found["n1"] || !found["n2"] || len(found) != 2 {
			return fmt.Errorf("nodes: %v", found)
		}
		return nil
	})
}

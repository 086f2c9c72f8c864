package admin_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/holdfast-lb/holdfast/admin"
	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm"
)

// TestClustersWithoutRoomAreAProblem: as long as every instance that could take a session has as many as it may.
func TestClustersWithoutRoomAreAProblem(t *testing.T) {
	const text = `
clusters:
  - name: c
    modules: [{contextRoot: /}]
    instances:
      - {name: i1, listeners: ["http://127.0.0.1:9001"], maxSessions: %d}
      - {name: i2, listeners: ["http://127.0.0.1:9002"], maxSessions: %d}
`
	for name, tc := range map[string]struct {
		most [2]int
		down bool
		want bool
	}{
		"full":                       {[2]int{1, 2}, false, true},
		"room":                       {[2]int{1, 3}, false, false},
		"no bound":                   {[2]int{1, 0}, false, false},
		"what has room is down":      {[2]int{1, 0}, true, true},
		"bounds, and far below them": {[2]int{9, 9}, false, false},
	} {
		r := newRig(t)
		decode[wire.ConfigResult](t, put(r.api, "/v1/config", `"0"`, "", fmt.Sprintf(text, tc.most[0], tc.most[1])))
		i1, _ := r.node.state.InstanceID("c", "i1")
		i2, _ := r.node.state.InstanceID("c", "i2")
		r.node.sessions(t, fsm.SessionOp{Kind: fsm.OpAssign, Key: fsm.Key{1}, Instance: i1}, fsm.SessionOp{Kind: fsm.OpAssign, Key: fsm.Key{2}, Instance: i2},
			fsm.SessionOp{Kind: fsm.OpAssign, Key: fsm.Key{3}, Instance: i2})
		r.node.health = []admin.InstanceStatus{{Cluster: "c", Instance: "i1", Up: true}, {Cluster: "c", Instance: "i2", Up: !tc.down}}
		all := strings.Join(decode[wire.Status](t, read(r.api, "/v1/status")).Problems, "\n")
		if got := strings.Contains(all, "cluster c takes no new session"); got != tc.want {
			t.Errorf("%s: said %v, want %v:\n%s", name, got, tc.want, all)
		}
	}
}

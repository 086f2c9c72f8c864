package admin_test

import (
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm"
)

// TestAFailedScheduleIsAProblem until something is scheduled again.
func TestAFailedScheduleIsAProblem(t *testing.T) {
	r := newRig(t)
	says := func(want bool) {
		t.Helper()
		all := strings.Join(decode[wire.Status](t, read(r.api, "/v1/status")).Problems, "\n")
		if got := strings.Contains(all, "Schedule s1 failed: the configuration has changed; this stays"); got != want {
			t.Errorf("said %v, want %v:\n%s", got, want, all)
		}
	}
	schedule := func(id string) {
		t.Helper()
		r.node.apply(t, &fsm.ScheduleSet{RequestID: fsm.RequestID{id[1]}, Schedule: fsm.Schedule{ID: id, At: r.node.state.Now().Add(time.Hour), Actor: "ops", Expect: 1, Config: r.node.state.Revision().Config}})
	}
	decode[wire.ConfigResult](t, put(r.api, "/v1/config", `"0"`, "", okConfig))
	schedule("s1")
	says(false)
	r.node.apply(t, &fsm.ScheduleDrop{ID: "s1", Actor: "ops", Failure: "the configuration has changed"})
	says(true)
	schedule("s2")
	says(false)
	r.node.apply(t, &fsm.ScheduleDrop{ID: "s2", Actor: "failed: ops"})
	says(false)
}

package admin_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/holdfast-lb/holdfast/admin"
	"github.com/holdfast-lb/holdfast/admin/wire"
)

func TestUpgradeBinary(t *testing.T) {
	r := newRig(t)
	got := decode[wire.BinaryUpgraded](t, post(r.api, "POST", "/v1/upgrade-binary", `{"program": "/usr/local/bin/holdfast-2", "readyWithinMillis": 5000}`))
	if got != (wire.BinaryUpgraded{Node: "n1", Program: "/usr/local/bin/holdfast-2", Pid: 7, Version: "v2", Before: "v1", Schema: 4, Took: 1200, Gap: 300}) {
		t.Errorf("%+v", got)
	}
	decode[wire.BinaryUpgraded](t, post(r.api, "POST", "/v1/upgrade-binary", `{}`))
	if len(r.node.upgrades) != 2 || r.node.upgrades[0].ReadyWithinMilli != 5000 || r.node.upgrades[1] != (wire.BinaryUpgrade{}) {
		t.Errorf("%+v", r.node.upgrades)
	}
	r.node.upgradeErr = &admin.RefusedError{Words: "it has ended: exit status 3"}
	p := wantProblem(t, post(r.api, "POST", "/v1/upgrade-binary", `{}`), 409, wire.CodeRefused)
	if !strings.Contains(p.Detail, "this one goes on: it has ended: exit status 3.") {
		t.Error(p.Detail)
	}
	r.node.upgradeErr = errors.New("a fault")
	if w := post(r.api, "POST", "/v1/upgrade-binary", `{}`); w.Code != 500 {
		t.Errorf("a fault: status %d", w.Code)
	}
	before := len(r.node.upgrades)
	for _, body := range []string{"", "[]", `{"program": 1}`, `{"readyWithinMillis": -1}`, `{"readyWithinMillis": 1e9}`, `{"program": "` + strings.Repeat("x", 5000) + `"}`, `{"binary": "x"}`} {
		if w := post(r.api, "POST", "/v1/upgrade-binary", body); w.Code != 422 && w.Code != 400 {
			t.Errorf("%.30s: status %d", body, w.Code)
		}
	}
	if len(r.node.upgrades) != before {
		t.Error("a refused request got as far as the node")
	}
	if !strings.Contains(r.log.String(), `msg="upgrade of this node's program"`) {
		t.Error("there is no line of who did it")
	}
}

package admin_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/holdfast-lb/holdfast/admin"
	"github.com/holdfast-lb/holdfast/admin/wire"
)

// TestFullDisksAreNoLackOfAMajority: a node that cannot have what the group has, because disks are full, says so, to who reads and to who changes.
func TestFullDisksAreNoLackOfAMajority(t *testing.T) {
	for name, c := range map[string]struct {
		err   error
		code  string
		words string
	}{
		"most disks": {fmt.Errorf("%w: disks", admin.ErrNoRoom), wire.CodeNoRoom, "The disks of most nodes are full"},
		"its own":    {wire.NewProblem(http.StatusServiceUnavailable, wire.CodeQuarantined, "This node is in quarantine: its disk is full."), wire.CodeQuarantined, "its disk is full"},
		"neither":    {fmt.Errorf("%w: nobody", admin.ErrNoQuorum), wire.CodeNoQuorum, "no leader or no majority"},
	} {
		r := newRig(t)
		r.node.syncErr = c.err
		for what, w := range map[string]*httptest.ResponseRecorder{"read": read(r.api, "/v1/config"), "change": put(r.api, "/v1/config", `"0"`, "", okConfig)} {
			if p := wantProblem(t, w, http.StatusServiceUnavailable, c.code); !strings.Contains(p.Detail, c.words) {
				t.Errorf("%s, %s: %+v", name, what, p)
			}
		}
	}
}

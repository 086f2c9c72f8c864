package admin_test

import (
	"strings"
	"testing"

	"github.com/holdfast-lb/holdfast/admin"
	"github.com/holdfast-lb/holdfast/admin/wire"
)

// TestWhoIsBehind: it is the node that knows less, also when that is the one that is asked.
func TestWhoIsBehind(t *testing.T) {
	for name, c := range map[string]struct {
		served [3]uint64
		out    bool
		want   string
	}{
		"all the same": {[3]uint64{1, 1, 1}, false, ""},
		"another":      {[3]uint64{1, 0, 1}, false, "node n2 serves revision 0 of the configuration, node n1 knows of 1: it is behind"},
		"itself":       {[3]uint64{1, 2, 3}, false, "node n1, which answers, is behind: it knows of revision 1 of the configuration, and revision 3 is served by n2, n3"},
		"it is known":  {[3]uint64{1, 2, 3}, true, ""},
	} {
		r := newRig(t)
		decode[wire.ConfigResult](t, put(r.api, "/v1/config", `"0"`, "", okConfig))
		r.node.members = threeNodes()
		for i := range r.node.members {
			r.node.members[i].Revision = c.served[i]
		}
		if c.out {
			r.node.members[0].Quarantine = &admin.Quarantine{Cause: "disk-full", Text: "full"}
		}
		all := strings.Join(decode[wire.Status](t, read(r.api, "/v1/status")).Problems, "\n")
		if c.want == "" && strings.Contains(all, "behind") || !strings.Contains(all, c.want) {
			t.Errorf("%s: want %q:\n%s", name, c.want, all)
		}
		if strings.Count(all, "is behind") > 1 {
			t.Errorf("%s: said twice:\n%s", name, all)
		}
	}
}

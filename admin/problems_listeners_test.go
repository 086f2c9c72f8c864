package admin_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/holdfast-lb/holdfast/admin"
	"github.com/holdfast-lb/holdfast/admin/wire"
)

const placed = `
listeners:
  - {name: web, address: ":8080", nodes: [%s], zones: [%s]}
clusters:
  - name: c
    modules: [{contextRoot: /}]
    instances: [{name: i1, listeners: ["http://127.0.0.1:9001"]}]
`

// TestNodesWithoutListenersAreAProblem: a node for which no listener is takes no traffic and is ready, so the status has to say it.
func TestNodesWithoutListenersAreAProblem(t *testing.T) {
	for name, c := range map[string]struct {
		nodes, zones string
		want         []string
	}{
		"for all":    {"", "", nil},
		"for names":  {"n1, n2", "", []string{"n3"}},
		"for a zone": {"n2", "east", []string{"n1"}},
	} {
		r := newRig(t)
		decode[wire.ConfigResult](t, put(r.api, "/v1/config", `"0"`, "", fmt.Sprintf(placed, c.nodes, c.zones)))
		r.node.members = threeNodes()
		r.node.members = append(r.node.members, admin.Member{Name: "n4", Err: "connection refused"})
		for i := range r.node.members {
			if r.node.members[i].Name == "n3" {
				r.node.members[i].Zone = "east"
			}
		}
		all := strings.Join(decode[wire.Status](t, read(r.api, "/v1/status")).Problems, "\n")
		if n := strings.Count(all, "takes no traffic"); n != len(c.want) {
			t.Errorf("%s: said of %d nodes, want %v:\n%s", name, n, c.want, all)
		}
		for _, n := range c.want {
			if !strings.Contains(all, "node "+n+" takes no traffic: no listener names it or its zone") {
				t.Errorf("%s: want node %s:\n%s", name, n, all)
			}
		}
	}
}

// TestNodesThatAreNoMembersAreWarnedOf, and zones that no node has: by a plan and by what applies.
func TestNodesThatAreNoMembersAreWarnedOf(t *testing.T) {
	for name, c := range map[string]struct {
		nodes, zones string
		gone         bool
		want         []string
	}{
		"for all":       {"", "", false, nil},
		"members":       {"n1, n3", "east", false, nil},
		"no member":     {"n1, n9", "", false, []string{"listener web names node n9, which is no member of the group: nothing listens there until it is; the members are n1, n2, n3"}},
		"no zone":       {"n1", "west", false, []string{"listener web names zone west, which no node has: nothing listens there until one is started with --zone west"}},
		"zones unknown": {"n9", "west", true, []string{"listener web names node n9"}},
	} {
		r := newRig(t)
		r.node.members = threeNodes()
		r.node.members[0].Zone, r.node.members[2].Reachable = "east", !c.gone
		text := fmt.Sprintf(placed, c.nodes, c.zones)
		plan := decode[wire.Plan](t, post(r.api, "POST", "/v1/config/plan", text, "Content-Type", "application/yaml"))
		valid := decode[wire.ValidateResult](t, post(r.api, "POST", "/v1/config/validate", text, "Content-Type", "application/yaml"))
		applied := decode[wire.ConfigResult](t, put(r.api, "/v1/config", `"0"`, "", text))
		for what, list := range map[string][]string{"plan": plan.Warnings, "validate": valid.Warnings, "apply": applied.Warnings} {
			all := strings.Join(list, "\n")
			if strings.Count(all, "listener web names") != len(c.want) {
				t.Errorf("%s, %s: %q", name, what, list)
			}
			for _, w := range c.want {
				if !strings.Contains(all, w) {
					t.Errorf("%s, %s: %q, want %q", name, what, list, w)
				}
			}
		}
	}
}

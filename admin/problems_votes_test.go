package admin

import (
	"slices"
	"strings"
	"testing"

	"github.com/holdfast-lb/holdfast/admin/wire"
)

func TestVotes(t *testing.T) {
	for text, want := range map[string][]string{
		"":                 nil,
		"a:1":              nil,
		"a:1 b:1":          {"2 nodes have a vote: an even number, which survives the loss of no node, as one node alone"},
		"a:1 b:1 c:1":      nil,
		"a:1 b:1 c:1 d:1":  {"4 nodes have a vote: an even number, which survives the loss of no more than 1, as with 3"},
		"a:1 b:1 c:1 -d:1": nil,
		"a:1 a:2 c:1":      {"nodes n1, n2 share the host a"},
		"a:1 -a:2 b:1 c:1": nil,
		"[2001:db8::1]:1 [2001:db8::1]:2 c:1 c:2 e:1": {"nodes n1, n2 share the host 2001:db8::1", "nodes n3, n4 share the host c"},
		"127.0.0.1:1 127.0.0.1:2 [::1]:1":             nil,
		"nonsense nonsense c:1":                       nil,
	} {
		var nodes []wire.Node
		for i, addr := range strings.Fields(text) {
			addr, silent := strings.CutPrefix(addr, "-")
			nodes = append(nodes, wire.Node{Name: "n" + string(rune('1'+i)), Voter: !silent, PeerAddr: addr})
		}
		got := votes(nodes)
		if !slices.EqualFunc(got, want, strings.HasPrefix) {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

// TestProblemsBeforeAGroup: a node that waits for its group has lost no quorum, and says where the reason stands; nor has the group when it is the node that was asked that hears nothing.
func TestProblemsBeforeAGroup(t *testing.T) {
	for _, s := range []struct {
		status wire.Status
		want   string
	}{
		{wire.Status{Node: "n1"}, "node n1 is in no group yet: it serves nothing, and /readyz and its log say what it waits for"},
		{wire.Status{Node: "n1", Nodes: []wire.Node{{Name: "n1", Reachable: true, Ready: true}}}, "no quorum: known sessions are served, nothing can be recorded or changed until a majority of the nodes is back"},
		{wire.Status{Node: "n1", Nodes: []wire.Node{{Name: "n1", Reachable: true, Ready: true, Role: "leader"}, {Name: "n2", Role: "leader", Reachable: true, Ready: true}}}, "node n1, which was asked, hears no leader, but node n2 leads: what follows may be old, and changes through this node have to wait; ask another node (--admin)"},
		{wire.Status{Node: "n1", Nodes: []wire.Node{{Name: "n1", Reachable: true, Ready: true, Role: "leader"}}}, "no quorum: known sessions are served, nothing can be recorded or changed until a majority of the nodes is back"},
	} {
		if got := problems(&s.status); len(got) != 1 || got[0] != s.want {
			t.Errorf("%q, want %q", got, s.want)
		}
	}
}

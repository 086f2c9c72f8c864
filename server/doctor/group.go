package doctor

import (
	"cmp"
	"fmt"
)

// group passes on what a node that runs says of itself and its group.
func (v *visit) group() {
	switch {
	case !v.report.Running:
		return
	case v.Status == nil || v.statusErr != nil:
		v.find("group", "status", Fault, "name its address with --admin, and give an access token with --token-file where it is not on the loopback interface; if that is right look at its log: it may be starting, or hang", "%s, but the node does not answer: %v", inUse(v.report.PID), v.statusErr)
		return
	}
	s := v.status
	if v.named && s.Node != v.identity.Name {
		v.find("group", "status", Fault, "name the address of node "+v.identity.Name+" with --admin", "node %s answers, and the data directory is that of node %s", s.Node, v.identity.Name)
		return
	}
	for _, n := range s.Nodes {
		switch {
		case !n.Self:
		case n.Quarantine != nil:
			v.find("group", "node", Fault, "it mends itself where it can; else 'holdfast node resync "+n.Name+"'", "node %s has taken itself out of service (%s): %s", n.Name, n.Quarantine.Cause, n.Quarantine.Text)
		case !n.Ready:
			v.find("group", "node", Fault, "look at its log", "node %s is not ready: %s", n.Name, cmp.Or(n.Reason, "it does not say why"))
		default:
			v.find("group", "node", OK, "", "node %s is ready, %s, %d entries behind", n.Name, n.Role, n.Lag)
		}
	}
	if !s.Quorum || s.Leader == "" {
		v.find("group", "quorum", Fault, "bring the other nodes back; when they are gone for good: 'holdfast recover'", "no majority of the nodes is there: known sessions are served, nothing can be recorded")
	} else {
		v.find("group", "quorum", OK, "", "node %s leads %s", s.Leader, fmt.Sprintf("%d nodes", len(s.Nodes)))
	}
	for _, p := range s.Problems {
		v.find("group", "problems", Warning, "'holdfast status' shows it with everything else", "%s", p)
	}
}

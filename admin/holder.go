package admin

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm"
)

func wireHolder(h *fsm.Holder) *wire.Holder {
	if h == nil {
		return nil
	}
	return &wire.Holder{Node: h.Node, Since: h.Since, Term: h.Term, Index: h.Index, Addresses: listed(h.Addresses), Previous: h.Previous, GapMillis: h.Gap.Milliseconds(),
		Planned: h.Planned, Reason: h.Reason, SessionsBefore: h.SessionsBefore, SessionsAfter: h.SessionsAfter, Receipt: h.Receipt()}
}

func wireVIP(v *VIPStatus) *wire.VIP {
	if v == nil {
		return nil
	}
	return &wire.VIP{Addresses: listed(v.Addresses), Holds: v.Holds, Prepared: v.Prepared, Eligible: v.Eligible, Reason: v.Reason, Conflict: v.Conflict, Connections: v.Connections, Warnings: v.Warnings}
}

// listed is a list that is never null in JSON.
func listed(list []string) []string { return append([]string{}, list...) }

func wireEvacuation(e *fsm.Evacuation, member bool) *wire.Evacuation {
	if e == nil {
		return nil
	}
	return &wire.Evacuation{Node: e.Node, Since: e.Since, Actor: e.Actor, Reason: e.Reason, Member: member}
}

// evacuations lists the evacuated nodes by name, also those that are no members.
func evacuations(op *fsm.Operating, members []Member) []wire.Evacuation {
	list := make([]wire.Evacuation, 0, len(op.Evacuated))
	for i := range op.Evacuated {
		e := &op.Evacuated[i]
		list = append(list, *wireEvacuation(e, memberOf(members, e.Node) != nil))
	}
	return list
}

func memberOf(members []Member, name string) *Member {
	for i := range members {
		if members[i].Name == name {
			return &members[i]
		}
	}
	return nil
}

// holderProblems says what is wrong with the virtual addresses, the most urgent first; nothing in a group that has none.
func holderProblems(s *wire.Status) (list []string) {
	add := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }
	var have, without, holds, reasons []string
	var hooks []wire.Node // whose program alone knows the addresses
	for i := range s.Nodes {
		n := &s.Nodes[i]
		switch {
		case !n.Reachable:
			continue
		case n.VIP == nil || len(n.VIP.Addresses) == 0:
			if !n.ReadOnly { // one without a vote never holds them
				without = append(without, n.Name)
				if n.VIP != nil {
					hooks = append(hooks, *n)
				}
			}
			continue
		}
		have = append(have, n.Name+" "+strings.Join(n.VIP.Addresses, ","))
		if n.VIP.Holds {
			holds = append(holds, n.Name)
		} else if !n.VIP.Eligible {
			reasons = append(reasons, n.Name+": "+cmp.Or(n.VIP.Reason, "not eligible"))
		}
	}
	switch {
	case len(have) == 0:
		return hookProblems(hooks)
	case len(holds) > 1:
		add("nodes %s all say that they hold the virtual address: the one that does not lead gives it up when its lease ends; if this stays, stop that one", strings.Join(holds, " and "))
	case len(holds) == 0 && len(reasons) == 0:
		add("no node that answers holds the virtual address: clients cannot reach it")
	case len(holds) == 0:
		add("no node that answers holds the virtual address: clients cannot reach it (%s)", strings.Join(reasons, "; "))
	}
	for _, n := range s.Nodes {
		if n.Reachable && n.VIP != nil && n.VIP.Conflict != "" {
			add("node %s sees somebody else with a virtual address: %s; find that machine, or program, and take the address from it", n.Name, n.VIP.Conflict)
		}
	}
	for _, n := range s.Nodes {
		if n.Reachable && n.VIP != nil {
			for _, w := range n.VIP.Warnings {
				add("node %s: virtual address %s", n.Name, w)
			}
		}
	}
	if !sameAddresses(s.Nodes) {
		add("nodes were started with different virtual addresses: %s: give all of them the same --vip", strings.Join(have, "; "))
	} else if len(without) > 0 {
		add("node %s was started without --vip, so it cannot hold the virtual address: %s", strings.Join(without, ", "), strings.Join(have, "; "))
	}
	return list
}

// hookProblems says why no node of a group without --vip holds by its program; nothing when one does, or might.
func hookProblems(nodes []wire.Node) (list []string) {
	var reasons []string
	for i := range nodes {
		v := nodes[i].VIP
		if v.Holds || v.Eligible {
			return nil
		}
		reasons = append(reasons, nodes[i].Name+": "+cmp.Or(v.Reason, "not eligible"))
	}
	if len(reasons) > 0 {
		list = append(list, "no node that answers has the virtual address by its --vip-hook: clients may not reach it ("+strings.Join(reasons, "; ")+")")
	}
	return list
}

// sameAddresses tells whether the nodes that have virtual addresses have the same ones. Interfaces may have other names on another machine.
func sameAddresses(nodes []wire.Node) bool {
	var first []string
	for i := range nodes {
		if n := &nodes[i]; n.Reachable && n.VIP != nil && len(n.VIP.Addresses) > 0 {
			var list []string
			for _, a := range n.VIP.Addresses {
				cidr, _, _ := strings.Cut(a, "@")
				list = append(list, cidr)
			}
			slices.Sort(list)
			if first == nil {
				first = list
			} else if !slices.Equal(first, list) {
				return false
			}
		}
	}
	return true
}

// evacuationProblems reminds of the nodes that are evacuated: there is one node less to take over.
func evacuationProblems(s *wire.Status) (list []string) {
	for _, e := range s.Evacuated {
		where := ""
		if !e.Member {
			where = ", which is no member of the group now,"
		}
		list = append(list, fmt.Sprintf("node %s%s is evacuated since %s by %s: it neither leads nor holds the virtual address (%s); 'holdfast node evacuate %s --undo' takes that back",
			e.Node, where, e.Since.UTC().Format(time.RFC3339), cmp.Or(e.Actor, "somebody"), cmp.Or(e.Reason, "no reason given"), e.Node))
	}
	return list
}

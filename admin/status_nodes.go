package admin

import (
	"cmp"
	"slices"

	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm"
)

// nodes turns the members' reports into what the operator sees, sorted by name.
func nodes(members []Member, op *fsm.Operating) []wire.Node {
	ref, known := reference(members)
	var newest uint64
	for i := range members {
		newest = max(newest, members[i].Applied)
	}
	list := make([]wire.Node, 0, len(members))
	for i := range members {
		m := &members[i]
		n := wire.Node{
			Name: m.Name, Self: m.Self, Role: cmp.Or(m.Role, "unknown"), Voter: m.Voter, ReadOnly: m.ReadOnly, Reachable: m.Reachable, Error: m.Err,
			Version: m.Version, Schema: m.Schema, Timing: m.Timing, Zone: m.Zone, PeerAddr: m.PeerAddr, AdminAddr: m.AdminAddr, Started: m.Started, Ready: m.Ready, Reason: m.Reason,
			Applied: m.Applied, ClockSkewMillis: m.ClockSkew.Milliseconds(), Revision: m.Revision, InForce: m.InForce, Sessions: m.Sessions, HashState: wire.HashUnknown,
			DNS: wireDNS(m.DNS), VIP: wireVIP(m.VIP), Evacuated: wireEvacuation(op.Evacuation(m.Name), true), Quarantine: (*wire.Quarantine)(m.Quarantine), Disk: m.Disk, NoRoom: m.NoRoom,
		}
		if m.Reachable {
			n.Lag = newest - m.Applied
		}
		if m.Reachable && known {
			compare(&n, m, ref)
		}
		list = append(list, n)
	}
	slices.SortFunc(list, func(a, b wire.Node) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

// Causes of a quarantine: two that are about the state, and a full disk.
const causeDiverged, causeDiffers, causeDiskFull = "diverged", "differs", "disk-full"

// reference is the member that the others' states are compared with: the leader, else the most advanced one. One that has found its own state wrong is none.
func reference(members []Member) (*Member, bool) {
	var ref *Member
	for i := range members {
		m := &members[i]
		switch {
		case !m.Reachable, m.Quarantine != nil && m.Quarantine.Cause == causeDiverged:
		case m.Role == "leader":
			return m, true
		case ref == nil || m.Applied > ref.Applied:
			ref = m
		}
	}
	return ref, ref != nil
}

// compare says whether m has the same state as ref. At the same index their digests say it at once; otherwise the last
// checkpoints do, when they are the same entry; otherwise it will be known at the next checkpoint.
func compare(n *wire.Node, m, ref *Member) {
	verdict := func(same bool) string {
		if same {
			return wire.HashEqual
		}
		return wire.HashDiffers
	}
	switch {
	case m.Digest != (fsm.Digest{}) && m.Applied == ref.Applied && m.Applied > 0:
		n.HashIndex, n.Hash, n.HashState = m.Applied, m.Digest.String(), verdict(m.Digest == ref.Digest)
	case m.Checkpoint.Index == 0:
		n.HashState = wire.HashPending
	case m.Checkpoint.Index == ref.Checkpoint.Index:
		n.HashIndex, n.Hash, n.HashState = m.Checkpoint.Index, m.Checkpoint.Digest.String(), verdict(m.Checkpoint.Digest == ref.Checkpoint.Digest)
	default:
		n.HashIndex, n.Hash, n.HashState = m.Checkpoint.Index, m.Checkpoint.Digest.String(), wire.HashPending
	}
	if q := m.Quarantine; q != nil && (q.Cause == causeDiverged || q.Cause == causeDiffers) {
		n.HashState = wire.HashDiffers // it has found so itself, and only a new copy of the state mends it
	}
}

// overallHash is the worst of the nodes that answer; unknown when fewer than two do.
func overallHash(list []wire.Node) string {
	answering, pending := 0, false
	for _, n := range list {
		switch n.HashState {
		case wire.HashDiffers:
			return wire.HashDiffers
		case wire.HashPending:
			pending = true
		}
		if n.Reachable {
			answering++
		}
	}
	switch {
	case pending:
		return wire.HashPending
	case answering < 2 && len(list) != 1:
		return wire.HashUnknown
	}
	return wire.HashEqual
}

// duties lists what the members that answer do as the leader; two do the same for as long as a leader does not know that it is none any more.
func duties(members []Member) []wire.Duty {
	list := []wire.Duty{}
	for i := range members {
		m := &members[i]
		for _, d := range m.Duties {
			list = append(list, wire.Duty{Duty: d.Duty, Node: m.Name, Since: d.Since, Last: d.Last, Runs: d.Runs, Error: d.Error, Failed: d.Failed})
		}
	}
	slices.SortFunc(list, func(a, b wire.Duty) int { return cmp.Or(cmp.Compare(a.Duty, b.Duty), cmp.Compare(a.Node, b.Node)) })
	return list
}

package main

import (
	"context"
	"slices"
	"time"

	"github.com/holdfast-lb/holdfast/admin"
	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

var _ admin.Node = (*fakeGroup)(nil)

func (g *fakeGroup) Record(_ context.Context, op fsm.SessionOp) (fsm.SessionResult, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.index++
	res, err := g.state.Apply(g.index, fsm.EncodeSessions(g.now, []fsm.SessionOp{op}))
	if err != nil {
		return fsm.SessionResult{}, err
	}
	return res.Sessions[0], nil
}

func (g *fakeGroup) Heartbeat(ctx context.Context, cluster string, in config.Instance, actor string) (fsm.Result, error) {
	return g.Propose(ctx, &fsm.InstanceRegister{Cluster: cluster, Instance: in, Actor: actor})
}

func (g *fakeGroup) Deregister(ctx context.Context, cluster, instance, _ string) (fsm.Result, error) {
	return g.Propose(ctx, &fsm.InstanceDrop{Instances: []fsm.InstanceRef{{Cluster: cluster, Instance: instance}}, Reason: "goodbye"})
}

// Transfer hands over to a node, or to the other one of the two that answer.
func (g *fakeGroup) Transfer(_ context.Context, to string) error {
	from := g.leader()
	if to == "" {
		to = otherNode(from)
	}
	if g.refuses.Load() {
		return &admin.RefusedError{Words: "node " + to + " is 5000 entries behind"}
	}
	return g.hand(from, to)
}

// hand has a node lead and hold the virtual address, once it is on.
func (g *fakeGroup) hand(from, to string) error {
	g.leads.Store(&to)
	term := 2 + g.term.Add(1)
	if !g.vip.Load() || from == to {
		return nil
	}
	_, err := g.Propose(context.Background(), &fsm.HolderSet{Node: to, Previous: from, Term: term, Planned: true, Addresses: []string{"10.0.0.100/24@eth0"}})
	return err
}

func (g *fakeGroup) leader() string {
	if name := g.leads.Load(); name != nil {
		return *name
	}
	return "n1"
}

func otherNode(name string) string {
	if name == "n1" {
		return longName
	}
	return "n1"
}

// evacuateStep goes one step on with the evacuation of the leader: it hands over, and its two connections end.
func (g *fakeGroup) evacuateStep() {
	if from := g.leader(); g.state.Operating().Evacuation(from) != nil && !g.stuck.Load() {
		if g.steps.Add(1) > 1 {
			_ = g.hand(from, otherNode(from))
		}
	}
}

// address is what a node of the fake says of the virtual address.
func (g *fakeGroup) address(name string) *admin.VIPStatus {
	if !g.vip.Load() {
		return nil
	}
	v := &admin.VIPStatus{Addresses: []string{"10.0.0.100/24@eth0"}, Holds: g.leader() == name, Eligible: true}
	if g.state.Operating().Evacuation(name) != nil {
		v.Eligible, v.Reason = false, "it is evacuated"
		if g.steps.Add(1) < 6 {
			v.Connections = 2
		}
	}
	return v
}

// Remove takes a node out, unless the group refuses.
func (g *fakeGroup) Remove(_ context.Context, name string, force bool) error {
	if g.refuses.Load() && !force {
		return &admin.RefusedError{Words: "without it 2 of the 2 nodes with a vote would answer, and 2 must: the group could not survive the next failure, as it can now; let another node join first, or force it"}
	}
	g.removed.Store(&name)
	return nil
}

// upgradeBinary says that another program serves, unless the group refuses.
func (g *fakeGroup) upgradeBinary(_ context.Context, u wire.BinaryUpgrade) (wire.BinaryUpgraded, error) {
	if g.refuses.Load() {
		return wire.BinaryUpgraded{}, &admin.RefusedError{Words: "/usr/local/bin/holdfast does not get ready: it has ended: exit status 2"}
	}
	return wire.BinaryUpgraded{Node: "n1", Program: u.Program, Pid: 4711, Version: "v1.3.0", Before: "v1.2.3", Schema: fsm.Schema, Took: 640 + u.ReadyWithinMilli, Gap: 300}, nil
}

// Resync has a node begin anew; each look finds it one step further.
func (g *fakeGroup) Resync(_ context.Context, name string) error {
	if g.refuses.Load() {
		return &admin.RefusedError{Words: "while it has no vote 1 of the 2 nodes with a vote would answer (n3 would not), and 2 must"}
	}
	g.steps.Store(0)
	g.resynced.Store(&name)
	return nil
}

// membership changes what the list says by what was done.
func (g *fakeGroup) membership(list []admin.Member) []admin.Member {
	if name := g.removed.Load(); name != nil {
		list = slices.DeleteFunc(list, func(m admin.Member) bool { return m.Name == *name })
	}
	for i := range list {
		m := &list[i]
		m.Started = time.Date(2026, 3, 1, 1, 0, 0, 0, time.UTC)
		if name := g.resynced.Load(); name == nil || *name != m.Name {
			continue
		}
		if step := g.steps.Add(1); step > 1 {
			applied := m.Applied
			m.Started = m.Started.Add(time.Hour)
			m.Applied, m.Ready, m.Voter = 0, false, false
			if step > 2 {
				m.Applied = applied
			}
			if step > 3 {
				m.Ready = true
			}
			m.Voter = step > 4 && !g.stuck.Load()
		}
	}
	return list
}

package main

import (
	"context"

	"github.com/holdfast-lb/holdfast/admin"
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

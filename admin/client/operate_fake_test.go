package client_test

import (
	"context"
	"time"

	"github.com/holdfast-lb/holdfast/admin"
	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

var _ admin.Node = (*single)(nil)

func (n *single) Record(_ context.Context, op fsm.SessionOp) (fsm.SessionResult, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.index++
	res, err := n.state.Apply(n.index, fsm.EncodeSessions(time.Now(), []fsm.SessionOp{op}))
	if err != nil {
		return fsm.SessionResult{}, err
	}
	return res.Sessions[0], nil
}

func (n *single) Heartbeat(ctx context.Context, cluster string, in config.Instance, actor string) (fsm.Result, error) {
	return n.Propose(ctx, &fsm.InstanceRegister{Cluster: cluster, Instance: in, Actor: actor})
}

func (n *single) Deregister(ctx context.Context, cluster, instance, _ string) (fsm.Result, error) {
	return n.Propose(ctx, &fsm.InstanceDrop{Instances: []fsm.InstanceRef{{Cluster: cluster, Instance: instance}}, Reason: "goodbye"})
}

func (n *single) Transfer(context.Context, string) error { return nil }

func (n *single) Remove(context.Context, string, bool) error { return nil }

func (n *single) Resync(context.Context, string) error { return nil }

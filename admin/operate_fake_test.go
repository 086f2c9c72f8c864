package admin_test

import (
	"context"
	"fmt"

	"github.com/holdfast-lb/holdfast/admin"
	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

var _ admin.Node = (*fakeNode)(nil)

func (n *fakeNode) Record(_ context.Context, op fsm.SessionOp) (fsm.SessionResult, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.index++
	res, err := n.state.Apply(n.index, fsm.EncodeSessions(n.now, []fsm.SessionOp{op}))
	if err != nil {
		return fsm.SessionResult{}, err
	}
	return res.Sessions[0], nil
}

func (n *fakeNode) Heartbeat(ctx context.Context, cluster string, in config.Instance, actor string) (fsm.Result, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.beats = append(n.beats, in)
	if n.answer != nil {
		res, _ := n.answer(&fsm.InstanceRegister{Cluster: cluster, Instance: in, Actor: actor})
		return res, nil
	}
	return fsm.Result{}, nil
}

func (n *fakeNode) Deregister(_ context.Context, cluster, instance, _ string) (fsm.Result, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.gone = append(n.gone, fsm.InstanceRef{Cluster: cluster, Instance: instance})
	if instance == "absent" {
		return fsm.Result{Code: fsm.CodeAbsent}, nil
	}
	return fsm.Result{}, nil
}

func (n *fakeNode) Remove(_ context.Context, name string, force bool) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.removals = append(n.removals, fmt.Sprint(name, " ", force))
	return n.memberErr
}

func (n *fakeNode) Resync(_ context.Context, name string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.resyncs = append(n.resyncs, name)
	return n.memberErr
}

func (n *fakeNode) Transfer(_ context.Context, to string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.transfers = append(n.transfers, to)
	return n.transferErr
}

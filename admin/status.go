package admin

import (
	"context"
	"net/http"

	"github.com/holdfast-lb/holdfast/admin/permit"
	"github.com/holdfast-lb/holdfast/admin/wire"
)

type statusOutput struct {
	wire.ReadHeaders
	Body wire.Status
}

type nodesOutput struct {
	wire.ReadHeaders
	Body wire.NodeList
}

func (a *API) registerStatus() {
	register(a, route{
		method: http.MethodGet, path: "/v1/status", id: "get-status", role: wire.RoleViewer, permission: permit.StatusRead,
		summary: "Everything on one screen",
		about:   "It is answered also without a quorum, then from this node's own state and labelled stale: that is when it is needed most. While a new program takes the node over (upgrade-binary), the one before answers 503 without a leader, whatever consistency is asked for.",
	}, a.getStatus)
	register(a, route{
		method: http.MethodGet, path: "/v1/nodes", id: "list-nodes", role: wire.RoleViewer, permission: permit.StatusRead,
		summary: "The members of the group, each asked how it is",
	}, a.getNodes)
}

// gather asks the members while it waits for the leader, so that an answer without a quorum takes one second, not two.
func (a *API) gather(ctx context.Context, f wire.ReadParams) (wire.ReadHeaders, []Member, error) {
	asked := make(chan []Member, 1)
	go func() { asked <- a.opt.Node.Members(ctx) }()
	headers, err := a.settle(ctx, f)
	members := <-asked
	if a.opt.Node.Info().Parted && ctx.Err() == nil && (err != nil || a.sync(ctx) != nil) {
		return headers, nil, betweenPrograms()
	}
	if err != nil && ctx.Err() == nil {
		headers = wire.ReadHeaders{Consistency: wire.Stale, Index: a.opt.State.Applied()}
	} else if err != nil {
		return headers, nil, err
	}
	return headers, members, nil
}

// betweenPrograms: this process does not hear of elections any more, and who might tell it does not. What it knew would be taken for the node's word.
func betweenPrograms() *wire.Problem {
	return wire.NewProblem(http.StatusServiceUnavailable, wire.CodeNoQuorum,
		"A new program takes this node over and does not serve yet; the one before takes part in the group no more and reaches no leader, so it cannot say how the group is. Ask again, or another node.").
		With("Retry-After", "1")
}

func (a *API) getNodes(ctx context.Context, in *wire.ReadParams) (*nodesOutput, error) {
	headers, members, err := a.gather(ctx, *in)
	if err != nil {
		return nil, err
	}
	op := a.opt.State.Operating()
	return &nodesOutput{headers, wire.NodeList{Nodes: nodes(members, op), Evacuated: evacuations(op, members), Holder: wireHolder(op.Holder)}}, nil
}

func (a *API) getStatus(ctx context.Context, in *wire.ReadParams) (*statusOutput, error) {
	headers, members, err := a.gather(ctx, *in)
	if err != nil {
		return nil, err
	}
	info, op := a.opt.Node.Info(), a.opt.State.Operating()
	rev := op.Revision
	flight := a.inFlight(members)
	s := wire.Status{
		Node: info.Name, Version: info.Version, Consistency: headers.Consistency, Quorum: info.Quorum, Leader: info.Leader, Term: info.Term,
		Applied: headers.Index, Time: a.opt.State.Now(), Revision: describe(rev), Sessions: a.opt.State.Len(),
		Nodes: nodes(members, op), Holder: wireHolder(op.Holder), Evacuated: evacuations(op, members), Listeners: []wire.Listener{}, OperatingIndex: op.Index, Quiesces: a.quiesces(flight), Maintenance: wireLock(op.Lock), Schedules: a.schedules(),
		Workflows: workflowStates(op),
	}
	if g := a.opt.State.Group(); g != nil {
		s.Group = wire.Group{ID: g.ID, Name: g.Name, Epoch: g.Epoch, Created: g.Created, Schema: op.SchemaInForce()}
	}
	for _, l := range rev.Config.Listeners {
		s.Listeners = append(s.Listeners, wire.Listener{Name: l.Name, Address: l.Address, Protocol: l.Protocol})
	}
	s.Duties = duties(members)
	s.StateHash = overallHash(s.Nodes)
	s.Clusters = a.clusters(op, members, flight)
	s.Backups = wireBackups(op.Backups, members)
	s.Problems = append(problems(&s), unplaced(s.Nodes, op.Config)...)
	s.Problems = append(s.Problems, full(op.Config, s.Clusters)...)
	s.Problems = append(s.Problems, a.failedSchedule()...)
	s.Problems = append(s.Problems, mixedVersions(op.Config)...)
	s.Problems = append(s.Problems, backupProblems(&s, a.opt.Now())...)
	s.Problems = append(s.Problems, certificateProblems(op, a.opt.Now())...)
	s.Problems = append(s.Problems, authorityProblems(op, a.opt.Now())...)
	s.Problems = append(s.Problems, presentedProblems(s.Clusters, a.opt.Now())...)
	if text := a.issuerProblem(); text != "" {
		s.Problems = append(s.Problems, text)
	}
	return &statusOutput{headers, s}, nil
}

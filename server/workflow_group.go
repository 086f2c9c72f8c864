package server

import (
	"context"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/workflow"
)

// workflowNode is the node as the workflows of one term drive it.
type workflowNode struct {
	s    *Server
	term uint64
}

func (n workflowNode) Operating() *fsm.Operating { return n.s.state.Operating() }
func (n workflowNode) Now() time.Time            { return n.s.state.Now() }
func (n workflowNode) Changed() <-chan struct{}  { return n.s.node.Changed() }

func (n workflowNode) InstanceID(cluster, instance string) (fsm.InstanceID, bool) {
	return n.s.state.InstanceID(cluster, instance)
}

func (n workflowNode) Propose(ctx context.Context, c fsm.Command) (fsm.Result, error) {
	result, err := n.s.node.Command(ctx, n.term, c)
	if err != nil {
		return result, err
	}
	return result, n.s.node.WaitApplied(ctx, result.Index)
}

// Nodes asks every member. One whose description cannot be read says nothing, so its node counts as silent.
func (n workflowNode) Nodes(ctx context.Context) []workflow.Node {
	reports := n.s.reports(ctx)
	list := make([]workflow.Node, len(reports))
	for i := range reports {
		list[i] = workflowReport(&reports[i])
	}
	return list
}

// workflowReport is what a node's report says for workflows.
func workflowReport(r *memberReport) workflow.Node {
	if !r.reachable {
		return workflow.Node{Name: r.node}
	}
	out := workflow.Node{Name: r.node, Reachable: true, InForce: r.InForce}
	for _, in := range r.Instances {
		out.Instances = append(out.Instances, workflow.Instance{
			Cluster: in.Cluster, Name: in.Instance, Healthy: in.Health != "down" && !in.Suspect, InFlight: in.InFlight + in.Waiting,
		})
	}
	for _, m := range r.Modules {
		out.Modules = append(out.Modules, workflow.Module{Cluster: m.Cluster, Host: m.Host, ContextRoot: m.ContextRoot, InFlight: m.InFlight})
	}
	return out
}

// runWorkflows is a duty of the leader.
func (s *Server) runWorkflows(ctx context.Context, term uint64) {
	r := &workflowRunner{
		group: workflowNode{s, term}, hooks: newHookCaller(programs{dir: func() string { return s.config.HookDir }, log: s.log}), log: s.log, clock: s.node.GroupTime,
	}
	r.Run(ctx, term)
}

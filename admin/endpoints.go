package admin

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/holdfast-lb/holdfast/admin/permit"
	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

type endpointsInput struct {
	wire.ReadParams
	Cluster string `query:"cluster" maxLength:"128" doc:"only this cluster"`
}

type endpointsOutput struct {
	wire.ReadHeaders
	Body wire.Endpoints
}

func (a *API) registerEndpoints() {
	register(a, route{
		method: http.MethodGet, path: "/v1/endpoints", id: "list-endpoints", role: wire.RoleViewer, permission: permit.StatusRead,
		summary: "The instances that take new work, for clients that choose by themselves",
		about: "Those that are enabled and available, with their URLs, weights and zones. Whoever asks every second uses consistency=stale: " +
			"then the node answers from what it knows.",
		edit: func(op *huma.Operation) { op.Errors = append(op.Errors, http.StatusNotFound) },
	}, a.getEndpoints)
}

func (a *API) getEndpoints(ctx context.Context, in *endpointsInput) (*endpointsOutput, error) {
	headers, err := a.settle(ctx, in.ReadParams)
	if err != nil {
		return nil, err
	}
	op := a.opt.State.Operating()
	if in.Cluster != "" && clusterOf(op.Config, in.Cluster) == nil {
		return nil, notFoundf("There is no cluster %.128q.", in.Cluster)
	}
	out := &endpointsOutput{headers, wire.Endpoints{Revision: op.Revision.Number, Index: op.Index, Clusters: []wire.ClusterEndpoints{}}}
	available := a.available(op)
	for i := range op.Config.Clusters {
		cl := &op.Config.Clusters[i]
		if in.Cluster != "" && cl.Name != in.Cluster {
			continue
		}
		list := wire.ClusterEndpoints{Cluster: cl.Name, Endpoints: []wire.Endpoint{}}
		for j := range cl.Instances {
			if inst := &cl.Instances[j]; inst.Enabled && available(cl, inst) {
				list.Endpoints = append(list.Endpoints, wire.Endpoint{Instance: inst.Name, URLs: inst.Listeners, Weight: inst.Weight, Zone: inst.Zone, Version: inst.Version, Backup: inst.Backup})
			}
		}
		out.Body.Clusters = append(out.Body.Clusters, list)
	}
	return out, nil
}

// available tells whether this node could send requests to an instance: it finds it available, and the group has not found it failed.
func (a *API) available(op *fsm.Operating) func(*config.Cluster, *config.Instance) bool {
	up := map[fsm.InstanceRef]bool{}
	for _, i := range a.opt.Node.Instances() {
		up[fsm.InstanceRef{Cluster: i.Cluster, Instance: i.Instance}] = i.Up
	}
	failed := verdicts(op)
	return func(cl *config.Cluster, in *config.Instance) bool {
		id, _ := a.opt.State.InstanceID(cl.Name, in.Name)
		return up[fsm.InstanceRef{Cluster: cl.Name, Instance: in.Name}] && failed[id].State != fsm.HealthFailed
	}
}

// verdicts finds the group's verdicts by instance.
func verdicts(op *fsm.Operating) map[fsm.InstanceID]fsm.Verdict {
	by := make(map[fsm.InstanceID]fsm.Verdict, len(op.Verdicts))
	for _, v := range op.Verdicts {
		by[v.Instance] = v
	}
	return by
}

package admin

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"

	"github.com/holdfast-lb/holdfast/admin/permit"
	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

// heartbeatRoute is asked twice a second by each registered instance: it is logged like a read.
const heartbeatRoute = "/v1/clusters/{cluster}/instances/{instance}/heartbeat"

type heartbeatInput struct {
	Cluster  string `path:"cluster" maxLength:"128"`
	Instance string `path:"instance" maxLength:"128"`
	RawBody  []byte `contentType:"application/json"`
}

type heartbeatOutput struct {
	Body wire.Heartbeat
}

type goodbyeInput struct {
	Cluster  string `path:"cluster" maxLength:"128"`
	Instance string `path:"instance" maxLength:"128"`
}

func (a *API) registerHeartbeats() {
	a.beats.parsed, a.beats.refused = map[fsm.InstanceRef]beat{}, map[fsm.InstanceRef]string{}
	register(a, route{
		method: http.MethodPut, path: heartbeatRoute, id: "heartbeat", role: wire.RoleOperator, permission: permit.InstancesWrite, body: 64 << 10,
		summary: "An instance registers itself, and says that it lives",
		about: "The body is the instance as in the configuration, without its name. The first heartbeat registers it, one with other values changes it; without one for dropAfter it is dropped. " +
			"The cluster must allow it (registration.allow).",
		edit: func(op *huma.Operation) {
			schema := a.huma.OpenAPI().Components.Schemas.Schema(reflectInstance, true, "Instance")
			op.RequestBody = &huma.RequestBody{Content: map[string]*huma.MediaType{mediaJSON: {Schema: schema}}, Required: true}
			op.SkipValidateBody = true
			op.Errors = append(op.Errors, http.StatusNotFound, http.StatusConflict, http.StatusUnprocessableEntity, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusGatewayTimeout)
		},
	}, a.putHeartbeat)
	register(a, route{
		method: http.MethodDelete, path: heartbeatRoute, id: "goodbye", role: wire.RoleOperator, permission: permit.InstancesWrite,
		summary: "A registered instance says goodbye: it is dropped at once",
		edit: func(op *huma.Operation) {
			op.Errors = append(op.Errors, http.StatusNotFound, http.StatusConflict, http.StatusGatewayTimeout)
		},
	}, a.deleteHeartbeat)
}

func (a *API) putHeartbeat(ctx context.Context, in *heartbeatInput) (*heartbeatOutput, error) {
	out, err := a.beat(ctx, in)
	var p *wire.Problem
	if text := ""; err == nil || errors.As(err, &p) {
		if p != nil {
			text = p.Code
		}
		if a.beats.news(fsm.InstanceRef{Cluster: in.Cluster, Instance: in.Instance}, text) && p != nil {
			a.opt.Logger.WarnContext(ctx, "heartbeat refused", "cluster", in.Cluster, "instance", in.Instance, "code", p.Code, "actor", callOf(ctx).who.actor)
		}
	}
	return out, err
}

func (a *API) beat(ctx context.Context, in *heartbeatInput) (*heartbeatOutput, error) {
	if err := a.mayInstances(ctx, in.Cluster); err != nil {
		return nil, err
	}
	cl, err := a.registering(ctx, in.Cluster)
	if err != nil {
		return nil, err
	}
	instance, err := a.beats.instance(a.opt.State.Operating(), cl, in.Instance, in.RawBody)
	if err != nil {
		return nil, err
	}
	bounded, cancel := context.WithTimeout(ctx, a.opt.CommitWait)
	defer cancel()
	res, err := a.opt.Node.Heartbeat(bounded, in.Cluster, *instance, callOf(ctx).who.actor)
	switch {
	case err != nil && bounded.Err() != nil && !errors.Is(err, ErrNoQuorum):
		return nil, ErrOutcomeUnknown
	case err != nil:
		return nil, err
	case res.Code != fsm.CodeOK:
		return nil, refused(res)
	}
	return &heartbeatOutput{wire.Heartbeat{Heartbeat: cl.Registration.Heartbeat, DropAfter: cl.Registration.DropAfter}}, nil
}

// registering finds a cluster that lets instances register. Only for one that this node does not know it asks the leader.
func (a *API) registering(ctx context.Context, name string) (*config.Cluster, error) {
	if !a.opt.Node.Info().Quorum {
		return nil, ErrNoQuorum
	}
	cl := clusterOf(a.opt.State.Operating().Config, name)
	if cl == nil || !cl.Registration.Allow {
		if err := a.sync(ctx); err != nil {
			return nil, err
		}
		cl = clusterOf(a.opt.State.Operating().Config, name)
	}
	switch {
	case cl == nil:
		return nil, notFoundf("There is no cluster %.128q.", name)
	case !cl.Registration.Allow:
		return nil, refused(fsm.Result{Message: fmt.Sprintf("cluster %s does not let instances register themselves; 'registration: {allow: true}' in its configuration does", name)})
	}
	return cl, nil
}

func (a *API) deleteHeartbeat(ctx context.Context, in *goodbyeInput) (*struct{}, error) {
	if err := a.mayInstances(ctx, in.Cluster); err != nil {
		return nil, err
	}
	if err := a.sync(ctx); err != nil {
		return nil, err
	}
	bounded, cancel := context.WithTimeout(ctx, a.opt.CommitWait)
	defer cancel()
	res, err := a.opt.Node.Deregister(bounded, in.Cluster, in.Instance, callOf(ctx).who.actor)
	switch {
	case err != nil && bounded.Err() != nil && !errors.Is(err, ErrNoQuorum):
		return nil, ErrOutcomeUnknown
	case err != nil:
		return nil, err
	case res.Code == fsm.CodeAbsent:
		return nil, notFoundf("No instance %.128q has registered itself with cluster %.128q.", in.Instance, in.Cluster)
	case res.Code != fsm.CodeOK:
		return nil, refused(res)
	}
	return nil, nil
}

// beats remembers the last good body of each instance, because the next one is the same almost always: then nothing has to be parsed.
type beats struct {
	mu      sync.Mutex
	parsed  map[fsm.InstanceRef]beat
	refused map[fsm.InstanceRef]string // code of the last refusal
}

// news tells whether a refusal is another one than the last of this instance; code "" is none.
func (b *beats) news(ref fsm.InstanceRef, code string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.refused[ref] == code {
		return false
	}
	if code == "" {
		delete(b.refused, ref)
		return false
	}
	if len(b.refused) >= maxBeats {
		clear(b.refused)
	}
	b.refused[ref] = code
	return true
}

type beat struct {
	sum      [sha256.Size]byte
	revision uint64 // of the configuration whose defaults went in
	instance *config.Instance
}

// maxBeats bounds what is remembered: beyond that all of it is forgotten, and parsed again.
const maxBeats = 10_000

func (b *beats) instance(op *fsm.Operating, cl *config.Cluster, name string, body []byte) (*config.Instance, error) {
	ref, sum := fsm.InstanceRef{Cluster: cl.Name, Instance: name}, sha256.Sum256(body)
	b.mu.Lock()
	known, ok := b.parsed[ref]
	b.mu.Unlock()
	if ok && known.sum == sum && known.revision == op.Revision.Number {
		return known.instance, nil
	}
	in, err := parseInstance(cl, name, body)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.parsed) >= maxBeats {
		clear(b.parsed)
	}
	b.parsed[ref] = beat{sum, op.Revision.Number, in}
	return in, nil
}

// parseInstance reads an instance as the configuration would: as the only one of a cluster with the defaults of cl.
func parseInstance(cl *config.Cluster, name string, body []byte) (*config.Instance, error) {
	var fields map[string]json.RawMessage
	if err := unmarshalStrict(body, &fields); err != nil {
		p := wire.NewProblem(http.StatusBadRequest, wire.CodeMalformedBody, "The body cannot be read.")
		p.Errors = []wire.ProblemError{{Location: "body", Message: err.Error()}}
		return nil, p
	}
	if fields == nil {
		return nil, invalidRequest("body", "must be an object with the values of the instance")
	}
	if given, ok := fields["name"]; ok && !bytes.Equal(given, wire.Value(name)) {
		return nil, invalidRequest("body.name", "is another one than in the address")
	}
	var failover string
	if v, ok := fields["failoverTo"]; ok && json.Unmarshal(v, &failover) == nil {
		delete(fields, "failoverTo") // it names an instance of the cluster, of which there is only one here
	}
	if failover != "" && (failover == name || !hasInstance(cl, failover)) {
		return nil, invalidRequest("body.failoverTo", "cluster %s has no other instance %.128q", cl.Name, failover)
	}
	fields["name"] = wire.Value(name)
	alone := map[string]any{"name": cl.Name, "quiesceTimeout": cl.QuiesceTimeout, "affinity": map[string]any{"idleTimeout": cl.Affinity.IdleTimeout}, "instances": []any{fields}}
	c, err := config.Parse("", wire.Value(map[string]any{"clusters": []any{alone}}))
	if err != nil {
		return nil, instanceProblem(err)
	}
	in := c.Clusters[0].Instances[0]
	in.FailoverTo = failover
	return &in, nil
}

func hasInstance(cl *config.Cluster, name string) bool {
	for i := range cl.Instances {
		if cl.Instances[i].Name == name {
			return true
		}
	}
	return false
}

// instanceProblem turns the places of the faults into those of the body.
func instanceProblem(err error) *wire.Problem {
	p := configProblem(err)
	p.Detail = "The instance is not valid; nothing was changed."
	for i := range p.Errors {
		e := &p.Errors[i]
		e.Location, e.Line, e.Column = strings.Replace(e.Location, "clusters[0].instances[0]", "body", 1), 0, 0
	}
	return p
}

package admin

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/holdfast-lb/holdfast/admin/permit"
	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

// maxQuiesce is the longest quiesce, as in the configuration.
const maxQuiesce = 365 * 24 * time.Hour

type quiescesOutput struct {
	wire.ReadHeaders
	Body wire.QuiesceList
}

type setQuiesceInput struct {
	ID             uint64 `path:"quiesce" doc:"id of the quiesce"`
	IdempotencyKey string `header:"Idempotency-Key" maxLength:"255" doc:"the same request with the same key is applied once"`
	Body           wire.QuiesceUpdate
}

type setQuiesceOutput struct {
	Body wire.QuiesceList
}

type cancelQuiesceInput struct {
	wire.ChangeParams
	ID          uint64 `path:"quiesce" doc:"id of the quiesce"`
	Cluster     string `query:"cluster" maxLength:"128" doc:"which one, when several have the same id; without it all of them"`
	Instance    string `query:"instance" maxLength:"128"`
	Host        string `query:"host" maxLength:"253"`
	ContextRoot string `query:"contextRoot" maxLength:"1024"`
	Lock        uint64 `query:"lock" doc:"id of the maintenance lock under which it is done"`
}

func (a *API) registerQuiesces() {
	register(a, route{
		method: http.MethodGet, path: "/v1/quiesces", id: "list-quiesces", role: wire.RoleViewer, permission: permit.StatusRead,
		summary: "The quiesces that run, with what is left",
	}, a.listQuiesces)
	register(a, route{
		method: http.MethodPatch, path: "/v1/quiesces/{quiesce}", id: "set-quiesce", role: wire.RoleOperator, permission: permit.InstancesWrite,
		summary: "Give a running quiesce another end",
		about:   "remaining counts from now on, total from its start: set to remaining 5m after ten minutes, it lasts 15 minutes altogether.",
		edit: func(op *huma.Operation) {
			op.Errors = append(op.Errors, http.StatusNotFound, http.StatusConflict, http.StatusUnprocessableEntity, http.StatusLocked, http.StatusGatewayTimeout)
		},
	}, a.setQuiesce)
	register(a, route{
		method: http.MethodDelete, path: "/v1/quiesces/{quiesce}", id: "cancel-quiesce", role: wire.RoleOperator, permission: permit.InstancesWrite, status: http.StatusOK,
		summary: "Cancel a quiesce: its subject is enabled again",
		edit: func(op *huma.Operation) {
			op.Errors = append(append(op.Errors, http.StatusNotFound), changeErrors...)
		},
	}, a.cancelQuiesce)
}

func (a *API) listQuiesces(ctx context.Context, in *wire.ReadParams) (*quiescesOutput, error) {
	headers, members, err := a.gather(ctx, *in)
	if err != nil {
		return nil, err
	}
	return &quiescesOutput{headers, wire.QuiesceList{Quiesces: a.quiesces(a.inFlight(members))}}, nil
}

// inFlight adds up what the nodes that answer have under way for each instance and module.
func (a *API) inFlight(members []Member) map[fsm.Subject]int64 {
	sum := map[fsm.Subject]int64{}
	for i := range members {
		for _, in := range members[i].Instances {
			if !members[i].Self {
				sum[fsm.Subject{Cluster: in.Cluster, Instance: in.Instance}] += in.InFlight
			}
		}
		for _, m := range members[i].Modules {
			sum[fsm.Subject{Cluster: m.Cluster, Host: m.Host, ContextRoot: m.ContextRoot}] += m.InFlight
		}
	}
	for _, in := range a.opt.Node.Instances() {
		sum[fsm.Subject{Cluster: in.Cluster, Instance: in.Instance}] += in.InFlight
	}
	return sum
}

// sessionsOf is the number of assignments that are left to a subject.
func (a *API) sessionsOf(s fsm.Subject) int {
	if s.IsModule() {
		if id, ok := a.opt.State.ModuleID(s.Cluster, s.Host, s.ContextRoot); ok {
			return a.opt.State.ModuleSessions(id)
		}
		return 0
	}
	if id, ok := a.opt.State.InstanceID(s.Cluster, s.Instance); ok {
		return a.opt.State.Sessions(id)
	}
	return 0
}

func (a *API) quiesces(inFlight map[fsm.Subject]int64) []wire.Quiesce {
	op, now := a.opt.State.Operating(), a.clock()
	list := make([]wire.Quiesce, 0, len(op.Quiesces))
	for _, q := range op.Quiesces {
		s := wireSubject(q.Subject)
		list = append(list, wire.Quiesce{
			ID: q.ID, Subject: s, Kind: s.Kind(), Name: s.Name(), Started: q.Started, Deadline: q.Deadline, Remains: config.Duration(max(0, q.Deadline.Sub(now)).Round(time.Second)),
			Sessions: a.sessionsOf(q.Subject), InFlight: inFlight[q.Subject], Actor: q.Actor, Revision: q.Revision,
		})
	}
	return list
}

// running finds the quiesces of an id, all or those of one subject.
func (a *API) running(id uint64, subject wire.Subject) []fsm.Subject {
	var out []fsm.Subject
	for _, q := range a.opt.State.Operating().Quiesces {
		if q.ID == id && (subject == wire.Subject{} || subject == wireSubject(q.Subject)) {
			out = append(out, q.Subject)
		}
	}
	return out
}

func noQuiesce() *wire.Problem {
	return notFoundf("No such quiesce runs: it has ended, or was cancelled; 'holdfast quiesce list' lists those that run.")
}

// positive reads a duration of a request.
func positive(at, text string, limit time.Duration) (config.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 || d > limit {
		return 0, invalidRequest(at, "must be a time as in 5m or 1h30m, more than 0 and at most %v", config.Duration(limit))
	}
	return config.Duration(d), nil
}

func (a *API) setQuiesce(ctx context.Context, in *setQuiesceInput) (*setQuiesceOutput, error) {
	b := &in.Body
	if (b.Remaining == "") == (b.Total == "") {
		return nil, invalidRequest("body", "needs either remaining or total")
	}
	set := fsm.QuiesceSet{ID: in.ID, Actor: callOf(ctx).who.actor}
	var err error
	if b.Remaining != "" {
		set.Remaining, err = positive("body.remaining", b.Remaining, maxQuiesce)
	} else {
		set.Total, err = positive("body.total", b.Total, maxQuiesce)
	}
	if err != nil {
		return nil, err
	}
	if err := a.sync(ctx); err != nil {
		return nil, err
	}
	var subject wire.Subject
	if b.Subject != nil {
		subject = *b.Subject
	}
	subjects := a.running(in.ID, subject)
	if len(subjects) == 0 {
		return nil, noQuiesce()
	}
	for _, s := range subjects {
		if err := a.mayInstances(ctx, s.Cluster); err != nil {
			return nil, err
		}
	}
	changed := 0
	for _, s := range subjects {
		cmd := set
		cmd.Subject = s
		cmd.RequestID = requestID(in.IdempotencyKey, []byte("set-quiesce"), []byte(set.Actor), []byte(b.Remaining+"/"+b.Total), []byte(wireSubject(s).String()), []byte(etag(in.ID)))
		res, err := a.propose(ctx, &cmd)
		switch {
		case err != nil:
			return nil, err
		case res.Code == fsm.CodeAbsent: // it has ended meanwhile
		case res.Code != fsm.CodeOK:
			return nil, refused(res)
		default:
			changed++
		}
	}
	if changed == 0 {
		return nil, noQuiesce()
	}
	return &setQuiesceOutput{wire.QuiesceList{Quiesces: only(a.quiesces(a.inFlight(a.opt.Node.Members(ctx))), subjects)}}, nil
}

// only keeps the quiesces of subjects.
func only(list []wire.Quiesce, subjects []fsm.Subject) []wire.Quiesce {
	keep := map[wire.Subject]bool{}
	for _, s := range subjects {
		keep[wireSubject(s)] = true
	}
	out := []wire.Quiesce{}
	for _, q := range list {
		if keep[q.Subject] {
			out = append(out, q)
		}
	}
	return out
}

// cancelQuiesce enables again what the quiesce has disabled: that is how one ends without its subject being stopped.
func (a *API) cancelQuiesce(ctx context.Context, in *cancelQuiesceInput) (*changeOutput, error) {
	subject := wire.Subject{Cluster: in.Cluster, Instance: in.Instance, Host: in.Host, ContextRoot: in.ContextRoot}
	if err := a.sync(ctx); err != nil {
		return nil, err
	}
	subjects := a.running(in.ID, subject)
	if len(subjects) == 0 {
		return nil, noQuiesce()
	}
	edits := wire.Edits{Message: "quiesce cancelled", Lock: in.Lock}
	for _, s := range subjects {
		edits.Edits = append(edits.Edits, switchEdit("enable", s))
	}
	return a.postEdits(ctx, &editsInput{ChangeParams: in.ChangeParams, Body: edits})
}

// switchEdit is the edit that enables or disables s.
func switchEdit(op string, s fsm.Subject) config.Edit {
	if s.IsModule() {
		return config.Edit{Op: op, Kind: wire.KindModule, Cluster: s.Cluster, Host: s.Host, ContextRoot: s.ContextRoot}
	}
	return config.Edit{Op: op, Kind: wire.KindInstance, Cluster: s.Cluster, Name: s.Instance}
}

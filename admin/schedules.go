package admin

import (
	"context"
	"encoding/hex"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/holdfast-lb/holdfast/admin/permit"
	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm"
)

// maxAhead is how far ahead a change may be scheduled, maxListedEdits how many edits of one are listed.
const (
	maxAhead       = 366 * 24 * time.Hour
	maxListedEdits = 100
)

type schedulesOutput struct {
	wire.ReadHeaders
	Body wire.ScheduleList
}

type scheduleOutput struct {
	wire.ReadHeaders
	Body wire.Schedule
}

type getScheduleInput struct {
	wire.ReadParams
	ID string `path:"schedule" pattern:"^[0-9a-z-]{1,64}$"`
}

type dropScheduleInput struct {
	ID             string `path:"schedule" pattern:"^[0-9a-z-]{1,64}$"`
	IdempotencyKey string `header:"Idempotency-Key" maxLength:"255" doc:"the same request with the same key is applied once"`
}

func (a *API) registerSchedules() {
	register(a, route{
		method: http.MethodGet, path: "/v1/schedules", id: "list-schedules", role: wire.RoleViewer, permission: permit.ConfigRead,
		summary: "The changes that wait for their time, the next one first",
	}, a.listSchedules)
	register(a, route{
		method: http.MethodGet, path: "/v1/schedules/{schedule}", id: "get-schedule", role: wire.RoleViewer, permission: permit.ConfigRead,
		summary: "One change that waits for its time",
		edit:    func(op *huma.Operation) { op.Errors = append(op.Errors, http.StatusNotFound) },
	}, a.getSchedule)
	register(a, route{
		method: http.MethodDelete, path: "/v1/schedules/{schedule}", id: "drop-schedule", role: wire.RoleOperator, permission: permit.ConfigWrite,
		summary: "Take back a change that waits for its time",
		edit: func(op *huma.Operation) {
			op.Errors = append(op.Errors, http.StatusNotFound, http.StatusConflict, http.StatusLocked, http.StatusGatewayTimeout)
		},
	}, a.dropSchedule)
}

// schedule takes c up for its time.
func (a *API) schedule(ctx context.Context, c *change) (*changeOutput, error) {
	at, now := c.params.At.UTC(), a.clock()
	current := a.opt.State.Revision()
	switch {
	case c.params.Wait != "":
		return nil, invalidRequest("query.wait", "nothing can be waited for: the change is applied at its time")
	case !at.After(now):
		return nil, invalidRequest("query.at", "is not in the future: it is %s now", now.UTC().Format(time.RFC3339))
	case at.After(now.Add(maxAhead)):
		return nil, invalidRequest("query.at", "is more than a year ahead")
	case c.edits == nil && c.expect != current.Number:
		return nil, conflict(c.expect, current.Number)
	}
	id := c.id(ctx, 0)
	s := fsm.Schedule{ID: hex.EncodeToString(id[:8]), At: at, Actor: callOf(ctx).who.actor, Message: c.message, Created: now, Edits: c.edits, Now: c.now}
	if c.edits == nil {
		s.Expect, s.Config = c.expect, c.next
	}
	res, err := a.propose(ctx, &fsm.ScheduleSet{RequestID: id, Schedule: s})
	switch {
	case err != nil:
		return nil, err
	case res.Code != fsm.CodeOK:
		return nil, refused(res)
	}
	w := describeSchedule(&s)
	return &changeOutput{Status: http.StatusAccepted, ETag: etag(current.Number), Body: wire.ConfigResult{
		Revision: current.Number, Index: current.Index, AppliedBy: "majority", Warnings: a.warningsOf(ctx, c, current.Config), Schedule: &w}}, nil
}

func describeSchedule(s *fsm.Schedule) wire.Schedule {
	return wire.Schedule{ID: s.ID, At: s.At, Actor: s.Actor, Message: s.Message, Created: s.Created, Expect: s.Expect, Whole: s.Config != nil,
		Edits: s.Edits[:min(len(s.Edits), maxListedEdits)], Now: wireSubjects(s.Now)}
}

func (a *API) schedules() []wire.Schedule {
	op := a.opt.State.Operating()
	list := make([]wire.Schedule, len(op.Schedules))
	for i := range op.Schedules {
		list[i] = describeSchedule(&op.Schedules[i])
	}
	return list
}

func (a *API) listSchedules(ctx context.Context, in *wire.ReadParams) (*schedulesOutput, error) {
	headers, err := a.settle(ctx, *in)
	if err != nil {
		return nil, err
	}
	return &schedulesOutput{headers, wire.ScheduleList{Schedules: a.schedules()}}, nil
}

func noSchedule() error {
	return notFoundf("No such change waits for its time: it has been applied, taken back or dropped; 'holdfast config schedules' lists them.")
}

func (a *API) getSchedule(ctx context.Context, in *getScheduleInput) (*scheduleOutput, error) {
	headers, err := a.settle(ctx, in.ReadParams)
	if err != nil {
		return nil, err
	}
	for _, s := range a.schedules() {
		if s.ID == in.ID {
			return &scheduleOutput{headers, s}, nil
		}
	}
	return nil, noSchedule()
}

func (a *API) dropSchedule(ctx context.Context, in *dropScheduleInput) (*struct{}, error) {
	if err := a.sync(ctx); err != nil {
		return nil, err
	}
	actor := callOf(ctx).who.actor
	res, err := a.propose(ctx, &fsm.ScheduleDrop{RequestID: requestID(in.IdempotencyKey, []byte("drop-schedule"), []byte(actor), []byte(in.ID)), ID: in.ID, Actor: actor})
	switch {
	case err != nil:
		return nil, err
	case res.Code == fsm.CodeAbsent:
		return nil, noSchedule()
	case res.Code != fsm.CodeOK:
		return nil, refused(res)
	}
	return nil, nil
}

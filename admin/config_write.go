package admin

import (
	"context"
	"errors"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"github.com/holdfast-lb/holdfast/admin/permit"
	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

var (
	reflectConfig    = reflect.TypeFor[config.Config]()
	reflectInstance  = reflect.TypeFor[config.Instance]()
	reflectPlanEdits = reflect.TypeFor[wire.PlanEdits]()
)

type putConfigInput struct {
	wire.ChangeParams
	IfMatch string `header:"If-Match" doc:"the revision in quotes that the change was made from; required"`
	Message string `query:"message" maxLength:"512" doc:"why, for the history"`
	Now     string `query:"now" maxLength:"8192" doc:"what is stopped at once instead of quiescing: all, or a list as in cluster1/instance1,cluster1:/fortune"`
	Lock    uint64 `query:"lock" doc:"id of the maintenance lock under which the change is made"`
	RawBody []byte `contentType:"application/yaml"`
}

type validateInput struct {
	RawBody []byte `contentType:"application/yaml"`
}

type validateOutput struct {
	Body wire.ValidateResult
}

// changeErrors are the statuses of the refusals of a change.
var changeErrors = []int{http.StatusConflict, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity, http.StatusLocked,
	http.StatusGatewayTimeout}

func (a *API) registerConfigWrites() {
	register(a, route{
		method: http.MethodPut, path: "/v1/config", id: "put-config", role: wire.RoleOperator, permission: permit.ConfigWrite, body: maxConfigBody,
		summary: "Replace the configuration",
		about: "Compare-and-swap: If-Match names the revision that the change was made from. All faults of the body are reported at once, with line and column. " +
			"What was enabled and is not any more begins to quiesce, except for what `now` names. " +
			"202 instead of 200 with wait=all: the change holds, but not every node has applied it yet; with at: it waits for its time.",
		edit: configContent(a, func(op *huma.Operation, c map[string]*huma.MediaType) {
			op.RequestBody = &huma.RequestBody{Content: c, Required: true}
			op.SkipValidateBody = true // config.Parse does, with line and column
			op.Errors = append(append(op.Errors, changeErrors...), http.StatusPreconditionRequired)
		}),
	}, a.putConfig)
	register(a, route{
		method: http.MethodPost, path: "/v1/config/validate", id: "validate-config", role: wire.RoleViewer, permission: permit.ConfigRead, body: maxConfigBody,
		summary: "Check a configuration without changing anything", status: http.StatusOK,
		edit: configContent(a, func(op *huma.Operation, c map[string]*huma.MediaType) {
			op.RequestBody = &huma.RequestBody{Content: c, Required: true}
			op.SkipValidateBody = true
			op.Errors = append(op.Errors, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType)
		}),
	}, a.validateConfig)
	a.registerEdits()
	a.registerPlan()
}

func (a *API) putConfig(ctx context.Context, in *putConfigInput) (*changeOutput, error) {
	expect, err := parseIfMatch(in.IfMatch)
	if err != nil {
		return nil, err
	}
	next, err := parse(in.RawBody)
	if err != nil {
		return nil, err
	}
	now, all, err := parseNow(in.Now)
	if err != nil {
		return nil, err
	}
	if err := a.sync(ctx); err != nil {
		return nil, err
	}
	c := &change{params: in.ChangeParams, route: "put-config", message: in.Message, expect: expect, next: next, lock: in.Lock,
		request: append([]byte(in.IfMatch+"\x00"+in.Now+"\x00"), in.RawBody...)}
	if c.now, err = a.subjects("query.now", now, all, next); err != nil {
		return nil, err
	}
	return a.commit(ctx, c, 0)
}

func (a *API) validateConfig(ctx context.Context, in *validateInput) (*validateOutput, error) {
	next, err := parse(in.RawBody)
	if err != nil {
		return nil, err
	}
	return &validateOutput{wire.ValidateResult{Valid: true, Warnings: a.warnings(ctx, a.opt.State.Revision().Config, next)}}, nil
}

// configProblem lists all faults of a configuration.
func configProblem(err error) *wire.Problem {
	p := wire.NewProblem(http.StatusUnprocessableEntity, wire.CodeConfigInvalid, "The configuration is not valid; nothing was changed.")
	var faults config.Errors
	if !errors.As(err, &faults) {
		p.Errors = []wire.ProblemError{{Message: err.Error()}}
		return p
	}
	for _, f := range faults {
		p.Errors = append(p.Errors, wire.ProblemError{Message: f.Message, Location: f.Path, Line: f.Line, Column: f.Column, Hint: f.Hint})
	}
	return p
}

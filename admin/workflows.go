package admin

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/holdfast-lb/holdfast/admin/permit"
	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
	"github.com/holdfast-lb/holdfast/fsm/workflow"
)

const (
	// maxRunning bounds the workflows that have not ended: the group remembers 50 in all.
	maxRunning = 20
	// changeTries is how often a change of a workflow is made anew because it went on meanwhile.
	changeTries = 10
)

type workflowsOutput struct {
	wire.ReadHeaders
	Body wire.WorkflowList
}

type getWorkflowInput struct {
	wire.ReadParams
	ID string `path:"id" pattern:"^[0-9a-z]{1,64}$"`
}

type workflowOutput struct {
	wire.ReadHeaders
	Body wire.Workflow
}

type startWorkflowInput struct {
	IdempotencyKey string `header:"Idempotency-Key" maxLength:"255" doc:"the same request with the same key is applied once"`
	Body           wire.WorkflowRequest
}

type planWorkflowInput struct {
	wire.ReadParams
	Body wire.WorkflowRequest
}

type planWorkflowOutput struct {
	wire.ReadHeaders
	Body wire.WorkflowPlan
}

type changeWorkflowInput struct {
	ID string `path:"id" pattern:"^[0-9a-z]{1,64}$"`
}

type changeWorkflowOutput struct {
	Body wire.Workflow
}

func (a *API) registerWorkflows() {
	conflicts := func(op *huma.Operation) {
		op.Errors = append(op.Errors, http.StatusConflict, http.StatusUnprocessableEntity)
	}
	register(a, route{
		method: http.MethodGet, path: "/v1/workflows", id: "list-workflows", role: wire.RoleViewer, permission: permit.StatusRead,
		summary: "Upgrades and cycles, the oldest first", about: "The last 50 are kept.",
	}, a.listWorkflows)
	register(a, route{
		method: http.MethodGet, path: "/v1/workflows/{id}", id: "get-workflow", role: wire.RoleViewer, permission: permit.StatusRead,
		summary: "One upgrade or cycle with its steps",
	}, a.getWorkflow)
	register(a, route{
		method: http.MethodPost, path: "/v1/workflows/plan", id: "plan-workflow", role: wire.RoleViewer, permission: permit.StatusRead, status: http.StatusOK,
		summary: "What an upgrade or a cycle would do", about: "It changes nothing.", edit: conflicts,
	}, a.planWorkflow)
	register(a, route{
		method: http.MethodPost, path: "/v1/workflows", id: "start-workflow", role: wire.RoleOperator, permission: permit.WorkflowsWrite, status: http.StatusCreated,
		summary: "Begin an upgrade or a cycle",
		about:   "The group carries it out and goes on when nodes die. A hook that is an address or a program needs the role admin: nodes call it from where they are.",
		edit:    conflicts,
	}, a.startWorkflow)
	for _, c := range []struct {
		name, summary string
		change        func(*fsm.Workflow) (*fsm.Workflow, error)
	}{
		{"pause", "Begin nothing more until it is resumed", workflow.Pause},
		{"resume", "Go on: after a pause, after a person's work, or with another try", workflow.Resume},
		{"abort", "Give it up: what it disabled is enabled again, what hooks did is not undone", workflow.Abort},
	} {
		register(a, route{
			method: http.MethodPost, path: "/v1/workflows/{id}/" + c.name, id: c.name + "-workflow", role: wire.RoleOperator, permission: permit.WorkflowsWrite, status: http.StatusOK,
			summary: c.summary, edit: conflicts,
		}, func(ctx context.Context, in *changeWorkflowInput) (*changeWorkflowOutput, error) {
			return a.changeWorkflow(ctx, in.ID, c.change)
		})
	}
}

// spec turns a request into a checked specification. Its faults become one problem.
func spec(r wire.WorkflowRequest) (string, *workflow.Spec, error) {
	kind := r.Kind
	r.Kind = ""
	raw, err := json.Marshal(r)
	if err != nil {
		return "", nil, fmt.Errorf("encode specification: %w", err)
	}
	s, err := workflow.Decode(kind, raw)
	if err == nil {
		return kind, s, nil
	}
	p := wire.NewProblem(http.StatusUnprocessableEntity, wire.CodeInvalidRequest, "The request is not valid.")
	for line := range strings.Lines(err.Error()) {
		field, message, ok := strings.Cut(strings.TrimSpace(line), ": ")
		if !ok || strings.Contains(field, " ") {
			field, message = "", strings.TrimSpace(line)
		} else {
			field = "body." + field
		}
		p.Errors = append(p.Errors, wire.ProblemError{Location: field, Message: message})
	}
	return "", nil, p
}

// preview asks what a specification would do now.
func (a *API) preview(kind string, s *workflow.Spec) workflow.Preview {
	return workflow.Plan(kind, s, workflow.View{Operating: a.opt.State.Operating(), InstanceID: a.opt.State.InstanceID, Sessions: a.sessionsOf})
}

func (a *API) planWorkflow(ctx context.Context, in *planWorkflowInput) (*planWorkflowOutput, error) {
	kind, s, err := spec(in.Body)
	if err != nil {
		return nil, err
	}
	headers, err := a.settle(ctx, in.ReadParams)
	if err != nil {
		return nil, err
	}
	warnings := a.workflowWarnings(ctx, s)
	p := a.preview(kind, s)
	out := wire.WorkflowPlan{Kind: kind, Targets: []wire.WorkflowTarget{}, Refused: append([]string{}, p.Refused...), AtMost: config.Duration(p.AtMost).String(), ByHand: p.ByHand, Warnings: append([]string{}, warnings...)}
	for _, t := range p.Targets {
		out.Targets = append(out.Targets, wire.WorkflowTarget{Cluster: t.Cluster, Instance: t.Instance, Host: t.Host, ContextRoot: t.ContextRoot,
			Disables: subjectNames(t.Subjects), Sessions: t.Sessions, Quiesce: config.Duration(t.Quiesce).String(), Unserved: subjectNames(t.Unserved)})
	}
	for _, step := range p.Steps {
		out.Steps = append(out.Steps, step.String())
	}
	return &planWorkflowOutput{headers, out}, nil
}

func subjectNames(list []fsm.Subject) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = s.Name()
	}
	return out
}

func (a *API) startWorkflow(ctx context.Context, in *startWorkflowInput) (*changeWorkflowOutput, error) {
	kind, s, err := spec(in.Body)
	if err != nil {
		return nil, err
	}
	who := callOf(ctx).who
	if s.External() && !who.can.Has(permit.WorkflowsHook) {
		return nil, wire.NewProblem(http.StatusForbidden, wire.CodeForbidden,
			"A hook that is an address or a program needs the role "+wire.RoleAdmin+", or the permission "+permit.WorkflowsHook+"; "+who.rolesInWords()+". With manual hooks a person does the work.")
	}
	if err := a.sync(ctx); err != nil {
		return nil, err
	}
	body := s.Encode()
	id := requestID(in.IdempotencyKey, []byte("start-workflow"), []byte(who.actor), []byte(kind), body)
	name := hex.EncodeToString(id[:8])
	if w := a.workflow(name); w != nil { // the same request again
		return &changeWorkflowOutput{a.describeWorkflow(w)}, nil
	}
	if p := a.preview(kind, s); len(p.Refused) > 0 {
		problem := wire.NewProblem(http.StatusConflict, wire.CodeRefused, "The workflow cannot begin now.")
		for _, why := range p.Refused {
			problem.Errors = append(problem.Errors, wire.ProblemError{Message: why})
		}
		return nil, problem
	}
	if a.unfinished() >= maxRunning {
		return nil, wire.NewProblem(http.StatusConflict, wire.CodeRefused, fmt.Sprintf("%d workflows have not ended yet; wait for some, or abort them.", maxRunning))
	}
	now := a.opt.Now()
	if t := a.opt.State.Now(); t.After(now) {
		now = t
	}
	now = now.UTC()
	w := fsm.Workflow{ID: name, Kind: kind, State: workflow.Running, Actor: who.actor, Created: now, Updated: now, Spec: body, Note: "begins"}
	res, err := a.propose(ctx, &fsm.WorkflowSet{RequestID: id, Workflow: w})
	switch {
	case err != nil:
		return nil, err
	case res.Code != fsm.CodeOK:
		return nil, refused(res)
	}
	if stored := a.workflow(name); stored != nil {
		w = *stored
	}
	out := a.describeWorkflow(&w)
	out.Warnings = a.workflowWarnings(ctx, s)
	return &changeWorkflowOutput{out}, nil
}

// workflowWarnings say what the nodes lack that the specification needs. Only when it needs something, they are asked.
func (a *API) workflowWarnings(ctx context.Context, s *workflow.Spec) []string {
	programs := programsOf(s)
	if len(programs) == 0 {
		return nil
	}
	return missingPrograms(a.opt.Node.Members(ctx), programs)
}

// unfinished counts the workflows that have not ended.
func (a *API) unfinished() (n int) {
	for _, w := range a.opt.State.Operating().Workflows {
		if !w.Ended() {
			n++
		}
	}
	return n
}

func (a *API) workflow(id string) *fsm.Workflow {
	for _, w := range a.opt.State.Operating().Workflows {
		if w.ID == id {
			return w
		}
	}
	return nil
}

func noWorkflow(id string) error {
	return notFoundf("There is no workflow %s; 'holdfast upgrade status' lists those that the group remembers.", id)
}

func (a *API) listWorkflows(ctx context.Context, in *wire.ReadParams) (*workflowsOutput, error) {
	headers, err := a.settle(ctx, *in)
	if err != nil {
		return nil, err
	}
	out := &workflowsOutput{ReadHeaders: headers, Body: wire.WorkflowList{Workflows: []wire.Workflow{}}}
	for _, w := range a.opt.State.Operating().Workflows {
		out.Body.Workflows = append(out.Body.Workflows, a.describeWorkflow(w))
	}
	return out, nil
}

func (a *API) getWorkflow(ctx context.Context, in *getWorkflowInput) (*workflowOutput, error) {
	headers, err := a.settle(ctx, in.ReadParams)
	if err != nil {
		return nil, err
	}
	w := a.workflow(in.ID)
	if w == nil {
		return nil, noWorkflow(in.ID)
	}
	return &workflowOutput{headers, a.describeWorkflow(w)}, nil
}

// changeWorkflow has a person change the workflow, which may go on at the same moment: then the change is made anew from what it is now.
func (a *API) changeWorkflow(ctx context.Context, id string, change func(*fsm.Workflow) (*fsm.Workflow, error)) (*changeWorkflowOutput, error) {
	if err := a.sync(ctx); err != nil {
		return nil, err
	}
	for range changeTries {
		w := a.workflow(id)
		if w == nil {
			return nil, noWorkflow(id)
		}
		next, err := change(w)
		if err != nil {
			return nil, wire.NewProblem(http.StatusConflict, wire.CodeRefused, "Nothing was changed: "+err.Error()+".")
		}
		res, err := a.propose(ctx, &fsm.WorkflowSet{RequestID: requestID(""), Expect: w.Version, Workflow: *next})
		switch {
		case err != nil:
			return nil, err
		case res.Code == fsm.CodeConflict:
			continue
		case res.Code != fsm.CodeOK:
			return nil, refused(res)
		}
		next.Version = res.Index
		return &changeWorkflowOutput{a.describeWorkflow(next)}, nil
	}
	return nil, wire.NewProblem(http.StatusConflict, wire.CodeRefused, "The workflow goes on so fast that it could not be changed; try again.")
}

// describeWorkflow shows a workflow. What cannot be read, because a newer version wrote it, is left out.
func (a *API) describeWorkflow(w *fsm.Workflow) wire.Workflow {
	out := wire.Workflow{ID: w.ID, Kind: w.Kind, State: w.State, Note: w.Note, Actor: w.Actor, Created: w.Created, Updated: w.Updated, Version: w.Version, Steps: []wire.WorkflowStep{}}
	s, err := workflow.Decode(w.Kind, w.Spec)
	if err != nil {
		return out
	}
	if err := json.Unmarshal(s.Encode(), &out.Request); err != nil {
		return out
	}
	out.Request.Kind = w.Kind
	for _, hook := range []*string{&out.Request.Hooks.Stop, &out.Request.Hooks.Upgrade, &out.Request.Hooks.Start} {
		*hook = withoutQuery(*hook)
	}
	p, err := workflow.DecodeProgress(w.Progress)
	if err != nil {
		return out
	}
	out.Step, out.NeedsPerson = p.Step, w.State == workflow.Waiting && p.NeedsPerson()
	for i, step := range workflow.Steps(w.Kind, s) {
		state := "later"
		switch {
		case i < p.Step:
			state = "done"
		case i == p.Step && !w.Ended():
			state = "now"
		}
		out.Steps = append(out.Steps, wire.WorkflowStep{ID: step.ID, Text: step.String(), State: state})
	}
	return out
}

// withoutQuery shows an address without its query.
func withoutQuery(hook string) string {
	u, err := url.Parse(hook)
	if err != nil || u.RawQuery == "" {
		return hook
	}
	u.RawQuery = "…"
	return u.Scheme + "://" + u.Host + u.Path + "?…"
}

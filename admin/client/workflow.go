package client

import (
	"context"
	"net/http"
	"net/url"

	"github.com/holdfast-lb/holdfast/admin/wire"
)

// The documents of upgrades and cycles.
type (
	Workflow        = wire.Workflow
	WorkflowRequest = wire.WorkflowRequest
	WorkflowPlan    = wire.WorkflowPlan
)

// Workflows lists the upgrades and cycles that the group remembers, the oldest first.
func (c *Client) Workflows(ctx context.Context, opts ...ReadOption) ([]Workflow, error) {
	l, _, err := get[wire.WorkflowList](ctx, c, "/v1/workflows", queryOf(opts))
	if err != nil {
		return nil, err
	}
	return l.Workflows, nil
}

// Workflow reads one upgrade or cycle.
func (c *Client) Workflow(ctx context.Context, id string, opts ...ReadOption) (*Workflow, error) {
	w, _, err := get[Workflow](ctx, c, "/v1/workflows/"+url.PathEscape(id), queryOf(opts))
	return w, err
}

// PlanWorkflow asks what a workflow would do.
func (c *Client) PlanWorkflow(ctx context.Context, r WorkflowRequest, opts ...ReadOption) (*WorkflowPlan, error) {
	body, header, err := jsonBody(r)
	if err != nil {
		return nil, err
	}
	p, _, err := call[WorkflowPlan](ctx, c, request{
		method: http.MethodPost, path: "/v1/workflows/plan", query: queryOf(opts), body: body, header: header, repeatable: true})
	return p, err
}

// StartWorkflow begins a workflow. A refusal by the state is a *Problem with refused whose Errors are the reasons.
func (c *Client) StartWorkflow(ctx context.Context, r WorkflowRequest) (*Workflow, error) {
	body, header, err := jsonBody(r)
	if err != nil {
		return nil, err
	}
	header.Set("Idempotency-Key", keyOr(""))
	w, _, err := call[Workflow](ctx, c, request{method: http.MethodPost, path: "/v1/workflows", body: body, header: header, repeatable: true})
	return w, err
}

// PauseWorkflow, ResumeWorkflow and AbortWorkflow give the workflow as it is then. A call whose outcome is unknown is not repeated by itself: a
// second resume would accept more than a person has seen.
func (c *Client) PauseWorkflow(ctx context.Context, id string) (*Workflow, error) {
	return c.changeWorkflow(ctx, id, "pause")
}

// ResumeWorkflow has it go on, see PauseWorkflow.
func (c *Client) ResumeWorkflow(ctx context.Context, id string) (*Workflow, error) {
	return c.changeWorkflow(ctx, id, "resume")
}

// AbortWorkflow gives it up, see PauseWorkflow.
func (c *Client) AbortWorkflow(ctx context.Context, id string) (*Workflow, error) {
	return c.changeWorkflow(ctx, id, "abort")
}

func (c *Client) changeWorkflow(ctx context.Context, id, what string) (*Workflow, error) {
	w, _, err := call[Workflow](ctx, c, request{method: http.MethodPost, path: "/v1/workflows/" + url.PathEscape(id) + "/" + what})
	return w, err
}

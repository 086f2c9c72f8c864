package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/holdfast-lb/holdfast/admin/permit"
	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

// maxChanges bounds the differences in an answer, maxEdits the edits in a request.
const (
	maxChanges = 1000
	maxEdits   = 1000
)

type planInput struct {
	Now         string `query:"now" maxLength:"8192" doc:"with a whole configuration: what would be stopped at once, as with PUT /v1/config"`
	ContentType string `header:"Content-Type" hidden:"true"`
	RawBody     []byte `contentType:"application/yaml"`
}

type planOutput struct {
	ETag string `header:"ETag" doc:"the revision in quotes that the plan was made from"`
	Body wire.Plan
}

func (a *API) registerPlan() {
	register(a, route{
		method: http.MethodPost, path: "/v1/config/plan", id: "plan-config", role: wire.RoleViewer, permission: permit.ConfigRead, body: maxConfigBody, status: http.StatusOK,
		summary: "What a change of the configuration would do",
		about: "The body is a whole configuration (YAML or JSON), or a JSON object with `edits` or `revision` (and `now`, `nowAll`). The answer has the differences, and the effect on what runs: " +
			"quiesces that begin and until when, sessions that go elsewhere. It changes nothing; applied at the ETag's revision, the change does what the plan says.",
		edit: configContent(a, func(op *huma.Operation, c map[string]*huma.MediaType) {
			edits := a.huma.OpenAPI().Components.Schemas.Schema(reflectPlanEdits, true, "PlanEdits")
			c[mediaJSON] = &huma.MediaType{Schema: &huma.Schema{OneOf: []*huma.Schema{c[mediaJSON].Schema, edits}}}
			op.RequestBody = &huma.RequestBody{Content: c, Required: true}
			op.SkipValidateBody = true
			op.Errors = append(op.Errors, http.StatusNotFound, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity)
		}),
	}, a.postPlan)
}

func (a *API) postPlan(ctx context.Context, in *planInput) (*planOutput, error) {
	names, all, err := parseNow(in.Now)
	if err != nil {
		return nil, err
	}
	var next *config.Config
	edits, at := planEdits(in.ContentType, in.RawBody), "query.now"
	if edits == nil {
		if next, err = parse(in.RawBody); err != nil {
			return nil, err
		}
	}
	if err := a.sync(ctx); err != nil {
		return nil, err
	}
	current := a.opt.State.Revision()
	if edits != nil {
		b, err := readPlanEdits(in.RawBody)
		if err != nil {
			return nil, err
		}
		if in.Now != "" {
			return nil, invalidRequest("query.now", "goes into the body, beside the edits")
		}
		if next, err = a.planned(b, current); err != nil {
			return nil, err
		}
		names, all, at = b.Now, b.NowAll, "body.now"
	}
	now, err := a.subjects(at, names, all, next)
	if err != nil {
		return nil, err
	}
	if err := a.checkCertificates(next); err != nil {
		return nil, err
	}
	return &planOutput{ETag: etag(current.Number), Body: a.plan(ctx, current, next, now)}, nil
}

// planEdits tells an object with edits or revision from a configuration, which has no such keys: nil for the latter.
func planEdits(contentType string, body []byte) map[string]json.RawMessage {
	var keys map[string]json.RawMessage
	if contentType != mediaJSON || json.Unmarshal(body, &keys) != nil {
		return nil
	}
	_, edits := keys["edits"]
	_, revision := keys["revision"]
	if !edits && !revision {
		return nil
	}
	return keys
}

// readPlanEdits is strict like every other body.
func readPlanEdits(body []byte) (*wire.PlanEdits, error) {
	malformed := func(err error) error {
		p := wire.NewProblem(http.StatusBadRequest, wire.CodeMalformedBody, "The body cannot be read.")
		p.Errors = []wire.ProblemError{{Location: "body", Message: err.Error()}}
		return p
	}
	var b wire.PlanEdits
	if err := unmarshalStrict(body, &b); err != nil {
		return nil, malformed(err)
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(new(wire.PlanEdits)); err != nil {
		return nil, invalidRequest("body", "%v", err)
	}
	switch {
	case (len(b.Edits) > 0) == (b.Revision != nil):
		return nil, invalidRequest("body", "needs either edits or revision")
	case len(b.Edits) > maxEdits || len(b.Now) > maxEdits:
		return nil, invalidRequest("body", "has more than %d edits or names", maxEdits)
	}
	return &b, nil
}

// planned gives the configuration that b would make.
func (a *API) planned(b *wire.PlanEdits, current *fsm.Revision) (*config.Config, error) {
	if b.Revision != nil {
		old := a.revisionOf(*b.Revision)
		if old == nil {
			return nil, noRevision(*b.Revision)
		}
		return old.Config, nil
	}
	next, err := current.Config.Apply(b.Edits)
	if err != nil {
		return nil, editsProblem(err)
	}
	return next, nil
}

func (a *API) plan(ctx context.Context, current *fsm.Revision, next *config.Config, now []fsm.Subject) wire.Plan {
	changes := config.Diff(current.Config, next)
	return wire.Plan{
		Revision: current.Number, Unchanged: bytes.Equal(current.Config.Canonical(), next.Canonical()) && !a.quiescing(now),
		Changes: append([]config.Change{}, changes[:min(len(changes), maxChanges)]...), ChangeCount: len(changes),
		Effect: a.effect(a.opt.State.Plan(next, now), current.Config, next), Warnings: a.warnings(ctx, current.Config, next),
	}
}

package admin

import (
	"context"
	"net/http"
	"slices"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/holdfast-lb/holdfast/admin/permit"
	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

const (
	mediaYAML = "application/yaml"
	mediaJSON = "application/json"
)

type getConfigInput struct {
	wire.ReadParams
	Revision    string `query:"revision" pattern:"^[0-9]{1,19}$" doc:"an earlier revision of the history; without it the current one"`
	Accept      string `header:"Accept" hidden:"true"`
	IfNoneMatch string `header:"If-None-Match" doc:"answer 304 when this is still the revision"`
}

type getRevisionInput struct {
	wire.ReadParams
	Revision string `path:"revision" pattern:"^[0-9]{1,19}$" doc:"a revision that the history still has"`
	Accept   string `header:"Accept" hidden:"true"`
}

type getConfigOutput struct {
	wire.ReadHeaders
	Status      int
	ETag        string `header:"ETag" doc:"the revision in quotes"`
	ContentType string `header:"Content-Type"`
	Body        []byte
}

type historyInput struct {
	wire.ReadParams
	Limit int `query:"limit" minimum:"1" maximum:"1000" default:"100"`
}

type historyOutput struct {
	wire.ReadHeaders
	Body wire.History
}

func (a *API) registerConfig() {
	register(a, route{
		method: http.MethodGet, path: "/v1/config", id: "get-config", role: wire.RoleViewer, permission: permit.ConfigRead,
		summary: "The configuration",
		about:   "The whole configuration with every default written out, as JSON or YAML. It can be edited and put back with its ETag as If-Match.",
		edit:    configContent(a, func(op *huma.Operation, c map[string]*huma.MediaType) { op.Responses = okResponse(c) }),
	}, a.getConfig)
	register(a, route{
		method: http.MethodGet, path: "/v1/config/history", id: "get-config-history", role: wire.RoleViewer, permission: permit.ConfigRead,
		summary: "The revisions of the configuration, the newest first",
	}, a.getHistory)
	register(a, route{
		method: http.MethodGet, path: "/v1/config/revisions/{revision}", id: "get-config-revision", role: wire.RoleViewer, permission: permit.ConfigRead,
		summary: "The configuration of an earlier revision",
		edit:    configContent(a, func(op *huma.Operation, c map[string]*huma.MediaType) { op.Responses = okResponse(c) }),
	}, a.getRevision)
}

// relaxConfigSchemas: a configuration that is sent needs no more than what differs from the defaults, an edit no more than what it is about.
func (a *API) relaxConfigSchemas() {
	schemas := a.huma.OpenAPI().Components.Schemas
	for name, schema := range schemas.Map() {
		if t := schemas.TypeFromRef("#/components/schemas/" + name); t != nil && t.PkgPath() == reflectConfig.PkgPath() {
			schema.Required = nil
		}
	}
}

// configContent documents a configuration in both of its formats.
func configContent(a *API, set func(*huma.Operation, map[string]*huma.MediaType)) func(*huma.Operation) {
	return func(op *huma.Operation) {
		schema := a.huma.OpenAPI().Components.Schemas.Schema(reflectConfig, true, "Config")
		set(op, map[string]*huma.MediaType{
			mediaJSON: {Schema: schema},
			mediaYAML: {Schema: &huma.Schema{Type: huma.TypeString, Description: "the same as YAML"}},
		})
	}
}

func okResponse(content map[string]*huma.MediaType) map[string]*huma.Response {
	return map[string]*huma.Response{"200": {Description: http.StatusText(http.StatusOK), Content: content}}
}

func (a *API) getConfig(ctx context.Context, in *getConfigInput) (*getConfigOutput, error) {
	headers, err := a.settle(ctx, in.ReadParams)
	if err != nil {
		return nil, err
	}
	rev := a.opt.State.Revision()
	if in.Revision != "" {
		n, err := strconv.ParseUint(in.Revision, 10, 64)
		if err != nil {
			return nil, invalidRequest("query.revision", "is not a revision")
		}
		if rev = a.revisionOf(n); rev == nil {
			return nil, noRevision(n)
		}
	}
	out := &getConfigOutput{ReadHeaders: headers, Status: http.StatusOK, ETag: etag(rev.Number), ContentType: in.Accept}
	switch {
	case in.IfNoneMatch == out.ETag:
		out.Status = http.StatusNotModified
	case in.Accept == mediaYAML:
		out.Body = rev.Config.YAML()
	default:
		out.Body = append(slices.Clip(rev.Config.Canonical()), '\n')
	}
	return out, nil
}

func (a *API) getRevision(ctx context.Context, in *getRevisionInput) (*getConfigOutput, error) {
	return a.getConfig(ctx, &getConfigInput{ReadParams: in.ReadParams, Revision: in.Revision, Accept: in.Accept})
}

func (a *API) getHistory(ctx context.Context, in *historyInput) (*historyOutput, error) {
	headers, err := a.settle(ctx, in.ReadParams)
	if err != nil {
		return nil, err
	}
	out := &historyOutput{ReadHeaders: headers, Body: wire.History{Revisions: []wire.Revision{}}}
	for _, r := range slices.Backward(a.opt.State.Revisions()) {
		if len(out.Body.Revisions) == in.Limit {
			break
		}
		out.Body.Revisions = append(out.Body.Revisions, describe(r))
	}
	return out, nil
}

func describe(r *fsm.Revision) wire.Revision {
	return wire.Revision{Number: r.Number, Index: r.Index, Time: r.Time, Actor: r.Actor, Message: r.Message}
}

func etag(revision uint64) string { return `"` + strconv.FormatUint(revision, 10) + `"` }

// parse reads a configuration of a body; its faults become one problem.
func parse(data []byte) (*config.Config, error) {
	c, err := config.Parse("", data)
	if err != nil {
		return nil, configProblem(err)
	}
	return c, nil
}

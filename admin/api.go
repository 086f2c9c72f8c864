package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/holdfast-lb/holdfast/admin/issuer"
	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

// Limits of request bodies in bytes.
const (
	maxBody       = 1 << 20
	maxConfigBody = 4 << 20
)

// API is the admin API of one node. It is an http.Handler, safe for any number of goroutines.
type API struct {
	opt  Options
	mux  *http.ServeMux
	huma huma.API
	spec []byte // the OpenAPI document as JSON
	// unguarded are routes that say wrongly who may call them: New fails on one.
	unguarded []error

	streams chan struct{} // one for each stream of events
	leaving chan struct{} // closed when the node leaves: streams end
	leave   sync.Once
	beats   beats         // of registered instances
	backups chan struct{} // holds one: the backup that is being sent
	turns   chan struct{} // holds one: the edit that is being made

	restores sync.Mutex // held while an archive is taken

	followers chan struct{} // one for each follower of the log
	watches   chan struct{} // one for each watch of keys

	issuer *issuer.Verifier
}

// New makes the admin API. The error names what opt lacks.
func New(opt Options) (*API, error) {
	opt, err := opt.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("admin API: %w", err)
	}
	a := &API{opt: opt, mux: http.NewServeMux(), streams: make(chan struct{}, maxStreams), leaving: make(chan struct{}), turns: make(chan struct{}, 1), backups: make(chan struct{}, 1),
		followers: make(chan struct{}, maxFollowers), watches: make(chan struct{}, maxWatches)}
	a.issuer = issuer.New(issuer.Options{Issuer: a.believed, Logger: opt.Logger, Now: opt.Now})
	a.huma = humago.New(a.mux, a.humaConfig())
	a.huma.UseMiddleware(a.requirePermission, a.readBody)
	a.mux.HandleFunc("/", a.notFound)
	a.registerHealth()
	a.registerStatus()
	a.registerNodes()
	a.registerMembership()
	a.registerConfig()
	a.registerConfigWrites()
	a.registerSchedules()
	a.registerQuiesces()
	a.registerMaintenance()
	a.registerHeartbeats()
	a.registerEndpoints()
	a.registerSessions()
	a.registerStore()
	a.registerKeys()
	a.registerTokens()
	a.registerRoles()
	a.registerUserGroups()
	a.registerUsers()
	a.registerIssuer()
	a.registerCertificates()
	a.registerFiles()
	a.registerACME()
	a.registerWorkflows()
	a.registerExplain()
	a.registerEvents()
	a.registerBackup()
	a.registerRestore()
	a.registerFollow()
	a.registerUpgradeBinary()
	a.registerLater()
	a.relaxConfigSchemas()
	if err := a.registerSpec(); err != nil {
		return nil, err
	}
	if err := errors.Join(a.unguarded...); err != nil {
		return nil, err
	}
	return a, nil
}

// humaConfig sets up the framework: JSON only, strict, no pages that load scripts from elsewhere, no $schema links.
func (a *API) humaConfig() huma.Config {
	registry := huma.NewMapRegistry("#/components/schemas/", schemaName)
	registry.RegisterTypeAlias(reflect.TypeFor[config.Duration](), reflect.TypeFor[string]())
	registry.RegisterTypeAlias(reflect.TypeFor[config.Size](), reflect.TypeFor[string]())
	format := huma.Format{Marshal: marshal, Unmarshal: unmarshalStrict}
	c := huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title:       "Holdfast admin API",
				Version:     "v1",
				Description: description(),
			},
			Components: &huma.Components{
				Schemas: registry,
				SecuritySchemes: map[string]*huma.SecurityScheme{
					"token": {Type: "http", Scheme: "bearer", Description: "an access token, hft1.…; not needed on the node's own machine by its loopback address"},
				},
			},
		},
		Formats:                      map[string]huma.Format{"application/json": format, "json": format},
		DefaultFormat:                "application/json",
		RejectUnknownQueryParameters: true,
	}
	return c
}

// description is the text at the head of the OpenAPI document, with the list of the problem codes.
func description() string {
	var b strings.Builder
	b.WriteString("Errors are RFC 9457 problem documents. Their `code` is one of:\n\n| code | status | meaning |\n|---|---|---|\n")
	for _, c := range wire.Codes {
		fmt.Fprintf(&b, "| `%s` | %d | %s |\n", c.Code, c.Status, c.Meaning)
	}
	return b.String()
}

// schemaName keeps the configuration's Cluster, Instance, … apart from those of the status document.
func schemaName(t reflect.Type, hint string) string {
	name := huma.DefaultSchemaNamer(t, hint)
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.PkgPath() == reflect.TypeFor[config.Config]().PkgPath() && name != "Config" {
		return "Config" + name
	}
	return name
}

// route is what is said about an operation beside its types.
type route struct {
	method, path, id, summary, about string
	// role is the least of the built-in roles that may call it, permission what own roles need for it; both empty for the open routes.
	role, permission string
	body             int64 // limit of the body in bytes; 0: maxBody
	status           int   // of success; 0: 200 or 204
	edit             func(*huma.Operation)
}

// The keys of an operation's metadata. With streamedKey the handler reads the body itself, as it comes.
const routeKey, bodyLimitKey, streamedKey = "route", "bodyLimit", "streamed"

// With anyTypeKey the body may be of any media type; with waitsKey the answer may take longer than the request.
const anyTypeKey, waitsKey = "anyType", "waits"

// register adds an operation: the handler's errors become problems, its role is checked and documented.
func register[I, O any](a *API, r route, handler func(context.Context, *I) (*O, error)) {
	if r.body == 0 {
		r.body = maxBody
	}
	op := huma.Operation{
		OperationID: r.id, Method: r.method, Path: r.path, Summary: r.summary, Description: r.about,
		DefaultStatus: r.status, MaxBodyBytes: r.body + 1, BodyReadTimeout: -1, // readBody has both limits already
		Metadata: map[string]any{routeKey: r, bodyLimitKey: r.body},
		Errors:   []int{http.StatusBadRequest, http.StatusServiceUnavailable},
	}
	if r.role != "" {
		op.Errors = append(op.Errors, http.StatusUnauthorized, http.StatusForbidden)
		op.Security = []map[string][]string{{"token": {r.role}}}
		op.Description = strings.TrimSpace(op.Description + "\n\nNeeds the role " + r.role + ", or the permission `" + r.permission + "`.")
	}
	if r.edit != nil {
		r.edit(&op)
	}
	a.checkRoute(&r)
	huma.Register(a.huma, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := handler(ctx, in)
		if err != nil {
			return nil, a.problem(ctx, err)
		}
		return out, nil
	})
	if op.Metadata[anyTypeKey] != nil {
		op.RequestBody.Required = false // the framework takes an empty body for none, and a value may be empty
	}
}

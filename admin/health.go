package admin

import (
	"context"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/holdfast-lb/holdfast/admin/permit"
	"github.com/holdfast-lb/holdfast/admin/wire"
)

type healthOutput struct {
	Body wire.Health
}

type streamOutput struct {
	Body func(huma.Context)
}

func (a *API) registerHealth() {
	register(a, route{
		method: http.MethodGet, path: "/healthz", id: "get-health",
		summary: "The process is alive",
	}, func(context.Context, *struct{}) (*healthOutput, error) {
		return &healthOutput{wire.Health{Status: "ok"}}, nil
	})
	register(a, route{
		method: http.MethodGet, path: "/readyz", id: "get-readiness",
		summary: "The node should get traffic",
		about:   "503 with the reasons when it should not.",
	}, func(context.Context, *struct{}) (*healthOutput, error) {
		if err := a.opt.Node.Ready(); err != nil {
			return nil, notReady(err)
		}
		return &healthOutput{wire.Health{Status: "ready"}}, nil
	})
	metrics := promhttp.HandlerFor(a.opt.Gatherer, promhttp.HandlerOpts{EnableOpenMetrics: true, MaxRequestsInFlight: 4})
	register(a, route{
		method: http.MethodGet, path: "/metrics", id: "get-metrics", role: wire.RoleViewer, permission: permit.StatusRead,
		summary: "The node's metrics in the Prometheus text format",
		edit: func(op *huma.Operation) {
			op.Responses = okResponse(map[string]*huma.MediaType{"text/plain": {Schema: &huma.Schema{Type: huma.TypeString}}})
		},
	}, func(context.Context, *struct{}) (*streamOutput, error) {
		return &streamOutput{func(ctx huma.Context) {
			r, w := humago.Unwrap(ctx)
			r.Header.Del("Accept") // it has been made JSON, see ServeHTTP; the plain text format is what remains
			metrics.ServeHTTP(w, r)
		}}, nil
	})
}

// notReady lists the reasons, one for each error that was joined.
func notReady(err error) *wire.Problem {
	p := wire.NewProblem(http.StatusServiceUnavailable, wire.CodeNotReady, "This node should not get traffic.").With("Retry-After", "1")
	for _, line := range strings.Split(err.Error(), "\n") {
		if line != "" {
			p.Errors = append(p.Errors, wire.ProblemError{Message: line})
		}
	}
	return p
}

func (a *API) registerSpec() error {
	type specOutput struct {
		ContentType string `header:"Content-Type"`
		Body        []byte
	}
	register(a, route{
		method: http.MethodGet, path: "/v1/openapi.json", id: "get-openapi", role: wire.RoleViewer, permission: permit.StatusRead,
		summary: "This document",
		edit: func(op *huma.Operation) {
			op.Responses = okResponse(map[string]*huma.MediaType{"application/openapi+json": {Schema: &huma.Schema{Type: huma.TypeObject}}})
		},
	}, func(context.Context, *struct{}) (*specOutput, error) {
		return &specOutput{"application/openapi+json", a.spec}, nil
	})
	var err error
	a.spec, err = a.huma.OpenAPI().MarshalJSON()
	return err
}

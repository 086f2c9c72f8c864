package admin

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"path"
	"runtime/debug"
	"strings"
	"time"

	"github.com/holdfast-lb/holdfast/admin/wire"
)

// call is what is known about one request while it runs. It belongs to the goroutine of the request.
type call struct {
	who     identity
	request *http.Request
	// stream: the caller asks for a stream of events.
	stream bool
}

type callKey struct{}

func callOf(ctx context.Context) *call {
	if c, ok := ctx.Value(callKey{}).(*call); ok {
		return c
	}
	return &call{}
}

// openRoutes need no token: load balancers and supervisors ask them.
var openRoutes = map[string]bool{"/healthz": true, "/readyz": true}

// ServeHTTP guards, authenticates, routes and logs one request.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	c := &call{who: identity{actor: nobody}, stream: strings.Contains(strings.ToLower(r.Header.Get("Accept")), mediaEvents)}
	rec := &recorder{ResponseWriter: w}
	r = r.WithContext(context.WithValue(r.Context(), callKey{}, c))
	c.request = r
	// The framework's own reading of Accept can panic (it slices past the end of "a;,b"), so it only sees what we make of it.
	r.Header.Set("Accept", accepted(r.Header.Get("Accept")))
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	defer func() {
		if v := recover(); v != nil {
			a.recovered(rec, r, v)
		}
		a.logCall(r, c, rec.status, time.Since(start))
	}()
	if p := a.admit(r, c); p != nil {
		if r.Body != http.NoBody {
			p.With("Connection", "close") // do not read the rest of a body that nobody wants
		}
		writeProblem(rec, p)
		return
	}
	a.mux.ServeHTTP(rec, r)
}

// accepted is YAML when that is named, else JSON: there is nothing more to choose from.
func accepted(header string) string {
	if strings.Contains(strings.ToLower(header), "yaml") {
		return mediaYAML
	}
	return mediaJSON
}

// admit decides whether a request gets as far as its route.
func (a *API) admit(r *http.Request, c *call) *wire.Problem {
	if !openRoutes[r.URL.Path] {
		if p := checkOrigin(r); p != nil {
			return p
		}
		who, p := a.authenticate(r)
		if p != nil {
			return p
		}
		c.who = who
	}
	// The mux would answer an unclean path with a redirect.
	if r.URL.Path != "/" && path.Clean(r.URL.Path) != strings.TrimSuffix(r.URL.Path, "/") {
		return unknownRoute()
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return wire.NewProblem(http.StatusBadRequest, wire.CodeBadRequest, "The query of the address is malformed.")
	}
	for name, values := range query {
		if len(values) > 1 {
			return invalidRequest("query", "parameter %.40q is given more than once", name)
		}
	}
	return nil
}

func unknownRoute() *wire.Problem {
	return notFoundf("No such route; /v1/openapi.json lists them all.")
}

// notFound answers what no route takes: with 405 when the path has other methods.
func (a *API) notFound(w http.ResponseWriter, r *http.Request) {
	var allow []string
	for _, m := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		probe := &http.Request{Method: m, URL: r.URL, Host: r.Host}
		if _, pattern := a.mux.Handler(probe); pattern != "/" && pattern != "" {
			allow = append(allow, m)
		}
	}
	if len(allow) == 0 {
		writeProblem(w, unknownRoute())
		return
	}
	list := strings.Join(allow, ", ")
	writeProblem(w, wire.NewProblem(http.StatusMethodNotAllowed, wire.CodeMethodNotAllowed, "This route takes "+list+".").With("Allow", list))
}

// recovered answers a request whose handler panicked. One bad request must not end a node.
func (a *API) recovered(rec *recorder, r *http.Request, v any) {
	if v == http.ErrAbortHandler { //nolint:errorlint // the documented sentinel of net/http, compared as net/http does
		panic(v)
	}
	a.opt.Logger.ErrorContext(r.Context(), "BUG: admin call panicked", "route", routeOf(r), "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
	if rec.status == 0 {
		writeProblem(rec, wire.NewProblem(http.StatusInternalServerError, wire.CodeInternal, "This node could not do it; its log says why."))
	}
}

// logCall writes who called what with which outcome. The route is the pattern, never the address itself: that could hold
// what somebody typed in error.
func (a *API) logCall(r *http.Request, c *call, status int, took time.Duration) {
	level := slog.LevelInfo
	route := routeOf(r)
	// Health checks, scrapers and dashboards ask every few seconds: what only reads is worth a line when it was refused. Registered instances send
	// a heartbeat twice a second; that one of theirs is refused is said once, see putHeartbeat.
	beat := route == heartbeatRoute && r.Method == http.MethodPut && c.who.known() && status < http.StatusInternalServerError
	// Applications write at the rate of their own requests.
	beat = beat || storeRoutes[route] && c.who.known() && status < http.StatusInternalServerError
	if openRoutes[r.URL.Path] || route == "/metrics" || beat || readsOnly(r, route) && status < http.StatusBadRequest {
		level = slog.LevelDebug
	}
	a.opt.Logger.Log(r.Context(), level, "admin call", "method", methodOf(r), "route", route, "actor", c.who.actor, "status", status,
		"ms", took.Milliseconds(), "remote", r.RemoteAddr)
}

// readsOnly tells whether a call cannot change anything.
func readsOnly(r *http.Request, route string) bool {
	switch route {
	case "/v1/sessions/lookup", "/v1/sessions/explain", "/v1/workflows/plan", "/v1/config/validate", "/v1/config/plan":
		return true
	}
	return r.Method == http.MethodGet || r.Method == http.MethodHead
}

func routeOf(r *http.Request) string {
	_, route, ok := strings.Cut(r.Pattern, " ")
	if !ok {
		return "unknown"
	}
	return route
}

func methodOf(r *http.Request) string {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return r.Method
	}
	return "other"
}

// recorder remembers the status for the log.
type recorder struct {
	http.ResponseWriter
	status int
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 && status >= 200 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection's deadlines.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

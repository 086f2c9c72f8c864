package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/holdfast-lb/holdfast/admin/wire"
)

// The framework makes its own errors (parameters, schemas) through two variables of its package, and a third one has it tell
// "session" from "Session", which encoding/json alone does not. They are set once, before any goroutine of ours runs, and
// for every API in the process alike.
func init() {
	huma.ValidateStrictCasing = true
	huma.NewError = func(status int, text string, errs ...error) huma.StatusError {
		return frameworkProblem(status, text, errs)
	}
	huma.NewErrorWithContext = func(_ huma.Context, status int, text string, errs ...error) huma.StatusError {
		return frameworkProblem(status, text, errs)
	}
}

var frameworkCodes = map[int]string{
	http.StatusBadRequest:            wire.CodeBadRequest,
	http.StatusNotAcceptable:         wire.CodeNotAcceptable,
	http.StatusRequestTimeout:        wire.CodeRequestTimeout,
	http.StatusRequestEntityTooLarge: wire.CodeBodyTooLarge,
	http.StatusUnsupportedMediaType:  wire.CodeUnsupportedMediaType,
	http.StatusUnprocessableEntity:   wire.CodeInvalidRequest,
}

// frameworkProblem keeps message and place of each fault and drops the value: a body can hold a session id or a secret.
func frameworkProblem(status int, text string, errs []error) huma.StatusError {
	code, known := frameworkCodes[status]
	if !known {
		code = wire.CodeInternal
	}
	if code == wire.CodeInvalidRequest {
		text = notValid
	}
	p := wire.NewProblem(status, code, text)
	for _, err := range errs {
		var d huma.ErrorDetailer
		if !errors.As(err, &d) {
			p.Errors = append(p.Errors, wire.ProblemError{Message: err.Error()})
			continue
		}
		if status == http.StatusBadRequest && d.ErrorDetail().Location == "body" {
			p.Code, p.Type = wire.CodeMalformedBody, wire.ProblemTypePrefix+wire.CodeMalformedBody
		}
		p.Errors = append(p.Errors, wire.ProblemError{Message: d.ErrorDetail().Message, Location: d.ErrorDetail().Location})
	}
	return p
}

// problem turns an error of a handler into the problem document that the caller gets. Internal errors go to the log and
// only there: they may name files or addresses.
func (a *API) problem(ctx context.Context, err error) *wire.Problem {
	var p *wire.Problem
	switch {
	case errors.As(err, &p):
		return p
	case errors.Is(err, ErrClosed):
		return wire.NewProblem(http.StatusServiceUnavailable, wire.CodeNotReady, "This node is leaving; ask another one.").With("Retry-After", "1")
	case errors.Is(err, ErrNoRoom):
		return noRoom()
	case errors.Is(err, ErrNoQuorum):
		return noQuorum()
	case errors.Is(err, ErrOutcomeUnknown), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return outcomeUnknown()
	}
	a.opt.Logger.ErrorContext(ctx, "admin call failed", "err", err)
	return wire.NewProblem(http.StatusInternalServerError, wire.CodeInternal, "This node could not do it; its log says why.")
}

func noRoom() *wire.Problem {
	return wire.NewProblem(http.StatusServiceUnavailable, wire.CodeNoRoom,
		"The disks of most nodes are full, so nothing was done. Free some room below their data directories ('holdfast status' and their logs name them); they go on by themselves.").
		With("Retry-After", "5")
}

func noQuorum() *wire.Problem {
	return wire.NewProblem(http.StatusServiceUnavailable, wire.CodeNoQuorum,
		"The group has no leader or no majority right now, so nothing was done. Try again; if it lasts, bring nodes back ('holdfast status' names them).").
		With("Retry-After", "1")
}

func outcomeUnknown() *wire.Problem {
	return wire.NewProblem(http.StatusGatewayTimeout, wire.CodeOutcomeUnknown,
		"The group did not answer in time; the change may or may not happen. Repeat it with the same Idempotency-Key, or look first.")
}

// notValid is what every answer says whose faults are listed, whoever has found them.
const notValid = "The request is not valid."

func invalidRequest(location, format string, args ...any) *wire.Problem {
	p := wire.NewProblem(http.StatusUnprocessableEntity, wire.CodeInvalidRequest, notValid)
	p.Errors = []wire.ProblemError{{Location: location, Message: fmt.Sprintf(format, args...)}}
	return p
}

func notFoundf(format string, args ...any) *wire.Problem {
	return wire.NewProblem(http.StatusNotFound, wire.CodeNotFound, fmt.Sprintf(format, args...))
}

// writeProblem answers outside of the framework.
func writeProblem(w http.ResponseWriter, p *wire.Problem) {
	h := w.Header()
	for name, values := range p.GetHeaders() {
		h[name] = values
	}
	h.Set("Content-Type", p.ContentType(""))
	w.WriteHeader(p.Status)
	json.NewEncoder(w).Encode(p) //nolint:errcheck // a client that has gone away is no news
}

package admin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

var reflectConfig = reflect.TypeFor[config.Config]()

// maxCanonical is the largest configuration in its canonical form that fits into one log entry, with room for what
// travels with it.
const maxCanonical = fsm.MaxEntrySize - 64<<10

type putConfigInput struct {
	IfMatch        string `header:"If-Match" doc:"the revision in quotes that the change was made from; required"`
	IdempotencyKey string `header:"Idempotency-Key" maxLength:"255" doc:"the same request with the same key is applied once"`
	Message        string `query:"message" maxLength:"512" doc:"why, for the history"`
	Wait           string `query:"wait" enum:"all" doc:"all: answer when every node has applied it"`
	WaitSeconds    int    `query:"waitSeconds" minimum:"1" maximum:"60" default:"10" doc:"how long to wait for every node"`
	RawBody        []byte `contentType:"application/yaml"`
}

type putConfigOutput struct {
	Status int
	ETag   string `header:"ETag" doc:"the new revision in quotes"`
	Body   wire.ConfigResult
}

type validateInput struct {
	RawBody []byte `contentType:"application/yaml"`
}

type validateOutput struct {
	Body wire.ValidateResult
}

func (a *API) putConfig(ctx context.Context, in *putConfigInput) (*putConfigOutput, error) {
	expect, err := parseIfMatch(in.IfMatch)
	if err != nil {
		return nil, err
	}
	next, err := parse(in.RawBody)
	if err != nil {
		return nil, err
	}
	canonical := next.Canonical()
	if len(canonical) > maxCanonical {
		return nil, wire.NewProblem(http.StatusRequestEntityTooLarge, wire.CodeBodyTooLarge,
			fmt.Sprintf("With its defaults the configuration is %d bytes; at most %d can be replicated.", len(canonical), maxCanonical))
	}
	if err := a.sync(ctx); err != nil {
		return nil, err
	}
	current := a.opt.State.Revision()
	out := &putConfigOutput{Status: http.StatusOK, Body: wire.ConfigResult{AppliedBy: "majority", Warnings: a.warnings(current.Config, next)}}
	if expect == current.Number && bytes.Equal(current.Config.Canonical(), canonical) {
		out.Body.Unchanged, out.Body.Revision, out.Body.Index = true, current.Number, current.Index
	} else if err := a.setConfig(ctx, in, expect, next, out); err != nil {
		return nil, err
	}
	out.ETag = etag(out.Body.Revision)
	if in.Wait == "all" {
		a.waitAll(ctx, time.Duration(in.WaitSeconds)*time.Second, out)
	}
	return out, nil
}

// setConfig proposes next. An expected revision that is not the current one is proposed all the same: it may be the
// repetition of a request that has succeeded, and only the replicated state can tell.
func (a *API) setConfig(ctx context.Context, in *putConfigInput, expect uint64, next *config.Config, out *putConfigOutput) error {
	actor := callOf(ctx).who.actor
	res, err := a.propose(ctx, &fsm.ConfigSet{
		RequestID: requestID(in.IdempotencyKey, []byte("put-config"), []byte(actor), []byte(in.IfMatch), []byte(in.Message), in.RawBody),
		Expect:    expect, Actor: actor, Message: in.Message, Config: next,
	})
	switch {
	case err != nil:
		return err
	case res.Code == fsm.CodeConflict:
		p := wire.NewProblem(http.StatusConflict, wire.CodeRevisionConflict, fmt.Sprintf(
			"The change was made from revision %d, but the current one is %d: read it, make the change again, and send it with If-Match %s.",
			expect, res.Revision, etag(res.Revision)))
		p.Revision = &res.Revision
		return p.With("ETag", etag(res.Revision))
	case res.Code != fsm.CodeOK:
		return refused(res)
	}
	out.Body.Revision, out.Body.Index = res.Revision, res.Index
	return nil
}

// waitAll waits until every node has applied the change. When some do not in time, the change holds all the same.
func (a *API) waitAll(ctx context.Context, limit time.Duration, out *putConfigOutput) {
	bounded, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := a.opt.Node.WaitAll(bounded, out.Body.Index); err != nil {
		out.Status = http.StatusAccepted
		out.Body.Warnings = append(out.Body.Warnings,
			fmt.Sprintf("not every node serves it after %v; those that do not will when they can: %s", limit, firstLine(err)))
		return
	}
	out.Body.AppliedBy = "all"
}

// firstLine keeps a list of reasons short.
func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

func (a *API) validateConfig(_ context.Context, in *validateInput) (*validateOutput, error) {
	next, err := parse(in.RawBody)
	if err != nil {
		return nil, err
	}
	return &validateOutput{wire.ValidateResult{Valid: true, Warnings: a.warnings(a.opt.State.Revision().Config, next)}}, nil
}

// parseIfMatch takes exactly one strong entity tag. "*" (RFC 9110 section 13.1.1) would overwrite what the caller has not
// seen, which is what If-Match is here to prevent.
func parseIfMatch(header string) (uint64, error) {
	if header == "" {
		return 0, wire.NewProblem(http.StatusPreconditionRequired, wire.CodePreconditionRequired,
			`The write needs If-Match with the revision that the change was made from, as GET /v1/config gives it in ETag: If-Match: "3".`)
	}
	digits, opened := strings.CutPrefix(header, `"`)
	digits, closed := strings.CutSuffix(digits, `"`)
	n, err := strconv.ParseUint(digits, 10, 64)
	if !opened || !closed || err != nil || etag(n) != header {
		return 0, wire.NewProblem(http.StatusBadRequest, wire.CodeInvalidPrecondition, `If-Match must be one revision in quotes, as in If-Match: "3".`)
	}
	return n, nil
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

package admin

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

// maxCanonical is the largest configuration in its canonical form that fits into one log entry, with room for what
// travels with it.
const maxCanonical = fsm.MaxEntrySize - 64<<10

// changeOutput is the answer to every change of the configuration.
type changeOutput struct {
	Status int
	ETag   string `header:"ETag" doc:"the current revision in quotes"`
	Body   wire.ConfigResult
}

// change is one on its way to the group.
type change struct {
	params wire.ChangeParams
	// route and request make the id of the request, with the caller and the key.
	route   string
	request []byte
	message string
	// expect is the revision that next was made from.
	expect uint64
	next   *config.Config
	// edits are set when next was made by them: a schedule keeps them instead of next.
	edits        []config.Edit
	now, stopped []fsm.Subject
	lock         uint64
}

// id makes the id of the attempt-th attempt. Attempts have their own, because a group answers a request that it has seen as it did then.
func (c *change) id(ctx context.Context, attempt int) fsm.RequestID {
	return requestID(c.params.IdempotencyKey, []byte(c.route), []byte(callOf(ctx).who.actor), []byte(strconv.Itoa(attempt)), []byte(c.message), c.request)
}

// command is what is proposed.
func (c *change) command(ctx context.Context, attempt int) *fsm.ConfigChange {
	return &fsm.ConfigChange{
		RequestID: c.id(ctx, attempt), Expect: c.expect, Actor: callOf(ctx).who.actor, Message: c.message,
		Now: c.now, Stopped: c.stopped, Lock: c.lock, Config: c.next,
	}
}

// checkSize refuses what does not fit into a log entry.
func checkSize(next *config.Config) error {
	if n := len(next.Canonical()); n > maxCanonical {
		return wire.NewProblem(http.StatusRequestEntityTooLarge, wire.CodeBodyTooLarge,
			fmt.Sprintf("With its defaults the configuration is %d bytes; at most %d can be replicated.", n, maxCanonical))
	}
	return nil
}

// commit has the group apply c, or take it up for its time. An expected revision that is not the current one is proposed all the same: it may be the
// repetition of a request that has succeeded, and only the replicated state can tell.
func (a *API) commit(ctx context.Context, c *change, attempt int) (*changeOutput, error) {
	if err := checkSize(c.next); err != nil {
		return nil, err
	}
	if err := a.checkCertificates(c.next); err != nil {
		return nil, err
	}
	if err := a.checkOwner(ctx, c.lock, c.params.Owner); err != nil {
		return nil, err
	}
	if !c.params.At.IsZero() {
		return a.schedule(ctx, c)
	}
	current := a.opt.State.Revision()
	out := &changeOutput{Status: http.StatusOK, Body: wire.ConfigResult{AppliedBy: "majority", Warnings: a.warningsOf(ctx, c, current.Config)}}
	if c.expect == current.Number && bytes.Equal(current.Config.Canonical(), c.next.Canonical()) && !a.quiescing(c.now) {
		if err := a.checkStopped(c.stopped); err != nil {
			return nil, err
		}
		out.Body.Unchanged, out.Body.Revision, out.Body.Index = true, current.Number, current.Index
	} else {
		res, err := a.propose(ctx, c.command(ctx, attempt))
		if err != nil {
			return nil, err
		}
		if err := outcome(res, c.expect); err != nil {
			return nil, err
		}
		out.Body.Revision, out.Body.Index = res.Revision, res.Index
		if res.Effect != nil {
			e := a.effect(*res.Effect, current.Config, c.next)
			out.Body.Effect = &e
		}
	}
	out.ETag = etag(out.Body.Revision)
	if c.params.Wait == "all" {
		a.waitAll(ctx, time.Duration(c.params.WaitSeconds)*time.Second, out)
	}
	return out, nil
}

// warningsOf are those of the change. Of edits only what they bring: the rest of the configuration is not what they are about.
func (a *API) warningsOf(ctx context.Context, c *change, current *config.Config) []string {
	if c.edits == nil {
		return a.warnings(ctx, current, c.next)
	}
	list := a.warningsAbout(ctx, current, c.next, changedListeners(current, c.next))
	known := current.Warnings()
	return slices.DeleteFunc(list, func(w string) bool { return slices.Contains(known, w) })
}

// outcome turns the refusal of a change into its problem.
func outcome(res fsm.Result, expect uint64) error {
	switch res.Code {
	case fsm.CodeOK:
		return nil
	case fsm.CodeConflict:
		return conflict(expect, res.Revision)
	}
	return refused(res)
}

func conflict(expect, current uint64) *wire.Problem {
	p := wire.NewProblem(http.StatusConflict, wire.CodeRevisionConflict, fmt.Sprintf(
		"The change was made from revision %d, but the current one is %d: read it, make the change again, and send it with If-Match %s.",
		expect, current, etag(current)))
	p.Revision = &current
	return p.With("ETag", etag(current))
}

// waitAll waits until every node has applied the change. When some do not in time, the change holds all the same.
func (a *API) waitAll(ctx context.Context, limit time.Duration, out *changeOutput) {
	bounded, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := a.opt.Node.WaitAll(bounded, out.Body.Index); err != nil {
		out.Status, out.Body.Behind = http.StatusAccepted, strings.Split(err.Error(), "\n")
		out.Body.Warnings = append(out.Body.Warnings,
			fmt.Sprintf("not every node serves it after %v; those that do not will when they can: %s", limit, laggards(err)))
		return
	}
	out.Body.AppliedBy = "all"
}

// laggards gives the lines of err, one for each node that is behind, as one.
func laggards(err error) string {
	const most = 5 // groups have no more nodes with a vote
	lines := strings.Split(err.Error(), "\n")
	text := strings.Join(lines[:min(most, len(lines))], "; ")
	if more := len(lines) - most; more > 0 {
		text += fmt.Sprintf("; and %d more", more)
	}
	return text
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

package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/holdfast-lb/holdfast/admin/permit"
	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

// maxAttempts is how often edits are made anew when somebody else was faster.
const maxAttempts = 16

// attemptPause bounds what is waited before the second attempt.
const attemptPause = 10 * time.Millisecond

type editsInput struct {
	wire.ChangeParams
	IfMatch string `header:"If-Match" doc:"the revision in quotes that must be current; without it the edits are made to whatever is current"`
	Body    wire.Edits
}

type rollbackInput struct {
	wire.ChangeParams
	IfMatch string `header:"If-Match" doc:"the revision in quotes that must be current; without it whatever is current is replaced"`
	Body    wire.Rollback
}

func (a *API) registerEdits() {
	refusals := func(op *huma.Operation) { op.Errors = append(op.Errors, changeErrors...) }
	register(a, route{
		method: http.MethodPost, path: "/v1/config/edits", id: "edit-config", role: wire.RoleOperator, permission: permit.InstancesWrite, status: http.StatusOK,
		summary: "Change the configuration by names",
		about: "Without config:write only edits of instances, and the switches of modules and clusters. All edits are one transaction: they are made one after the other and checked as a whole; either all hold or none. They are made to whatever is current, " +
			"again when somebody else was faster, unless If-Match says which revision must be current.",
		edit: refusals,
	}, a.postEdits)
	register(a, route{
		method: http.MethodPost, path: "/v1/config/rollback", id: "rollback-config", role: wire.RoleOperator, permission: permit.ConfigWrite, status: http.StatusOK,
		summary: "Make an earlier revision the newest one",
		about:   "Any revision that the history still has becomes a new one. Quiesces begin and end as with every other change.",
		edit:    refusals,
	}, a.postRollback)
}

func (a *API) postEdits(ctx context.Context, in *editsInput) (*changeOutput, error) {
	b := &in.Body
	if len(b.Edits) == 0 { // null
		return nil, invalidRequest("body.edits", "are missing: there is nothing to change")
	}
	if !in.At.IsZero() && len(b.Stopped) > 0 {
		return nil, invalidRequest("body.stopped", "cannot be checked for a change that waits for its time")
	}
	must, pinned, err := optionalIfMatch(in.IfMatch)
	if err != nil {
		return nil, err
	}
	if err := a.mayEdit(ctx, b); err != nil {
		return nil, err
	}
	request, err := json.Marshal(b)
	if err != nil {
		return nil, invalidRequest("body.edits", "have a value that is not JSON")
	}
	c := &change{params: in.ChangeParams, route: "edit-config", request: append([]byte(in.IfMatch+"\x00"), request...), message: b.Message, edits: b.Edits, lock: b.Lock}
	if in.At.IsZero() {
		c.params.Wait = "" // below, when others have their turn
	}
	out, err := a.makeEdits(ctx, c, b, must, pinned)
	if err == nil && in.Wait == "all" && in.At.IsZero() {
		a.waitAll(ctx, time.Duration(in.WaitSeconds)*time.Second, out)
	}
	return out, err
}

// makeEdits makes the edits to whatever is current, or to revision must.
func (a *API) makeEdits(ctx context.Context, c *change, b *wire.Edits, must uint64, pinned bool) (*changeOutput, error) {
	if err := a.sync(ctx); err != nil {
		return nil, err
	}
	if !pinned && c.params.At.IsZero() {
		defer a.turn(ctx)()
	}
	for attempt := range maxAttempts {
		pause(ctx, attempt)
		if err := a.sync(ctx); err != nil {
			return nil, err
		}
		current := a.opt.State.Revision()
		if c.expect = current.Number; pinned {
			c.expect = must
		}
		if err := a.edit(c, b, current); err != nil {
			return a.repeated(ctx, c, attempt, err)
		}
		out, err := a.commit(ctx, c, attempt)
		var p *wire.Problem
		if pinned || !errors.As(err, &p) || p.Code != wire.CodeRevisionConflict {
			return out, err
		}
	}
	return nil, wire.NewProblem(http.StatusConflict, wire.CodeRefused,
		fmt.Sprintf("The configuration changed %d times while the edits were made; nothing was done. Try again.", maxAttempts))
}

// turnWait is how long edits wait for their turn at most, and turnPoll how often they look whether there is still a quorum meanwhile.
const (
	turnWait = 5 * time.Second
	turnPoll = 50 * time.Millisecond
)

// turn waits for its turn among the edits that this node makes, so that they do not all but one have to be made anew each time, and gives what ends it.
// It is a courtesy that makes nothing safer: whoever has waited for long goes on without, and so does everybody when the quorum is lost, because
// then all are to be refused at once.
func (a *API) turn(ctx context.Context) (end func()) {
	ctx, cancel := context.WithTimeout(ctx, turnWait)
	defer cancel()
	look := time.NewTicker(turnPoll)
	defer look.Stop()
	for a.opt.Node.Info().Quorum {
		select {
		case a.turns <- struct{}{}:
			return func() { <-a.turns }
		case <-look.C:
		case <-ctx.Done():
			return func() {}
		}
	}
	return func() {}
}

// pause lets other nodes go first after an attempt that was in vain: for longer each time, and not all for the same time.
func pause(ctx context.Context, attempt int) {
	if attempt == 0 {
		return
	}
	timer := time.NewTimer(time.Duration(attempt) * rand.N(attemptPause))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// edit fills in what the edits make of the current configuration.
func (a *API) edit(c *change, b *wire.Edits, current *fsm.Revision) (err error) {
	if c.next, err = current.Config.Apply(b.Edits); err != nil {
		return a.explainRegistered(b.Edits, editsProblem(err))
	}
	if c.now, err = a.subjects("body.now", b.Now, b.NowAll, c.next); err != nil {
		return err
	}
	c.stopped, err = a.subjects("body.stopped", b.Stopped, false, nil)
	return err
}

// repeated is for edits that cannot be made: perhaps because this is the repetition of a request that has made them. The group knows by the request's
// id. What is proposed expects a revision that there will never be, so it changes nothing when the id is new.
func (a *API) repeated(ctx context.Context, c *change, attempt int, why error) (*changeOutput, error) {
	if c.params.IdempotencyKey == "" || !c.params.At.IsZero() {
		return nil, why
	}
	probe := *c
	probe.expect, probe.next, probe.now, probe.stopped = math.MaxUint64, a.opt.State.Revision().Config, nil, nil
	for ; attempt < maxAttempts; attempt++ {
		res, err := a.propose(ctx, probe.command(ctx, attempt))
		switch {
		case err != nil:
			return nil, err
		case res.Code == fsm.CodeOK:
			return &changeOutput{Status: http.StatusOK, ETag: etag(res.Revision),
				Body: wire.ConfigResult{Revision: res.Revision, Index: res.Index, AppliedBy: "majority", Warnings: []string{}}}, nil
		case res.Code != fsm.CodeConflict:
			return nil, why
		}
	}
	return nil, why
}

// editsProblem says which edit is at fault, or what is wrong with all of them together.
func editsProblem(err error) *wire.Problem {
	p := configProblem(err)
	p.Detail = "With these edits the configuration is not valid; nothing was changed."
	for i := range p.Errors {
		if strings.HasPrefix(p.Errors[i].Location, "edits[") {
			p.Errors[i].Location = "body." + p.Errors[i].Location
		}
		p.Errors[i].Line, p.Errors[i].Column = 0, 0 // of a text that nobody has seen
	}
	return p
}

// explainRegistered says of an instance that is not in the configuration that it is there all the same.
func (a *API) explainRegistered(edits []config.Edit, p *wire.Problem) *wire.Problem {
	for _, reg := range a.opt.State.Operating().Registered {
		for i := range edits {
			if edits[i].Kind != wire.KindInstance || edits[i].Cluster != reg.Cluster || edits[i].Name != reg.Instance.Name || edits[i].Op == "add" {
				continue
			}
			for j := range p.Errors {
				if strings.HasPrefix(p.Errors[j].Location, fmt.Sprintf("body.edits[%d]", i)) {
					p.Errors[j].Hint = "it registered itself, so its values come with its heartbeats: send \"enabled\": false or other values there"
				}
			}
		}
	}
	return p
}

// optionalIfMatch is parseIfMatch where the header may be missing.
func optionalIfMatch(header string) (revision uint64, given bool, err error) {
	if header == "" {
		return 0, false, nil
	}
	revision, err = parseIfMatch(header)
	return revision, true, err
}

func (a *API) postRollback(ctx context.Context, in *rollbackInput) (*changeOutput, error) {
	b := &in.Body
	must, pinned, err := optionalIfMatch(in.IfMatch)
	if err != nil {
		return nil, err
	}
	if err := a.sync(ctx); err != nil {
		return nil, err
	}
	old := a.revisionOf(b.Revision)
	if old == nil {
		return nil, noRevision(b.Revision)
	}
	request, err := json.Marshal(b)
	if err != nil {
		return nil, err
	}
	c := &change{params: in.ChangeParams, route: "rollback-config", request: append([]byte(in.IfMatch+"\x00"), request...), message: b.Message, next: old.Config, lock: b.Lock}
	if c.message == "" {
		c.message = fmt.Sprintf("back to revision %d", b.Revision)
	}
	if c.expect = a.opt.State.Revision().Number; pinned {
		c.expect = must
	}
	if c.now, err = a.subjects("body.now", b.Now, b.NowAll, c.next); err != nil {
		return nil, err
	}
	return a.commit(ctx, c, 0)
}

func noRevision(n uint64) *wire.Problem {
	return notFoundf("The history has no revision %d; 'holdfast config history' lists those that are kept.", n)
}

// revisionOf finds a revision of the history, nil when it is not kept.
func (a *API) revisionOf(n uint64) *fsm.Revision {
	if current := a.opt.State.Revision(); current.Number == n {
		return current
	}
	for _, r := range a.opt.State.Revisions() {
		if r.Number == n {
			return r
		}
	}
	return nil
}

package admin

import (
	"context"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm"
)

// accessTries is how often a change of access is made anew when somebody else was faster.
const accessTries = 8

// accessSet is one change of who may do what on its way to the group.
type accessSet struct {
	key     string // of idempotency
	what    string // and the name, make the id of the request
	name    string
	request []byte
	// given is the version that the caller has seen; nil: whatever is there.
	given   *uint64
	current func(*fsm.Access) *fsm.Changed // nil: it is not there
	command func(id fsm.RequestID, expect uint64, actor string) fsm.Command
	absent  func() *wire.Problem
}

// access is who may do what now; nil when there are only built-in roles.
func (a *API) access() *fsm.Access { return a.opt.State.Operating().Access }

// setAccess has the group make the change.
func (a *API) setAccess(ctx context.Context, s accessSet) error {
	if err := a.sync(ctx); err != nil {
		return err
	}
	actor := callOf(ctx).who.actor
	for attempt := 0; ; attempt++ {
		expect := version(s.current(a.access()))
		if s.given != nil {
			expect = *s.given
		}
		id := requestID(s.key, []byte(s.what), []byte(actor), []byte(s.name), s.request, []byte(strconv.Itoa(attempt)))
		res, err := a.propose(ctx, s.command(id, expect, actor))
		switch {
		case err != nil:
			return err
		case res.Code == fsm.CodeOK:
			a.opt.Logger.InfoContext(ctx, "access changed", "what", s.what, "name", s.name, "actor", actor)
			return nil
		case res.Code == fsm.CodeAbsent:
			return s.absent()
		case res.Code == fsm.CodeConflict && s.given == nil && attempt < accessTries && version(s.current(a.access())) != expect:
			continue // somebody was faster
		}
		return refused(res)
	}
}

func version(c *fsm.Changed) uint64 {
	if c == nil {
		return 0
	}
	return c.Version
}

func wireChanged(c fsm.Changed) wire.Changed {
	return wire.Changed{Version: c.Version, Changed: c.Time, Actor: c.Actor}
}

// accessErrors are what changes of access may be refused with.
func accessErrors(op *huma.Operation) {
	op.Errors = append(op.Errors, http.StatusNotFound, http.StatusConflict, http.StatusUnprocessableEntity, http.StatusGatewayTimeout)
}

func mayBeAbsent(op *huma.Operation) { op.Errors = append(op.Errors, http.StatusNotFound) }

// namedInput asks for something of access by its name.
type namedInput struct {
	wire.ReadParams
	Name string `path:"name" pattern:"^[A-Za-z0-9][A-Za-z0-9._@+-]{0,127}$" patternDescription:"1 to 128 letters, digits, dots, dashes, underscores, @ or +, the first a letter or a digit"`
}

// removeNamedInput removes something of access by its name.
type removeNamedInput struct {
	Name           string `path:"name" pattern:"^[A-Za-z0-9][A-Za-z0-9._@+-]{0,127}$" patternDescription:"1 to 128 letters, digits, dots, dashes, underscores, @ or +, the first a letter or a digit"`
	IdempotencyKey string `header:"Idempotency-Key" maxLength:"255" doc:"the same request with the same key is applied once"`
}

package admin

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/holdfast-lb/holdfast/admin/permit"
	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

// maxLock is the longest time-out of the maintenance lock.
const maxLock = 365 * 24 * time.Hour

type maintenanceOutput struct {
	wire.ReadHeaders
	Body wire.Maintenance
}

type lockInput struct {
	IdempotencyKey string `header:"Idempotency-Key" maxLength:"255" doc:"the same request with the same key is applied once"`
	Body           wire.MaintenanceRequest
}

type lockOutput struct {
	Body wire.Maintenance
}

type unlockInput struct {
	IdempotencyKey string `header:"Idempotency-Key" maxLength:"255" doc:"the same request with the same key is applied once"`
	Owner          string `query:"owner" maxLength:"128" doc:"absent: the note of the caller's token, or what the log calls the caller"`
	Force          bool   `query:"force" doc:"also when somebody else owns it"`
}

func (a *API) registerMaintenance() {
	refusals := func(op *huma.Operation) {
		op.Errors = append(op.Errors, http.StatusNotFound, http.StatusUnprocessableEntity, http.StatusLocked, http.StatusGatewayTimeout)
	}
	register(a, route{
		method: http.MethodGet, path: "/v1/maintenance", id: "get-maintenance", role: wire.RoleViewer, permission: permit.StatusRead,
		summary: "Whether the maintenance lock is on",
	}, a.getMaintenance)
	register(a, route{
		method: http.MethodPut, path: "/v1/maintenance", id: "lock", role: wire.RoleOperator, permission: permit.MaintenanceWrite,
		summary: "Turn the maintenance lock on",
		about: "While it is on, the configuration can be changed only under it (lock with its id) and by its owner: other changes get 423 with its owner, reason and time. Traffic, assignments, health and running quiesces go on, " +
			"and tokens can be made and revoked. Its owner may turn it on again, which gives it another reason and time-out.",
		edit: refusals,
	}, a.putMaintenance)
	register(a, route{
		method: http.MethodDelete, path: "/v1/maintenance", id: "unlock", role: wire.RoleOperator, permission: permit.MaintenanceWrite,
		summary: "Turn the maintenance lock off",
		edit:    refusals,
	}, a.deleteMaintenance)
}

func (a *API) maintenance() wire.Maintenance {
	l := wireLock(a.opt.State.Operating().Lock)
	return wire.Maintenance{On: l != nil, Lock: l}
}

func wireLock(l *fsm.Lock) *wire.Lock {
	if l == nil {
		return nil
	}
	return &wire.Lock{ID: l.ID, Owner: l.Owner, Reason: l.Reason, Since: l.Since, Until: l.Until}
}

// locked is the problem of whoever meets the maintenance lock.
func locked(l *fsm.Lock) *wire.Problem {
	return lockedTo(l, "wait, or ask the owner; when it is yours, make the change under it with --under-lock, and with --owner NAME when you took it under another name")
}

// notOwner is the problem of a caller that acts for the owner of the lock and is somebody else, by the name of caller.
func notOwner(l *fsm.Lock, caller string) *wire.Problem {
	return lockedTo(l, fmt.Sprintf("you are %s here; when it is yours under another name, give that with --owner NAME", caller))
}

func lockedTo(l *fsm.Lock, advice string) *wire.Problem {
	if l == nil {
		l = &fsm.Lock{Owner: "somebody"}
	}
	p := wire.NewProblem(http.StatusLocked, wire.CodeLocked, fmt.Sprintf(
		"The configuration is locked for maintenance by %s since %s%s (%s), so nothing was changed: %s. 'holdfast maintenance off --force' takes the lock away.",
		l.Owner, l.Since.UTC().Format(time.RFC3339), untilOf(l.Until), cmp.Or(l.Reason, "no reason given"), advice))
	p.Lock = wireLock(l)
	return p
}

// untilOf says when a lock ends by itself, if it does.
func untilOf(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return ", until " + t.UTC().Format(time.RFC3339)
}

// checkOwner refuses a change under the lock of that id by anybody but its owner, given or by default. Which lock is on, the group decides with the
// change itself; whose an id is never changes.
func (a *API) checkOwner(ctx context.Context, lock uint64, given string) error {
	l := a.opt.State.Operating().Lock
	if lock == 0 || l == nil || l.ID != lock {
		return nil
	}
	if caller := a.owner(ctx, given); caller != l.Owner {
		return notOwner(l, caller)
	}
	return nil
}

// owner is who the caller is for the lock: the note of the token says more than its id.
func (a *API) owner(ctx context.Context, given string) string {
	actor := callOf(ctx).who.actor
	if given != "" {
		return given
	}
	if who := &callOf(ctx).who; who.user != "" && who.token != "" {
		return "user " + who.user // whichever of its tokens it uses
	}
	if id, ok := strings.CutPrefix(actor, "token "); ok {
		if t, found := a.opt.State.TokenByID(id); found && t.Note != "" {
			return t.Note
		}
	}
	return actor
}

func (a *API) getMaintenance(ctx context.Context, in *wire.ReadParams) (*maintenanceOutput, error) {
	headers, err := a.settle(ctx, *in)
	if err != nil {
		return nil, err
	}
	return &maintenanceOutput{headers, a.maintenance()}, nil
}

func (a *API) putMaintenance(ctx context.Context, in *lockInput) (*lockOutput, error) {
	var timeout config.Duration
	var err error
	if in.Body.Timeout != "" {
		if timeout, err = positive("body.timeout", in.Body.Timeout, maxLock); err != nil {
			return nil, err
		}
	}
	if err := a.sync(ctx); err != nil {
		return nil, err
	}
	owner := a.owner(ctx, in.Body.Owner)
	res, err := a.propose(ctx, &fsm.LockSet{
		RequestID: requestID(in.IdempotencyKey, []byte("lock"), []byte(owner), []byte(in.Body.Reason), []byte(in.Body.Timeout)),
		Owner:     owner, Reason: in.Body.Reason, Timeout: timeout,
	})
	switch {
	case err != nil:
		return nil, err
	case res.Code != fsm.CodeOK:
		return nil, refused(res)
	}
	return &lockOutput{a.maintenance()}, nil
}

// deleteMaintenance asks for force when somebody else owns the lock: not to keep anybody out, but so that nobody does it unknowingly.
func (a *API) deleteMaintenance(ctx context.Context, in *unlockInput) (*struct{}, error) {
	if err := a.sync(ctx); err != nil {
		return nil, err
	}
	off := notFoundf("The maintenance lock is off already.")
	actor, owner := callOf(ctx).who.actor, a.owner(ctx, in.Owner)
	l := a.opt.State.Operating().Lock
	if l != nil && l.Owner != owner && !in.Force {
		return nil, notOwner(l, owner)
	}
	if l == nil && in.IdempotencyKey == "" {
		return nil, off
	}
	res, err := a.propose(ctx, &fsm.LockClear{RequestID: requestID(in.IdempotencyKey, []byte("unlock"), []byte(actor), []byte(owner)), Actor: actor})
	switch {
	case err != nil:
		return nil, err
	case res.Code == fsm.CodeAbsent:
		return nil, off
	case res.Code != fsm.CodeOK:
		return nil, refused(res)
	}
	return nil, nil
}

package admin

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/holdfast-lb/holdfast/admin/permit"
	"github.com/holdfast-lb/holdfast/admin/wire"
)

const (
	// restoreRead is how long the sender of an archive may be silent.
	restoreRead = 30 * time.Second
	// restoreWait is how long the answer waits for the nodes that are behind.
	restoreWait = 20 * time.Second
)

// Restore is an archive that is to become the state of the running group.
type Restore struct {
	// From gives the archive.
	From io.Reader
	// Archive names it for people. Actor and Reason are for the events.
	Archive, Actor, Reason string
	// Lock is the id of the maintenance lock that the actor has, 0 for none.
	Lock uint64
}

type restoreInput struct {
	Group   string `query:"group" required:"true" maxLength:"255" doc:"name of this group, whose state is replaced"`
	Archive string `query:"archive" maxLength:"255" doc:"what events call the archive"`
	Reason  string `query:"reason" maxLength:"1024" doc:"for the events"`
	Lock    uint64 `query:"lock" doc:"id of the maintenance lock under which it is done"`
	Owner   string `query:"owner" maxLength:"128" doc:"with lock: the name under which the lock was taken; absent: the note of the caller's token, or what the log calls the caller"`
}

func (a *API) registerRestore() {
	if a.opt.Restore == nil {
		return
	}
	register(a, route{
		method: http.MethodPost, path: "/v1/restore", id: "restore", role: wire.RoleAdmin, permission: permit.BackupsWrite,
		summary: "Make the state of the running group that of an archive",
		about: "The body is an archive of this group, as GET /v1/backup gives it. Its state goes through the log in parts, and all nodes switch at one entry, in a new epoch; before that nothing changes. Assignments, " +
			"quiesces, schedules and the configuration are those of the archive then, the configuration as a new revision; workflows that ran in it are paused. Access tokens, the history of " +
			"revisions, the maintenance lock, evacuations and events stay. Refused under somebody else's maintenance lock, while a workflow has not ended, and for what does not fit this group. What was assigned after the " +
			"archive was made is mended by the cookies of 'insert' affinity. It cannot be taken back but by another restore: take a backup first.",
		edit: func(op *huma.Operation) {
			op.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{mediaBackup: {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}}}
			op.Metadata[streamedKey] = true
			op.Errors = append(op.Errors, http.StatusConflict, http.StatusUnprocessableEntity, http.StatusLocked, http.StatusGatewayTimeout)
			schema := a.huma.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[wire.Restored](), true, "Restored")
			op.Responses = okResponse(map[string]*huma.MediaType{mediaJSON: {Schema: schema}})
		},
	}, a.postRestore)
}

func (a *API) postRestore(ctx context.Context, in *restoreInput) (*streamOutput, error) {
	group := a.opt.State.Group()
	if group == nil {
		return nil, noQuorum()
	}
	if in.Group != group.Name {
		return nil, refusedf("This is group %s, not %.80q: nothing was changed.", group.Name, in.Group)
	}
	if err := a.checkOwner(ctx, in.Lock, in.Owner); err != nil {
		return nil, err
	}
	if err := a.sync(ctx); err != nil {
		return nil, err
	}
	what := Restore{Archive: in.Archive, Actor: callOf(ctx).who.actor, Reason: in.Reason, Lock: in.Lock}
	if what.Archive == "" {
		what.Archive = "an archive"
	}
	return &streamOutput{func(ctx huma.Context) {
		r, w := humago.Unwrap(ctx)
		a.takeRestore(w, r, what)
	}}, nil
}

func (a *API) takeRestore(w http.ResponseWriter, r *http.Request, what Restore) {
	if !a.restores.TryLock() { // each holds a second state in memory
		writeProblem(w, wire.NewProblem(http.StatusServiceUnavailable, wire.CodeNotReady, "This node is taking another archive already; wait for that.").With("Retry-After", "5"))
		return
	}
	defer a.restores.Unlock()
	control := http.NewResponseController(w)
	what.From = &steadyReader{r: r.Body, control: control, leaving: a.leaving}
	_ = control.SetWriteDeadline(time.Time{}) // it takes as long as it takes; a test's writer has none
	start := time.Now()
	done, err := a.opt.Restore(r.Context(), what)
	if err != nil {
		writeProblem(w, a.problem(r.Context(), err).With("Connection", "close")) // the rest of the body is of no use
		return
	}
	log := a.opt.Logger.With("actor", what.Actor, "archive", what.Archive, "epoch", done.Epoch, "index", done.Index)
	log.WarnContext(r.Context(), "the group was restored from an archive", "ms", time.Since(start).Milliseconds(), "sessions", done.Sessions, "reason", what.Reason)
	bounded, cancel := context.WithTimeout(r.Context(), restoreWait)
	defer cancel()
	done.AppliedBy = "all"
	if err := a.opt.Node.WaitAll(bounded, done.Index); err != nil {
		done.AppliedBy = "majority"
		done.Warnings = append(done.Warnings, "not every node serves it yet; those that do not will when they can: "+laggards(err))
	}
	w.Header().Set("Content-Type", mediaJSON)
	_ = json.NewEncoder(w).Encode(done) // who has hung up does not read it
}

// steadyReader gives each read a time of its own, and no more once the node leaves.
type steadyReader struct {
	r       io.Reader
	control *http.ResponseController
	leaving <-chan struct{}
}

func (s *steadyReader) Read(p []byte) (int, error) {
	select {
	case <-s.leaving:
		return 0, ErrClosed
	default:
	}
	_ = s.control.SetReadDeadline(time.Now().Add(restoreRead)) // a test's writer has none
	return s.r.Read(p)
}

package admin

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/holdfast-lb/holdfast/admin/permit"
	"github.com/holdfast-lb/holdfast/admin/wire"
)

// backupWrite is how long the reader of a backup may take to make room for what it is sent next.
const backupWrite = 30 * time.Second

// Backup is an archive of the whole state that is about to be sent.
type Backup struct {
	Name  string // of the file
	Index uint64 // of the last entry in it
	// Write writes all of it, once; Close gives back what it holds.
	Write func(w io.Writer) error
	Close func() error
}

type backupInput struct {
	wire.ReadParams
	Values wire.BackupValues `query:"values" enum:"whole,partial,names" default:"whole" doc:"values that two nodes keep beside the log: whole with all of them, or no backup; partial with those that can be had, the others as lost; names without their bytes, for a standby"`
}

func (a *API) registerBackup() {
	if a.opt.Backup == nil {
		return
	}
	register(a, route{
		method: http.MethodGet, path: "/v1/backup", id: "get-backup", role: wire.RoleAdmin, permission: permit.BackupsRead,
		summary: "An archive of the whole state",
		about: "Everything that is replicated, as of one log index: configuration, assignments, tokens (hashed), the group's keys. It is as secret as they are. The archive has a hash over all at its " +
			"end; one without it is not whole. With consistency=linearizable (default) it holds what was acknowledged before the call; stale gives what the node has applied, also without a quorum. " +
			"A node sends one at a time.",
		edit: answersBytes,
	}, a.getBackup)
}

const mediaBackup = "application/octet-stream"

// answersBytes says in the OpenAPI document that the answer is a stream of bytes.
func answersBytes(op *huma.Operation) {
	op.Responses = okResponse(map[string]*huma.MediaType{mediaBackup: {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}})
}

func (a *API) getBackup(ctx context.Context, in *backupInput) (*streamOutput, error) {
	select {
	case a.backups <- struct{}{}:
	default:
		return nil, wire.NewProblem(http.StatusServiceUnavailable, wire.CodeNotReady, "This node is sending a backup already; ask another one, or try again.").With("Retry-After", "2")
	}
	free := func() { <-a.backups }
	headers, err := a.settle(ctx, in.ReadParams)
	if err != nil {
		free()
		return nil, err
	}
	b, err := a.opt.Backup(ctx, in.Values)
	if err != nil {
		free()
		return nil, err
	}
	return &streamOutput{func(ctx huma.Context) {
		defer free()
		r, w := humago.Unwrap(ctx)
		a.sendBackup(w, r, b, headers)
	}}, nil
}

// sendBackup breaks the connection when it cannot send all: a client must not take half of an archive for a whole one.
func (a *API) sendBackup(w http.ResponseWriter, r *http.Request, b *Backup, headers wire.ReadHeaders) {
	h := w.Header()
	h.Set("Content-Type", mediaBackup)
	h.Set("Content-Disposition", `attachment; filename="`+b.Name+`"`) // a name of ours: nothing to escape
	h.Set("Holdfast-Consistency", headers.Consistency)
	h.Set("Holdfast-Index", strconv.FormatUint(b.Index, 10))
	to := &steadyWriter{w: w, control: http.NewResponseController(w), leaving: a.leaving}
	start := time.Now()
	err := errors.Join(b.Write(to), b.Close())
	log := a.opt.Logger.With("actor", callOf(r.Context()).who.actor, "index", b.Index, "bytes", to.n, "ms", time.Since(start).Milliseconds())
	if err != nil {
		log.WarnContext(r.Context(), "a backup was cut off", "error", err)
		panic(http.ErrAbortHandler)
	}
	log.InfoContext(r.Context(), "backup sent") // with the name of whoever has all secrets of the group now
}

// steadyWriter gives each write a time of its own, and no more once the node leaves (leaving nil: that too).
type steadyWriter struct {
	w       io.Writer
	control *http.ResponseController
	leaving <-chan struct{}
	n       int64
}

func (s *steadyWriter) Write(p []byte) (int, error) {
	select {
	case <-s.leaving:
		return 0, ErrClosed
	default:
	}
	_ = s.control.SetWriteDeadline(time.Now().Add(backupWrite)) // a test's writer has none
	n, err := s.w.Write(p)
	s.n += int64(n)
	return n, err
}

package server

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"net/http"
	"time"

	"github.com/holdfast-lb/holdfast/admin"
	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/internal/failpoint"
	"github.com/holdfast-lb/holdfast/storage/archive"
)

const (
	// restorePropose bounds the wait for the group to take one part; a new leader may have to be found.
	restorePropose = 30 * time.Second
	// restoreCommit bounds the wait for the switch: each node reads all that has come.
	restoreCommit = 3 * time.Minute
	// restoreGiveUp bounds the attempt to tell the group that a restore has come to nothing. If that fails too the leader notices in time.
	restoreGiveUp = 5 * time.Second
)

// restore makes the state of the running group that of an archive. The archive is checked to its last byte before the group is told to switch, and what has been sent before that changes nothing. It is for
// the admin API.
func (s *Server) restore(ctx context.Context, what admin.Restore) (done wire.Restored, err error) {
	r, err := archive.NewReader(what.From)
	if err != nil {
		return done, badArchive(err)
	}
	defer r.Close()
	h := r.Header()
	if group := s.state.Group(); group == nil || group.ID != h.GroupID {
		return done, badArchive(fmt.Errorf("it is that of group %s (%s), not of this one", h.GroupName, h.GroupID))
	}
	p := &partSender{propose: adminNode{s}.Propose, ctx: ctx, id: restoreID(), hash: sha256.New()}
	failpoint.Hit(failpoint.RegroupBegin)
	begin := &fsm.RestoreBegin{Lock: what.Lock, Restoring: fsm.Restoring{
		ID: p.id, Actor: what.Actor, Reason: what.Reason, Archive: what.Archive, Epoch: h.Epoch, Index: h.Index, Time: h.GroupTime}}
	if _, err := p.do(restorePropose, begin); err != nil {
		return done, err
	}
	failpoint.Hit(failpoint.RegroupBegun)
	s.log.Info("restore of an archive into the group", "archive", what.Archive, "actor", what.Actor, "epoch", h.Epoch, "index", h.Index)
	defer func() {
		if err != nil && !errors.Is(err, admin.ErrOutcomeUnknown) {
			s.log.Warn("restore of an archive into the group came to nothing", "archive", what.Archive, "error", err)
			p.giveUp()
		}
	}()
	_, report, err := readArchive(r, p)
	if p.failed != nil { // readArchive's words about it are not needed
		return done, p.failed
	}
	if err != nil {
		return done, badArchive(err)
	}
	if err := p.flush(); err != nil {
		return done, err
	}
	failpoint.Hit(failpoint.RegroupStaged)
	result, err := p.do(restoreCommit, &fsm.RestoreCommit{ID: p.id, Size: p.sent, Hash: p.hash.Sum(nil), Lock: what.Lock, Line: newLine()})
	if err != nil {
		return done, err
	}
	failpoint.Hit(failpoint.RegroupDone)
	return wire.Restored{Epoch: s.state.Group().Epoch, Revision: result.Revision, Index: result.Index, Sessions: report.Sessions,
		From: wire.RestoredFrom{Epoch: h.Epoch, Index: h.Index, Time: h.GroupTime}}, nil
}

// badArchive is the problem of a body that is no archive for this group.
func badArchive(err error) *wire.Problem {
	p := wire.NewProblem(http.StatusUnprocessableEntity, wire.CodeInvalidRequest, "The archive cannot be restored here, so nothing was changed.")
	p.Errors = []wire.ProblemError{{Location: "body", Message: clip(err.Error(), maxFailure)}}
	return p
}

func restoreID() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // it never fails
	return hex.EncodeToString(b[:])
}

// partSender sends what is written to it to the group, in parts of fsm.MaxRestorePart bytes.
type partSender struct {
	propose func(context.Context, fsm.Command) (fsm.Result, error)
	ctx     context.Context //nolint:containedctx // a writer has no other way
	id      string
	buf     []byte
	sent    uint64 // bytes that the group has
	hash    hash.Hash
	failed  error
}

// Write takes all of b, or fails for good.
func (p *partSender) Write(b []byte) (int, error) {
	if p.failed != nil {
		return 0, p.failed
	}
	n := len(b)
	for len(b) > 0 {
		room := min(len(b), fsm.MaxRestorePart-len(p.buf))
		p.buf, b = append(p.buf, b[:room]...), b[room:]
		if len(p.buf) < fsm.MaxRestorePart {
			break
		}
		if err := p.flush(); err != nil {
			return 0, err
		}
	}
	return n, nil
}

// flush sends what is left.
func (p *partSender) flush() error {
	if len(p.buf) == 0 || p.failed != nil {
		return p.failed
	}
	if _, p.failed = p.do(restorePropose, &fsm.RestorePart{ID: p.id, At: p.sent, Data: p.buf}); p.failed != nil {
		return p.failed
	}
	failpoint.Hit(failpoint.RegroupPart)
	p.hash.Write(p.buf)
	p.sent += uint64(len(p.buf))
	p.buf = p.buf[:0]
	return nil
}

// do has the group apply a command. A refusal is a problem, or the lock's.
func (p *partSender) do(limit time.Duration, c fsm.Command) (fsm.Result, error) {
	ctx, cancel := context.WithTimeout(p.ctx, limit)
	defer cancel()
	r, err := p.propose(ctx, c)
	if err != nil {
		return r, err
	}
	return r, admin.Refused(r)
}

// giveUp tells the group, if it still can.
func (p *partSender) giveUp() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(p.ctx), restoreGiveUp)
	defer cancel()
	_, _ = p.propose(ctx, &fsm.RestoreDrop{ID: p.id, Reason: "it did not arrive whole"})
}

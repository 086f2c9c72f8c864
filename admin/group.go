package admin

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"net/http"
	"time"

	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm"
)

// sync waits until the local state holds everything that was acknowledged before. Whatever keeps it from that within
// QuorumWait, the caller hears that there is no quorum: nothing was done.
func (a *API) sync(ctx context.Context) error {
	bounded, cancel := context.WithTimeout(ctx, a.opt.QuorumWait)
	defer cancel()
	err := a.opt.Node.Sync(bounded)
	var said *wire.Problem
	if errors.As(err, &said) || errors.Is(err, ErrNoRoom) {
		return err // it knows why
	}
	if err != nil && (bounded.Err() != nil || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrOutcomeUnknown)) {
		return ErrNoQuorum // reading has no outcome that could be unknown
	}
	return err
}

// settle makes a read as fresh as it was asked for and says so.
func (a *API) settle(ctx context.Context, f wire.ReadParams) (wire.ReadHeaders, error) {
	if f.Consistency == wire.Stale {
		return wire.ReadHeaders{Consistency: wire.Stale, Index: a.opt.State.Applied()}, nil
	}
	if err := a.sync(ctx); err != nil {
		return wire.ReadHeaders{}, err
	}
	return wire.ReadHeaders{Consistency: wire.Linearizable, Index: a.opt.State.Applied()}, nil
}

// clock is the later of replicated time, which decides but stands still while nothing is written, and the node's own: for what is left of a deadline,
// and for how far ahead a time is.
func (a *API) clock() time.Time {
	now := a.opt.Now().UTC()
	if t := a.opt.State.Now(); t.After(now) {
		return t
	}
	return now
}

// propose has the group apply c. Callers run sync first, so that without a leader the answer is there within a second
// and certain.
func (a *API) propose(ctx context.Context, c fsm.Command) (fsm.Result, error) {
	bounded, cancel := context.WithTimeout(ctx, a.opt.CommitWait)
	defer cancel()
	res, err := a.opt.Node.Propose(bounded, c)
	if words := (*RefusedError)(nil); errors.As(err, &words) {
		return res, wire.NewProblem(http.StatusConflict, wire.CodeRefused, "Nothing was changed: "+words.Words+".")
	}
	if err != nil && bounded.Err() != nil && !errors.Is(err, ErrNoQuorum) {
		return res, ErrOutcomeUnknown
	}
	return res, err
}

// refused turns a result code into a problem.
func refused(res fsm.Result) *wire.Problem {
	if res.Code == fsm.CodeLocked {
		return locked(res.Lock)
	}
	return wire.NewProblem(http.StatusConflict, wire.CodeRefused, "The group refused the change: "+res.Message+".")
}

// Refused is the problem of a result that is a refusal, nil for a success. It is for what a Node does in several steps.
func Refused(res fsm.Result) error {
	if res.Code == fsm.CodeOK {
		return nil
	}
	return refused(res)
}

// requestID is the same for the same key and the same request, so that a repeated request gives the first answer. All
// that makes up the request is in it: a key that is used again for something else is another request. Without a key it
// is random.
func requestID(key string, parts ...[]byte) (id fsm.RequestID) {
	if key == "" {
		rand.Read(id[:])
		return id
	}
	h := sha256.New()
	for _, part := range append([][]byte{[]byte(key)}, parts...) {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(part)))
		h.Write(n[:])
		h.Write(part)
	}
	copy(id[:], h.Sum(nil))
	return id
}

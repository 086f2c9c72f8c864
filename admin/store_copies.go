package admin

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

// Copies keeps the bytes of values beside the log (store: copies: 2).
type Copies interface {
	// Put has members keep the bytes of a value, and gives what fsm.StoreCopy says of them. Its error is an ErrCopiesFull, an ErrCopiesAway or that of ctx.
	Put(ctx context.Context, key fsm.StoreKey, data []byte) (of fsm.Copy, taken time.Time, err error)
	// Get gives the bytes that members keep, whose hash it has compared. Its error is an ErrCopiesAway or that of ctx.
	Get(ctx context.Context, of *fsm.Copy) ([]byte, error)
}

var (
	// ErrCopiesFull: no two nodes have room for the bytes.
	ErrCopiesFull = errors.New("no two nodes have room for the value")
	// ErrCopiesAway: the nodes that have the bytes, or could have them, do not answer.
	ErrCopiesAway = errors.New("the nodes that have the value, or could have it, do not answer")
)

const (
	// smallValue is up to which size a value goes through the log whatever the module says: who has it and what it is would be as much.
	smallValue = 1 << 10
	// copyTries bounds how often nodes are asked anew to keep a value, and how often a value is looked up anew because it was replaced while it was being read.
	copyTries = 3
)

// beside tells whether a value of so many bytes is kept beside the log.
func (a *API) beside(m *storeModule, size int) bool {
	return m.copies == config.CopiesTwo && size > smallValue && a.opt.Copies != nil
}

// putCopy writes a value beside the log: its bytes to two nodes first, then who they are into the log. put says all but the bytes.
func (a *API) putCopy(ctx context.Context, put *fsm.StorePut) (*writtenOutput, error) {
	if !a.opt.Node.Info().Quorum {
		return nil, ErrNoQuorum
	}
	if why := a.futile(ctx, put); why != nil {
		return a.doneBefore(ctx, put.StoreKey, put.RequestID, why)
	}
	keeping, cancel := context.WithTimeout(ctx, a.opt.CommitWait)
	defer cancel()
	for try := 1; ; try++ {
		of, taken, err := a.opt.Copies.Put(keeping, put.StoreKey, put.Data)
		if err != nil {
			return nil, a.notKept(ctx, err)
		}
		res, err := a.propose(ctx, &fsm.StoreCopy{RequestID: put.RequestID, StoreKey: put.StoreKey, If: put.If, Version: put.Version, TTL: put.TTL, Type: put.Type, Copy: of, Taken: taken})
		if err == nil && res.Code == fsm.CodeExpired && try < copyTries {
			continue // this node stood still: the others may have thrown the bytes away
		}
		return a.written(res, err)
	}
}

// futile says why a write is going to be refused; nil: it may well be done. Nodes are not asked to keep what nothing will name: it would take room from all modules for minutes.
func (a *API) futile(ctx context.Context, put *fsm.StorePut) error {
	if _, refused := a.opt.State.StoreRefuses(put); !refused {
		return nil
	}
	if err := a.sync(ctx); err != nil { // the state may have been an old one
		return err
	}
	if res, refused := a.opt.State.StoreRefuses(put); refused {
		return a.stored(res)
	}
	return nil
}

// notKept is the problem of a value that no two nodes keep.
func (a *API) notKept(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, ErrCopiesFull):
		a.opt.Logger.WarnContext(ctx, "a value was not stored", "error", err)
		return wire.NewProblem(http.StatusInsufficientStorage, wire.CodeStoreFull, "Nothing was stored: no two nodes have room for the value on their disks.")
	}
	a.opt.Logger.WarnContext(ctx, "a value was not stored", "error", err)
	return wire.NewProblem(http.StatusServiceUnavailable, wire.CodeValueAway, "Nothing was stored: of the nodes that could keep the value too few answer.").With("Retry-After", "1")
}

// readValue answers a read of a value, wherever its bytes are.
func (a *API) readValue(ctx context.Context, headers wire.ReadHeaders, key fsm.StoreKey, ifNoneMatch string) (*valueOutput, error) {
	var failed error
	for range copyTries {
		v := a.opt.State.Stored(key)
		if v == nil && a.opt.State.StoredLost(key) != nil {
			return nil, wire.NewProblem(http.StatusNotFound, wire.CodeValueLost, "The value is lost: the nodes that kept its bytes are gone, and no other one has them. Write it anew.")
		}
		out, err := a.value(headers, v, ifNoneMatch)
		if err != nil || v.Copy == nil || out.Status == http.StatusNotModified {
			return out, err
		}
		if out.Body, failed = a.bytesOf(ctx, v); failed == nil {
			return out, nil
		}
		if next := a.opt.State.Stored(key); next != v { // it was written, removed or moved meanwhile
			continue
		}
		if headers.Consistency == wire.Stale || a.sync(ctx) != nil || a.opt.State.Stored(key) == v {
			break
		}
	}
	return nil, failed
}

// bytesOf gives the bytes of a value.
func (a *API) bytesOf(ctx context.Context, v *fsm.Stored) ([]byte, error) {
	if v.Copy == nil {
		return v.Data, nil
	}
	if a.opt.Copies == nil {
		return nil, valueAway()
	}
	reading, cancel := context.WithTimeout(ctx, a.opt.CommitWait)
	defer cancel()
	data, err := a.opt.Copies.Get(reading, v.Copy)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		a.opt.Logger.WarnContext(ctx, "a value could not be read", "error", err)
		return nil, valueAway()
	}
	return data, nil
}

func valueAway() *wire.Problem {
	return wire.NewProblem(http.StatusServiceUnavailable, wire.CodeValueAway, "The value is there, but none of the nodes that have its bytes answers now.").With("Retry-After", "1")
}

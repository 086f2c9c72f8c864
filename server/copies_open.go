package server

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-lb/holdfast/admin"
	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/server/copies"
	"github.com/holdfast-lb/holdfast/storage"
	"github.com/holdfast-lb/holdfast/storage/shelf"
)

const (
	// copiesDir is where in the data directory the values are that this node keeps beside the log.
	copiesDir = "copies"
	// copiesMost bounds them in bytes: all that the store may have, and three times as much of what nothing names any more: while a backup is made nothing is thrown away.
	copiesMost = 4 * fsm.MaxStored
)

// openCopies opens what this node keeps beside the log.
func (s *Server) openCopies(metrics prometheus.Registerer) error {
	kept, err := shelf.Open(filepath.Join(s.dir.Path(), copiesDir), shelfOptions(s.dir.Path()))
	if err != nil {
		return err
	}
	s.copies = copies.New(copies.Options{
		Self: s.node.ID, Members: s.node.MemberIDs, Ask: s.node.AskBeside, State: s.state, Sync: s.node.Sync, Refuses: s.node.Quarantined,
		Shelf: kept, Now: s.node.GroupTime, Logger: s.log, Registerer: metrics,
	})
	return nil
}

func shelfOptions(dir string) shelf.Options {
	return shelf.Options{MaxBytes: copiesMost, Room: func(size int) error {
		space, err := storage.SpaceOf(dir)
		if err == nil && space.Free < space.Reserve+uint64(size) {
			err = fmt.Errorf("the disk has %d bytes left, of which the log is to have %d", space.Free, space.Reserve)
		}
		return err
	}}
}

// adminCopies is what the admin API needs of them.
type adminCopies struct{ s *Server }

func (a adminCopies) Put(ctx context.Context, key fsm.StoreKey, data []byte) (fsm.Copy, time.Time, error) {
	of, taken, err := a.s.copies.Put(ctx, copies.Place(key), data)
	return of, taken, copiesError(err)
}

func (a adminCopies) Get(ctx context.Context, of *fsm.Copy) ([]byte, error) {
	data, err := a.s.copies.Get(ctx, of)
	return data, copiesError(err)
}

func copiesError(err error) error {
	switch {
	case errors.Is(err, copies.ErrFull):
		return fmt.Errorf("%w: %w", admin.ErrCopiesFull, err)
	case errors.Is(err, copies.ErrAway):
		return fmt.Errorf("%w: %w", admin.ErrCopiesAway, err)
	}
	return err
}

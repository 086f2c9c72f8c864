package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/raftnode"
	"github.com/holdfast-lb/holdfast/storage/shelf"
)

// ErrIncomplete: values that are kept beside the log cannot be had, so that an archive would lack them.
var ErrIncomplete = errors.New("the archive would lack values of the store")

// imageWith takes the state for an archive, with the bytes of values that are kept beside the log, as values asks for.
func (s *Server) imageWith(ctx context.Context, values wire.BackupValues) (*raftnode.Image, error) {
	beside := func() bool { _, all, lost := s.state.StoreHoldings(); return all > lost }
	if values == wire.ValuesNames || !beside() {
		image, err := s.node.Image(ctx)
		if err != nil || values == wire.ValuesNames || !beside() {
			return image, err
		}
		_ = image.State.Close() // the first one has just come
	}
	lasting, stop := context.WithCancel(ctx)
	s.copies.Hold(lasting) // from before the image on nobody throws away what is in it
	image, err := s.node.Image(ctx)
	if err != nil {
		stop()
		return nil, err
	}
	state := fsm.New()
	err = errors.Join(state.Restore(image.State), image.State.Close())
	if err == nil && values == wire.ValuesWhole {
		err = s.allThere(ctx, state)
	}
	if err != nil {
		stop()
		return nil, err
	}
	var lost int
	image.State = &wholeState{ReadCloser: streamWhole(state, func(v *fsm.Stored) ([]byte, error) {
		data, err := s.copies.Get(lasting, v.Copy)
		if err == nil || values != wire.ValuesPartial || lasting.Err() != nil {
			return data, err
		}
		lost++
		s.log.Warn("a backup lacks a value of the store", "values", lost, "error", err)
		return nil, nil
	}), stop: stop}
	return image, nil
}

// allThere looks before anything is sent: whoever asks for an archive hears why there is none.
func (s *Server) allThere(ctx context.Context, state *fsm.State) error {
	away, err := s.copies.Away(ctx, state)
	if err != nil {
		return err
	}
	if away > 0 {
		return fmt.Errorf("%w: %d cannot be had now, because no node that answers has their bytes", ErrIncomplete, away)
	}
	return nil
}

// wholeState also ends what was held for it.
type wholeState struct {
	io.ReadCloser
	stop context.CancelFunc
}

func (w *wholeState) Close() error {
	w.stop()
	return w.ReadCloser.Close()
}

// streamWhole gives the snapshot of a state that nobody changes, with the bytes that fetch gives.
func streamWhole(state *fsm.State, fetch func(*fsm.Stored) ([]byte, error)) io.ReadCloser {
	pr, pw := io.Pipe()
	snap := state.Snapshot()
	snap.Whole(fetch)
	go func() {
		_, err := snap.WriteTo(pw)
		snap.Release()
		_ = pw.CloseWithError(err) // its error is nil always
	}()
	return pr
}

// Whole has the archive of a data directory carry the bytes of values that are kept beside the log, as far as this node has them: it has those of about two thirds of the values in a group of three. It gives how many there are that it
// lacks. Before Write; with partial they are in the archive as lost, otherwise Write fails with an ErrIncomplete when there are any.
func (d *DiskBackup) Whole(partial bool) (lacking int, err error) {
	if _, all, lost := d.state.StoreHoldings(); all == lost {
		return 0, nil
	}
	kept, err := shelf.Open(filepath.Join(d.dir.Path(), copiesDir), shelf.Options{MaxBytes: copiesMost, Now: time.Now})
	if err != nil {
		return 0, err
	}
	fetch := func(v *fsm.Stored) ([]byte, error) {
		data, err := kept.Get(v.Copy.Hash)
		if errors.Is(err, shelf.ErrAbsent) {
			return nil, nil
		}
		return data, err
	}
	d.state.StoredCopies(func(v *fsm.Stored) bool {
		var data []byte
		if data, err = fetch(v); data == nil {
			lacking++
		}
		return err == nil
	})
	if err != nil {
		return lacking, err
	}
	_ = d.image.State.Close()
	if lacking > 0 && !partial {
		fetch = func(*fsm.Stored) ([]byte, error) {
			return nil, fmt.Errorf("%w: of %d this data directory has no bytes", ErrIncomplete, lacking)
		}
	}
	d.image.State = streamWhole(d.state, fetch)
	return lacking, nil
}

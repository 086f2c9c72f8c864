package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/holdfast-lb/holdfast/admin/client"
	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/storage/archive"
)

// rebase takes a whole state from which the log goes on anew.
func (s *Standby) rebase(ctx context.Context) error {
	at, _ := s.trail.Position()
	h, err := s.takeBase(ctx, at)
	if err != nil {
		return err
	}
	if err := s.trail.Based(h); err != nil {
		return trailError{err}
	}
	s.tookBase(taken{header: h})
	if now, _ := s.trail.Position(); now.Epoch == at.Epoch && now.Index == at.Index {
		return fmt.Errorf("no node's log goes back to entry %d, and no node has a newer state", at.Index)
	}
	return s.follow(ctx)
}

// newestState tells when the newest whole state was taken, so that a standby which is restarted does not take another one at once; the zero time when there is none.
func newestState(dir string) (time.Time, error) {
	r, err := archive.OpenReplay(dir)
	if err != nil || len(r.Bases) == 0 {
		return time.Time{}, err
	}
	created := r.Bases[len(r.Bases)-1].Header.Created // by a node's clock: none is in the future for long
	if now := time.Now(); created.After(now) {
		created = now
	}
	return created, nil
}

// takeBase brings a whole state into the directory. It is the state that the log goes on from, so values beside the log are in it by their names. One of another group or of an earlier epoch is refused.
func (s *Standby) takeBase(ctx context.Context, at archive.Position) (archive.Header, error) {
	from, err := s.client.Backup(ctx, client.Stale(), client.Values(wire.ValuesNames))
	if err != nil {
		return archive.Header{}, fmt.Errorf("take a whole state: %w", err)
	}
	defer from.Close()
	f, err := archive.Create(s.config.Archive)
	if err != nil {
		return archive.Header{}, err
	}
	defer f.Discard()
	h, err := archive.Copy(f, from)
	switch {
	case err != nil:
		return h, fmt.Errorf("take a whole state from %s: %w", from.Node, err)
	case at.GroupID != "" && h.GroupID != at.GroupID:
		return h, fmt.Errorf("%s is a node of group %s (%s); the archive is that of group %s: follow it into another directory", from.Node, h.GroupName, h.GroupID, at.GroupID)
	case h.Epoch < at.Epoch:
		return h, fmt.Errorf("%s is in epoch %d, the archive in epoch %d: that is a node of the old group, from before the promotion", from.Node, h.Epoch, at.Epoch)
	case h.Epoch == at.Epoch && h.Line != at.Line && h.Line != 0 && at.Line != 0:
		return h, fmt.Errorf("%s is in another epoch %d than the archive: each began by a promotion or a restore of its own; follow it into another directory", from.Node, h.Epoch)
	}
	if err := f.Commit(filepath.Join(s.config.Archive, h.Name()), false); err != nil && !errors.Is(err, os.ErrExist) {
		return h, err
	}
	return h, nil
}

// tookBase removes what is not needed any more behind a new state.
func (s *Standby) tookBase(t taken) {
	if t.err != nil {
		s.met.bases.WithLabelValues("failed").Inc()
		s.log.Warn("no new whole state", "reason", t.err)
		s.based = time.Now().Add(baseRest - s.config.Every) // again in a while
		return
	}
	s.met.bases.WithLabelValues("ok").Inc()
	s.based, s.tail = time.Now(), 0
	s.note(func(st *StandbyStatus) { st.Base = t.header.Index })
	gone, err := s.trail.Prune(s.config.Keep)
	if err != nil {
		s.log.Warn("old states cannot be removed", "error", err)
	}
	s.log.Info("a whole state was taken", "epoch", t.header.Epoch, "index", t.header.Index, "removed", len(gone))
}

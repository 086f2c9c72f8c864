package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/holdfast-lb/holdfast/admin"
	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/raftnode"
	"github.com/holdfast-lb/holdfast/storage/archive"
)

// backup takes the state of this node for the admin API.
func (s *Server) backup(ctx context.Context, values wire.BackupValues) (*admin.Backup, error) {
	image, err := s.imageWith(ctx, values)
	switch {
	case errors.Is(err, raftnode.ErrClosed):
		return nil, admin.ErrClosed
	case errors.Is(err, ErrIncomplete):
		return nil, wire.NewProblem(http.StatusServiceUnavailable, wire.CodeValueAway, fmt.Sprintf("There is no backup now: %v. Bring back the nodes that are gone, or take one without these values: values=partial ('holdfast backup create --partial').", err)).With("Retry-After", "2")
	case errors.Is(err, raftnode.ErrQuarantined):
		return nil, quarantineProblem(err)
	case errors.Is(err, raftnode.ErrBehind):
		return nil, wire.NewProblem(http.StatusServiceUnavailable, wire.CodeNotReady,
			"This node has not applied again yet what it had applied before its last start. Ask another one, or wait until the group has a quorum; without one, stop the node and take "+
				"the backup from its data directory ('holdfast backup create --data-dir').").With("Retry-After", "2")
	case err != nil && ctx.Err() == nil:
		s.log.Error("a backup cannot be taken", "error", err)
		return nil, wire.NewProblem(http.StatusServiceUnavailable, wire.CodeNotReady,
			"This node cannot write a snapshot of its state; its log says why. Ask another one.").With("Retry-After", "2")
	case err != nil:
		return nil, err
	}
	h := headerOf(image, s.config.Name, s.config.Version, time.Now())
	return &admin.Backup{
		Name: h.Name(), Index: h.Index,
		Write: func(w io.Writer) error { return writeArchive(w, h, image.State) },
		Close: image.State.Close,
	}, nil
}

func headerOf(i *raftnode.Image, node, program string, now time.Time) archive.Header {
	h := archive.Header{
		GroupID: i.Group.ID, GroupName: i.Group.Name, Epoch: i.Group.Epoch, Line: i.Group.Line(), Index: i.Index, Term: i.Term, Confirmed: i.Confirmed, GroupTime: i.Time,
		Schema: i.Schema, Program: program, Created: now.UTC().Truncate(time.Millisecond), Node: node,
	}
	for _, m := range i.Members {
		h.Members = append(h.Members, archive.Member(m))
	}
	return h
}

// writeArchive writes a whole archive. Its memory does not depend on the size of the state.
func writeArchive(w io.Writer, h archive.Header, state io.Reader) error {
	a, err := archive.NewWriter(w, h)
	if err != nil {
		return err
	}
	if _, err := io.Copy(a, state); err != nil {
		return fmt.Errorf("archive the state: %w", err)
	}
	return a.Close()
}

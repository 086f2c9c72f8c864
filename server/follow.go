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

const (
	// markEvery is how often a follower is told up to when it has everything. It bounds what a promotion may lose.
	markEvery = 200 * time.Millisecond
	// proofWait is how long the group may take to confirm that: longer than an election.
	proofWait = 2 * time.Second
	// followBatch is how many bytes of the log are read at a time.
	followBatch = 256 << 10
	// followPause lets entries gather: a follower is woken a hundred times a second, not once for each entry.
	followPause = 10 * time.Millisecond
)

// follow gives the log behind what a follower has, for the admin API.
func (s *Server) follow(ctx context.Context, from admin.FollowFrom) (*admin.Follow, error) {
	group := s.state.Group()
	switch {
	case group == nil:
		return nil, wire.NewProblem(http.StatusServiceUnavailable, wire.CodeNotReady, "The group of this node has no state yet.").With("Retry-After", "2")
	case from.Group != "" && from.Group != group.ID:
		return nil, wire.NewProblem(http.StatusConflict, wire.CodeRefused, fmt.Sprintf("This node is of group %s (%s), the follower of group %s.", group.Name, group.ID, from.Group))
	case from.Epoch > group.Epoch:
		return nil, wire.NewProblem(http.StatusConflict, wire.CodeRefused,
			fmt.Sprintf("This node is of epoch %d, the follower has epoch %d: the group was promoted, and this node is one of the old group.", group.Epoch, from.Epoch))
	case from.Epoch < group.Epoch:
		text := fmt.Sprintf("The group is in epoch %d, the follower has epoch %d.", group.Epoch, from.Epoch)
		if next, missed := group.Missed(from.Epoch, from.Line, from.Index); missed && (from.Line != 0 || from.Epoch == 1) { // an epoch whose line is not known may be the group's
			text += fmt.Sprintf(" Epoch %d went on from entry %d, without what the follower has behind it.", next.Epoch, next.Index)
		}
		return nil, wire.NewProblem(http.StatusGone, wire.CodeSnapshotNeeded, text)
	case from.Line != 0 && from.Line != group.Line():
		return nil, wire.NewProblem(http.StatusConflict, wire.CodeRefused,
			fmt.Sprintf("The follower has another history than this node: both are in epoch %d, but each began it by a promotion or a restore of its own. Follow into another directory.", group.Epoch))
	}
	if _, err := s.node.Tail(from.Index, from.Term, from.Index+1, 1); err != nil {
		return nil, followProblem(err)
	}
	if err := s.reaches(ctx, from.Index); err != nil {
		return nil, err
	}
	head := archive.SegmentHead{GroupID: group.ID, GroupName: group.Name, Epoch: group.Epoch, After: from.Index, AfterTerm: from.Term, Created: time.Now().UTC()}
	return &admin.Follow{Write: func(ctx context.Context, w io.Writer, flush func() error) error {
		out, err := archive.NewSegmentWriter(w, head)
		if err != nil {
			return err
		}
		f := follower{s: s, epoch: group.Epoch, out: out, flush: flush, proofs: make(chan time.Time)}
		return f.run(ctx)
	}}, nil
}

// reaches says why entry index, which a follower has, is not there: this node is behind, or the group never had it. What a follower has was committed: the group has it when it confirms that this node has everything, or it is another group.
func (s *Server) reaches(ctx context.Context, index uint64) error {
	if index <= s.state.Applied() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, proofWait)
	defer cancel()
	err := s.node.Sync(ctx)
	switch applied := s.state.Applied(); {
	case index <= applied:
		return nil
	case err != nil:
		return wire.NewProblem(http.StatusServiceUnavailable, wire.CodeNotReady,
			fmt.Sprintf("This node has come to entry %d, the follower to entry %d, and the group does not say whether it has that.", applied, index)).With("Retry-After", "2")
	default:
		return wire.NewProblem(http.StatusConflict, wire.CodeRefused,
			fmt.Sprintf("The follower has another history than this node: it has come to entry %d, the group only to entry %d. Follow into another directory.", index, applied))
	}
}

func followProblem(err error) error {
	switch {
	case errors.Is(err, raftnode.ErrTailGone):
		return wire.NewProblem(http.StatusGone, wire.CodeSnapshotNeeded, "The log of this node does not go back so far.")
	case errors.Is(err, raftnode.ErrTailForks):
		return wire.NewProblem(http.StatusConflict, wire.CodeRefused, "The follower has another history than this node: "+err.Error()+". Follow into another directory.")
	}
	return wire.NewProblem(http.StatusServiceUnavailable, wire.CodeNotReady, "This node cannot read its log: "+err.Error()).With("Retry-After", "2")
}

// follower sends the log to one follower.
type follower struct {
	s     *Server
	epoch uint32 // in which it began to follow
	out   *archive.SegmentWriter
	flush func() error
	// proofs has, for each confirmation by the group, the time before which everything acknowledged is in this node's state; zero: there was none.
	proofs chan time.Time
}

func (f *follower) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		f.prove(ctx)
	}()
	defer func() { cancel(); <-done }()
	for {
		applied := f.s.node.NextApplied()
		if err := f.send(); err != nil {
			return err
		}
		if f.s.state.Group().Epoch != f.epoch { // an archive was restored into the group: the follower begins the next epoch with a whole state
			return nil
		}
		select {
		case at := <-f.proofs:
			if err := f.mark(at); err != nil {
				return err
			}
		case <-applied:
			pause := time.NewTimer(followPause)
			select {
			case <-pause.C:
			case <-ctx.Done():
			}
			pause.Stop()
		case <-ctx.Done():
			// What was acknowledged while the node left is worth a last look: it may be the last one to leave.
			return errors.Join(f.send(), ctx.Err())
		}
	}
}

// send sends what this node has applied since the last time.
func (f *follower) send() error {
	for sent := false; ; sent = true {
		index, term := f.out.Last()
		list, err := f.s.node.Tail(index, term, f.s.state.Applied(), followBatch)
		if err != nil {
			return err
		}
		if len(list) == 0 {
			if sent {
				return f.flush()
			}
			return nil
		}
		for _, e := range list {
			if err := f.out.Entry(archive.LogEntry(e)); err != nil {
				return err
			}
		}
	}
}

// mark closes what the node has applied by now: at, unless zero, was confirmed before that.
func (f *follower) mark(at time.Time) error {
	index, digest := f.s.state.DigestAt()
	if err := f.send(); err != nil {
		return err
	}
	m := archive.Mark{GroupTime: f.s.state.Now(), Proven: at, Node: f.s.config.Name}
	m.Index, m.Term = f.out.Last()
	if m.Index == index { // otherwise entries came in between, and the digest is that of an older state
		m.Digest = digest
	}
	if f.s.state.Applied() < m.Index { // the follower is ahead of this node, so that nobody has compared their histories yet
		m.Proven = time.Time{}
	}
	if err := f.out.Mark(m); err != nil {
		return err
	}
	return f.flush()
}

// prove has the group confirm again and again that this node has everything.
func (f *follower) prove(ctx context.Context) {
	tick := time.NewTicker(markEvery)
	defer tick.Stop()
	for {
		at := time.Now().UTC()
		asked, cancel := context.WithTimeout(ctx, proofWait)
		if f.s.node.Sync(asked) != nil {
			at = time.Time{}
		}
		cancel()
		select {
		case f.proofs <- at:
		case <-ctx.Done():
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

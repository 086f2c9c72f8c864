package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/internal/failpoint"
	"github.com/holdfast-lb/holdfast/raftnode"
	"github.com/holdfast-lb/holdfast/raftnode/pki"
	"github.com/holdfast-lb/holdfast/storage"
)

// Recovery says from which node a group goes on that has lost its quorum.
type Recovery struct {
	// DataDir is that of a node that does not run. TLSDir has its keys; default: tls below DataDir.
	DataDir, TLSDir string
	// To is the directory that is made; empty: it takes DataDir's place, and what is there now goes aside (Survivor.Aside).
	To string
	// Actor is who has the group go on, for its events.
	Actor string
	// Version is that of this program.
	Version string
	// Now is the wall clock; nil: time.Now.
	Now func() time.Time
}

// Survivor is a group as one node that does not run has it.
type Survivor struct {
	Node string
	// ReadOnly: the node has no vote, and ran with --read-only as a rule. It leads alone when the group goes on from it.
	ReadOnly bool
	Report   BackupReport
	// Aside is where the directory goes whose place is taken; empty with Recovery.To.
	Aside string

	dir   *storage.Dir
	state *fsm.State
	image *raftnode.Image
	how   Recovery
}

// OpenSurvivor reads the data directory of a node that does not run, checks all of it, and looks whether the group has really lost its quorum: an ErrRefused says when it has
// not, or when this node's word does not count any more. The node cannot start before Close.
func OpenSurvivor(ctx context.Context, r Recovery) (_ *Survivor, err error) {
	if r.Now == nil {
		r.Now = time.Now
	}
	found, err := storage.Verify(r.DataDir)
	if err != nil {
		return nil, err
	}
	if !found.HasIdentity {
		return nil, fmt.Errorf("%s is no data directory of a node: there is no node.json in it", found.Path)
	}
	if r.TLSDir == "" {
		r.TLSDir = filepath.Join(found.Path, "tls")
	}
	r.DataDir = found.Path
	s := &Survivor{Node: found.Identity.Name, state: fsm.New(), how: r}
	if s.dir, err = storage.Open(found.Path); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if err := raftnode.Expelled(s.dir); err != nil {
		return nil, err
	}
	if s.image, err = raftnode.ReadImage(s.dir, s.state); err != nil {
		return nil, fmt.Errorf("read %s: %w", found.Path, err)
	}
	_ = s.image.State.Close() // the state is here already
	s.Report = reportOf(headerOf(s.image, s.Node, r.Version, r.Now()), s.state)
	if r.To == "" {
		s.Aside = fmt.Sprintf("%s.epoch-%d", found.Path, s.image.Group.Epoch)
	}
	return s, s.lost(ctx, found.Identity)
}

// lost is nil when no other node answers, and the others are needed for a majority.
func (s *Survivor) lost(ctx context.Context, id storage.Identity) error {
	var others []raftnode.ImageMember
	votes, self := 0, false
	for _, m := range s.image.Members {
		if m.Voter {
			votes++
		}
		if m.Name == id.Name && strings.HasSuffix(m.ID, "/"+id.NodeID[:min(8, len(id.NodeID))]) {
			self = m.Voter
			s.ReadOnly = !m.Voter
			continue
		}
		others = append(others, m)
	}
	if self && votes == 1 {
		return fmt.Errorf("%w: node %s is the only one with a vote, so the group has its quorum when it runs: start it", ErrRefused, s.Node)
	}
	keys, err := pki.Load(s.how.TLSDir)
	if err != nil {
		return fmt.Errorf("look for the other nodes: %w", err)
	}
	if names := raftnode.Running(ctx, keys, others); len(names) > 0 {
		return fmt.Errorf("%w: node %s runs: start this one, and the group goes on if they are a majority; otherwise stop all of them, look at each with 'holdfast recover' and take the one that has most", ErrRefused, strings.Join(names, ", "))
	}
	return nil
}

// Recover begins the group's next epoch on this node alone, with everything that its directory has, as a new directory. The report is that of the new state. What was
// there is kept as it is. Nodes of the old epoch that come back are told so.
//
// After an error the directory is as it was.
func (s *Survivor) Recover() (report BackupReport, err error) {
	target := s.how.To
	if target == "" {
		target = s.Aside // until it is exchanged
	}
	if err := s.makeRoom(target); err != nil {
		return report, err
	}
	term := s.image.Term
	if stable, err := s.dir.Stable().GetUint64([]byte("CurrentTerm")); err == nil {
		term = max(term, stable) // it may have voted in later ones
	}
	begin := fsm.Beginning{Line: newLine(), At: s.how.Now(), Kind: fsm.EventRecovered, Actor: s.how.Actor, Node: s.Node, Text: s.eventText()}
	if err := s.state.Begin(begin); err != nil {
		return report, err
	}
	dir, err := storage.Open(target)
	if err != nil {
		return report, errors.Join(err, undo(target, true))
	}
	// All members are told, this one's old self among them: its old disk may come back too.
	f := raftnode.Refound{Dir: dir, Name: s.Node, State: s.state, Term: term, Former: s.image.Members, Now: s.how.Now}
	if err := errors.Join(f.Write(), markBefore(dir.Path(), s.state.LastEvent()), dir.Close(), sameOwner(s.how.DataDir, target)); err != nil {
		return report, errors.Join(err, undo(target, true))
	}
	failpoint.Hit(failpoint.RecoverMade)
	if s.how.To == "" {
		switch done, err := storage.Exchange(target, s.how.DataDir); {
		case err != nil && !done:
			return report, errors.Join(fmt.Errorf("%w; name a directory to make with --to", err), undo(target, true))
		case err != nil:
			return report, fmt.Errorf("the new epoch is in %s, what was there in %s, but the disk may forget that: %w", s.how.DataDir, target, err)
		}
	}
	failpoint.Hit(failpoint.RecoverExchanged)
	report = reportOf(s.Report.Header, s.state)
	report.Header.Epoch, report.Header.GroupTime = s.state.Group().Epoch, s.state.Now()
	return report, nil
}

// eventText says who has the group go on, from what, and what is lost.
func (s *Survivor) eventText() string {
	h := s.Report.Header
	var names []string
	for _, m := range h.Members {
		names = append(names, m.Name)
	}
	return fmt.Sprintf("the group has lost its quorum, and goes on from node %s alone, by %s: up to term %d, index %d of epoch %d, state of %s, %d sessions; what it has acknowledged after that is lost; the members were %s",
		s.Node, cmp.Or(s.how.Actor, "somebody"), h.Term, h.Index, h.Epoch, h.GroupTime.UTC().Format(time.RFC3339Nano), s.Report.Sessions, strings.Join(names, ", "))
}

// makeRoom removes what a recovery that was killed has left: nothing else has that name and not the old epoch in it.
func (s *Survivor) makeRoom(target string) error {
	if _, err := os.Lstat(target); errors.Is(err, os.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	id, named, err := storage.IdentityOf(target)
	begun := err == nil && (named && id.GroupID == s.image.Group.ID && id.Epoch > uint64(s.image.Group.Epoch) || !named && nothingBut(target, "lock", "raft.db", "snapshots", "node.json.new", "tls") && nothingBut(filepath.Join(target, "snapshots")) && nothingBut(filepath.Join(target, "tls")))
	if s.how.To != "" || !begun {
		return fmt.Errorf("%s is there already: nothing is overwritten; move it away", target)
	}
	return os.RemoveAll(target)
}

// nothingBut tells whether a directory has no other entries; one that is not there has none.
func nothingBut(dir string, names ...string) bool {
	entries, err := os.ReadDir(dir)
	return errors.Is(err, os.ErrNotExist) || err == nil && !slices.ContainsFunc(entries, func(e os.DirEntry) bool { return !slices.Contains(names, e.Name()) })
}

// sameOwner gives a directory that root has made to the user as whom the node runs: the owner of the one that was there.
func sameOwner(like, path string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	info, err := os.Stat(like)
	if err != nil {
		return err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	return filepath.WalkDir(path, func(p string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(p, int(owner.Uid), int(owner.Gid))
	})
}

// Close lets the data directory go.
func (s *Survivor) Close() error { return s.dir.Close() }

package server

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/storage/archive"
)

// Moment is a point in the history of a group; the zero value is its end.
type Moment struct {
	Index uint64    // that entry is the last one
	Time  time.Time // the last entry is the last one of that replicated time
}

// before tells whether a whole state is not behind the moment.
func (m Moment) before(h archive.Header) bool {
	return (m.Index == 0 || h.Index <= m.Index) && (m.Time.IsZero() || !h.GroupTime.After(m.Time))
}

// ReplayReport is what comes out of an archive that followed a group.
type ReplayReport struct {
	// BackupReport is that of the state; of its header Index, Term and GroupTime are those that were reached.
	BackupReport
	// LogEpoch is the epoch whose log the archive has behind the whole state. The header's is the one in force at the end: an archive that was restored into the running group has begun another one by an entry of that log.
	LogEpoch uint32
	// Base is the whole state that was begun with; Entries and Segments of the log came behind it.
	Base     string
	Entries  uint64
	Segments int
	Torn     bool // the standby was stopped while it wrote the last segment
	// Proven, by the clock of ProvenBy: all that was acknowledged before is in the state. Zero when that is not known. The state may have more.
	Proven   time.Time
	ProvenBy string
	// Compared is how many digests of nodes the state was compared with on the way.
	Compared int
	// Passed are whole states that could not be used, and damage in the log before the one that was used, which nobody needs who has that.
	Passed []error
}

// errMoment ends a replay.
var errMoment = errors.New("the moment is reached")

// ReplayArchive builds the state that an archive has as of a moment. Everything that is read is checked, and the state is compared with the digests of the nodes. The error is an
// archive.ErrDamaged when it breaks off before the moment; the report then says how far it is good.
func ReplayArchive(dir string, at Moment) (*fsm.State, ReplayReport, error) {
	var report ReplayReport
	r, err := archive.OpenReplay(dir)
	if err != nil {
		return nil, report, err
	}
	report.Passed = r.Unread
	for i := len(r.Bases) - 1; i >= 0; i-- {
		base := r.Bases[i]
		if !at.before(base.Header) {
			continue
		}
		state, b, err := openArchiveFile(base.Path)
		if err != nil {
			report.Passed = append(report.Passed, fmt.Errorf("%s: %w", base.Path, err))
			continue
		}
		report.BackupReport, report.Base, report.LogEpoch = b, base.Path, base.Header.Epoch
		p := replayer{state: state, at: at, report: &report, equal: base.Header.Index}
		return state, report, p.run(r)
	}
	if len(r.Bases) > 0 && len(report.Passed) == len(r.Unread) {
		return nil, report, fmt.Errorf("%s has nothing from so early: its oldest state is that of entry %d, %s", dir, r.Bases[0].Header.Index, r.Bases[0].Header.GroupTime.Format(time.RFC3339))
	}
	return nil, report, errors.Join(append([]error{fmt.Errorf("%s has no whole state that can be used", dir)}, report.Passed...)...)
}

func openArchiveFile(path string) (*fsm.State, BackupReport, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, BackupReport{}, err
	}
	defer f.Close()
	return openArchive(f)
}

// replayer applies the log behind a whole state.
type replayer struct {
	state  *fsm.State
	at     Moment
	report *ReplayReport

	equal  uint64 // the last entry at which the state was that of a node
	unlike bool   // at the next mark it was not
}

func (p *replayer) run(r *archive.Replay) error {
	end, err := r.Behind(p.report.Header, p.record)
	rep := p.report
	rep.Segments, rep.Torn = end.Segments, end.Torn
	rep.Passed = append(rep.Passed, end.Passed...)
	rep.Header.Index, rep.Header.Confirmed, rep.Header.Term, rep.Header.GroupTime = p.state.Applied(), p.state.Applied(), end.Term, p.state.Now()
	rep.Header.Epoch = p.state.Group().Epoch
	hash, size := rep.Hash, rep.Size
	rep.BackupReport = reportOf(rep.Header, p.state)
	rep.Hash, rep.Size = hash, size
	switch {
	case errors.Is(err, errMoment):
		return nil
	case p.unlike || errors.Is(err, archive.ErrMark):
		return fmt.Errorf("%w; up to entry %d it is what the nodes had: --at %[2]d takes that", err, p.equal)
	case errors.Is(err, archive.ErrDamaged) && p.at.Index > 0 && p.at.Index == p.state.Applied():
		return nil // what was asked for is whole: nobody needs what is damaged behind it
	case err != nil:
		return fmt.Errorf("%w; it is good up to entry %d of %s: --at %[2]d takes that", err, p.state.Applied(), p.state.Now().Format(time.RFC3339Nano))
	case p.at.Index > p.state.Applied():
		return fmt.Errorf("the archive ends at entry %d: entry %d is not in it", p.state.Applied(), p.at.Index)
	}
	return nil
}

func (p *replayer) record(rec archive.Record) error {
	if rec.Mark != nil {
		return p.compare(rec.Mark)
	}
	e := rec.Entry
	if p.at.Index > 0 && e.Index > p.at.Index {
		return errMoment
	}
	if !e.Command {
		p.state.Advance(e.Index)
		return nil
	}
	if !p.at.Time.IsZero() {
		switch t, err := fsm.EntryTime(e.Data); {
		case err != nil:
			return err
		case t.After(p.at.Time):
			return errMoment
		}
	}
	if _, err := p.state.Apply(e.Index, e.Data); err != nil {
		return err
	}
	p.report.Entries++
	return nil
}

// compare holds the state against what a node had at the mark.
func (p *replayer) compare(m *archive.Mark) error {
	if !m.Proven.IsZero() && m.Index <= p.state.Applied() {
		p.report.Proven, p.report.ProvenBy = m.Proven, m.Node
	}
	if m.Digest == ([16]byte{}) || m.Index != p.state.Applied() {
		return nil
	}
	if got := p.state.Digest(); got != fsm.Digest(m.Digest) {
		p.unlike = true
		return fmt.Errorf("%w: the log gives a state of digest %s at entry %d, node %s had %s", archive.ErrDamaged, got, m.Index, m.Node, fsm.Digest(m.Digest))
	}
	p.equal = m.Index
	p.report.Compared++
	return nil
}

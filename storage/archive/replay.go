package archive

import (
	"errors"
	"fmt"
	"os"
	"slices"
)

// Replay reads what a Trail has written.
type Replay struct {
	// Bases are the whole states, the older ones first; those whose header cannot be read are in Unread.
	Bases  []Entry
	Unread []error

	segments []SegmentFile
	damaged  []error // segments that cannot be read, and of which it is not known where they belong
}

// ReplayEnd is how far a replay came.
type ReplayEnd struct {
	Index, Term uint64
	Segments    int
	Torn        bool // the last segment ends in the middle of a block: its writer was stopped
	// Passed is damage in the log before the state, which nobody needs who has the state.
	Passed []error
}

// OpenReplay looks at a directory. It is not changed.
func OpenReplay(dir string) (*Replay, error) {
	if st, err := os.Stat(dir); err != nil || !st.IsDir() {
		return nil, errors.Join(fmt.Errorf("%s is no directory of archives", dir), err)
	}
	c, err := readDir(dir)
	if err != nil {
		return nil, fmt.Errorf("read archive %s: %w", dir, err)
	}
	r := &Replay{Bases: c.bases}
	for _, s := range c.place() {
		r.damaged = append(r.damaged, s.unread())
	}
	r.segments = c.segments
	all, err := List(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range all {
		if e.Err != nil {
			r.Unread = append(r.Unread, fmt.Errorf("%s: %w", e.Path, e.Err))
		}
	}
	return r, nil
}

// Behind gives the entries and marks behind the state of h to each, in order and without a gap. Each segment is checked, and that it is the one which the next was written
// behind. Damage before the state is passed over (end.Passed). An error of each ends it and is returned as it is; an error of the log is an ErrDamaged, and end is how far it is good.
func (r *Replay) Behind(h Header, each func(Record) error) (end ReplayEnd, err error) {
	w := walkBehind(r.segments, h)
	if err := w.run(each); err != nil {
		return w.end, err
	}
	return w.end, errors.Join(r.damaged...) // where it belongs is not known: it may be what comes next
}

// walk reads the segments behind a whole state, one after the other.
type walk struct {
	h    Header
	list []SegmentFile // those that are needed
	at   int           // which of them is read, len(list) at the end
	read SegmentEnd    // of that one; of the one before it while inside is false
	// inside tells that segment at was begun: what is wrong is in it, and not between it and the one before.
	inside bool
	end    ReplayEnd
}

// walkBehind picks from segments, in their order, those that h does not make superfluous.
func walkBehind(segments []SegmentFile, h Header) *walk {
	w := &walk{h: h, end: ReplayEnd{Index: h.Index, Term: h.Term}}
	list := slices.DeleteFunc(slices.Clone(segments), func(s SegmentFile) bool { return s.Head.GroupID != h.GroupID || s.Head.Epoch != h.Epoch })
	for i := 0; i+1 < len(list); {
		if list[i+1].Head.After <= h.Index { // all of it is in the state
			if list[i].Err != nil {
				w.end.Passed = append(w.end.Passed, fmt.Errorf("%s: %w", list[i].Path, list[i].Err))
			}
			list = slices.Delete(list, i, i+1)
			continue
		}
		i++
	}
	w.list = list
	return w
}

// run reads them all.
func (w *walk) run(each func(Record) error) error {
	for ; w.at < len(w.list); w.at++ {
		w.inside = false
		if err := w.joins(); err != nil {
			return err
		}
		w.inside = true
		if err := w.segment(each); err != nil {
			return err
		}
	}
	return nil
}

// joins says why the segment that comes next does not go on from what was read.
func (w *walk) joins() error {
	s, first := w.list[w.at], w.at == 0
	switch {
	case s.Head.After > w.end.Index:
		return fmt.Errorf("%w: entries %d to %d are missing", ErrDamaged, w.end.Index+1, s.Head.After)
	case s.Err != nil && !first:
		return s.unread()
	case !first && w.read.Passed == nil && s.Head.Previous != "" && w.read.Index == s.Head.After && w.read.Hash != s.Head.Previous:
		return fmt.Errorf("%w: %s is not what %s was written behind", ErrDamaged, w.list[w.at-1].Path, s.Path)
	case s.Err == nil && s.Head.After == w.end.Index && s.Head.AfterTerm != w.end.Term:
		return fmt.Errorf("%w: %s follows another entry %d", ErrDamaged, s.Path, w.end.Index)
	}
	return nil
}

// segment reads one.
func (w *walk) segment(each func(Record) error) (err error) {
	read := ReadSegment
	if w.at == 0 {
		read = func(path string, each func(Record) error) (SegmentEnd, error) {
			return readSegmentBehind(path, w.h.Index, w.h.Term, each)
		}
	}
	w.read, err = read(w.list[w.at].Path, func(rec Record) error {
		switch e := rec.Entry; {
		case e != nil && e.Index <= w.end.Index:
			return nil
		case e != nil:
			if err := follows(w.end.Index, w.end.Term, *e); err != nil {
				return fmt.Errorf("%w: %w", ErrDamaged, err)
			}
		}
		if err := each(rec); err != nil {
			return err
		}
		if rec.Entry != nil {
			w.end.Index, w.end.Term = rec.Entry.Index, rec.Entry.Term
		}
		return nil
	})
	w.end.Segments++
	w.end.Torn = w.read.Torn
	if w.read.Passed != nil {
		w.end.Passed = append(w.end.Passed, w.read.Passed)
	}
	return err
}

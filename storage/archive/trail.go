package archive

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// maxSegment is the size at which another segment begins.
	maxSegment = 16 << 20
	// lockName is the file by whose lock a directory has one writer.
	lockName = "LOCK"
)

// InUseError says that another process has the directory.
type InUseError struct {
	Dir string
	PID int // 0: not known
}

// Error says who has it.
func (e *InUseError) Error() string {
	if e.PID > 0 {
		return fmt.Sprintf("archive %s is in use by process %d", e.Dir, e.PID)
	}
	return fmt.Sprintf("archive %s is in use by another process", e.Dir)
}

// Lock takes a directory for this process, until the file is closed or the process ends. The error is an *InUseError when another one has it.
func Lock(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock archive: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		pid := lockHolder(f)
		_ = f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, &InUseError{dir, pid}
		}
		return nil, fmt.Errorf("lock archive: %w", err)
	}
	_ = f.Truncate(0)
	_, _ = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0) // only for the message
	return f, nil
}

// Position is how far a directory goes.
type Position struct {
	GroupID, GroupName string
	Epoch, Line        uint32 // Line as in Header
	Index, Term        uint64
	Mark               Mark // the last one of the epoch, zero without any
}

// Trail is a directory that follows a group: whole states (archives) and segments of the log that go on from them. One goroutine uses it.
type Trail struct {
	dir      string
	lock     *os.File
	at       Position
	previous string // the hash that the next segment has to name
	mended   []error
	passed   []error
	aside    []string // what was set aside, and is in no note yet

	f *os.File
	w *SegmentWriter
}

// OpenTrail takes a directory, which must be there, and finds out how far it goes. The remains of a writer that was stopped are cut off. Damage behind the newest whole state ends what is there:
// what was proven before it stays, the rest is set aside (Mended), and the log goes on from there. What a newer version may have written is an ErrNewer.
func OpenTrail(dir string) (*Trail, error) {
	lock, err := Lock(dir)
	if err != nil {
		return nil, err
	}
	t := &Trail{dir: dir, lock: lock}
	if err := t.find(); err != nil {
		_ = lock.Close()
		return nil, fmt.Errorf("open archive %s: %w", dir, err)
	}
	return t, nil
}

// find sets the position.
func (t *Trail) find() error {
	c, err := t.mend()
	if err != nil || len(c.bases) == 0 {
		return err
	}
	base := c.bases[len(c.bases)-1].Header
	t.at = Position{GroupID: base.GroupID, GroupName: base.GroupName, Epoch: base.Epoch, Line: base.Line, Index: base.Index, Term: base.Term}
	w := walkBehind(c.segments, base)
	if len(w.list) == 0 {
		return nil
	}
	if err := w.run(ignore); err != nil {
		return err
	}
	t.passed = w.end.Passed
	last, end := w.list[len(w.list)-1], w.read
	if end.Torn {
		if err := cut(last.Path, end.Whole); err != nil {
			return err
		}
	}
	t.at.Mark = end.Mark
	switch {
	case end.Index < base.Index: // the state is newer than the log: the log goes on from the state, as if nothing was there
	case end.Index == last.Head.After: // it is empty: the next one takes its name
		t.at.Index, t.at.Term, t.previous = end.Index, end.Term, last.Head.Previous
	default:
		t.at.Index, t.at.Term, t.previous = end.Index, end.Term, end.Hash
	}
	return nil
}

func cut(path string, size int64) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Truncate(size), f.Sync(), f.Close())
}

// contents is what is in a directory: whole states and segments, the older ones first.
type contents struct {
	bases    []Entry
	segments []SegmentFile
	headless []SegmentFile // whose heads cannot be read
}

// readDir lists what can be read of one group. Two groups are an error.
func readDir(dir string) (c contents, err error) {
	bases, err := List(dir)
	if err != nil {
		return c, err
	}
	segments, err := ListSegments(dir)
	if err != nil {
		return c, err
	}
	var headless []SegmentFile
	bases = slices.DeleteFunc(bases, func(e Entry) bool { return e.Err != nil })
	slices.SortStableFunc(bases, func(a, b Entry) int { return a.Header.compare(b.Header) })
	for _, s := range segments {
		if s.Err != nil && !errors.Is(s.Err, ErrTorn) { // a torn head is that of a writer which was stopped before its first entry
			headless = append(headless, s)
		}
	}
	segments = slices.DeleteFunc(segments, func(s SegmentFile) bool { return s.Err != nil })
	for i := range bases {
		if bases[i].Header.GroupID != bases[0].Header.GroupID {
			return c, fmt.Errorf("there are archives of two groups in it, %s and %s: give each a directory of its own", bases[0].Header.GroupID, bases[i].Header.GroupID)
		}
	}
	if len(bases) > 0 {
		segments = slices.DeleteFunc(segments, func(s SegmentFile) bool { return s.Head.GroupID != bases[0].Header.GroupID })
	}
	return contents{bases, segments, headless}, nil
}

// Position says how far the directory goes; false: there is no state in it yet.
func (t *Trail) Position() (Position, bool) { return t.at, t.at.GroupID != "" }

// Based takes note of a whole state that has come into the directory (archive.Create, Commit). Behind a state of a later epoch, or one that the log has not reached, the log goes on
// anew.
func (t *Trail) Based(h Header) error {
	if t.at.GroupID != "" && t.at.GroupID != h.GroupID {
		return fmt.Errorf("archive %s is that of group %s, this state of group %s", t.dir, t.at.GroupID, h.GroupID)
	}
	if t.at.GroupID != "" && cmp.Or(cmp.Compare(h.Epoch, t.at.Epoch), cmp.Compare(h.Index, t.at.Index)) <= 0 {
		return nil
	}
	if err := t.end(); err != nil {
		return err
	}
	t.at = Position{GroupID: h.GroupID, GroupName: h.GroupName, Epoch: h.Epoch, Line: h.Line, Index: h.Index, Term: h.Term}
	t.previous = ""
	return nil
}

// Append adds the next entry. It is durable after the next Mark.
func (t *Trail) Append(e LogEntry) error {
	if err := t.begin(); err != nil {
		return err
	}
	if err := t.w.Entry(e); err != nil {
		return err
	}
	t.at.Index, t.at.Term = t.w.Last()
	if t.w.Size() >= maxSegment {
		return t.end()
	}
	return nil
}

// Mark makes everything durable and proves it.
func (t *Trail) Mark(m Mark) error {
	if err := t.begin(); err != nil {
		return err
	}
	if err := t.w.Mark(m); err != nil {
		return err
	}
	if err := t.f.Sync(); err != nil {
		return fmt.Errorf("write segment: %w", err)
	}
	t.at.Mark = m
	return nil
}

// begin opens a segment when there is none.
func (t *Trail) begin() error {
	if t.w != nil {
		return nil
	}
	if t.at.GroupID == "" {
		return errors.New("write segment: there is no state that it could follow")
	}
	h := SegmentHead{GroupID: t.at.GroupID, GroupName: t.at.GroupName, Epoch: t.at.Epoch, After: t.at.Index, AfterTerm: t.at.Term, Previous: t.previous,
		Created: time.Now().UTC().Truncate(time.Millisecond)}
	f, err := os.OpenFile(filepath.Join(t.dir, h.Name()), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("write segment: %w", err)
	}
	w, err := NewSegmentWriter(f, h)
	if err == nil {
		err = errors.Join(f.Sync(), syncDir(t.dir))
	}
	if err != nil {
		_ = f.Close()
		return fmt.Errorf("write segment: %w", err)
	}
	t.f, t.w = f, w
	return nil
}

// end closes the segment that is open.
func (t *Trail) end() error {
	if t.w == nil {
		return nil
	}
	if index, _ := t.w.Last(); index > t.w.after {
		t.previous = t.w.Hash()
	}
	err := errors.Join(t.f.Sync(), t.f.Close())
	t.f, t.w = nil, nil
	if err != nil {
		return fmt.Errorf("write segment: %w", err)
	}
	return nil
}

// Prune removes whole states but the newest keep (at least 1) and the segments that only they need. It gives the paths of what went.
func (t *Trail) Prune(keep int) ([]string, error) {
	c, err := readDir(t.dir)
	if err != nil || len(c.bases) == 0 {
		return nil, err
	}
	gone, err := Prune(t.dir, c.bases[len(c.bases)-1].Header, keep)
	if err != nil {
		return gone, err
	}
	if c, err = readDir(t.dir); err != nil || len(c.bases) == 0 {
		return gone, err
	}
	oldest, segments := c.bases[0].Header, c.segments
	for i, s := range segments {
		over := i+1 < len(segments) && segments[i+1].Head.Epoch == s.Head.Epoch && segments[i+1].Head.After <= oldest.Index
		if s.Head.Epoch > oldest.Epoch || s.Head.Epoch == oldest.Epoch && !over {
			continue
		}
		if err := os.Remove(s.Path); err != nil {
			return gone, fmt.Errorf("remove old segments: %w", err)
		}
		gone = append(gone, s.Path)
	}
	aside, err := t.pruneAside(oldest)
	return append(gone, aside...), err
}

// Close lets the directory go. What was not marked is synced too.
func (t *Trail) Close() error { return errors.Join(t.end(), t.lock.Close()) }

// InUse tells whether a process has the directory, and which one; 0 when it is not known.
func InUse(dir string) (pid int, inUse bool) {
	f, err := os.Open(filepath.Join(dir, lockName))
	if err != nil {
		return 0, false
	}
	defer f.Close()
	if unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB) == nil {
		return 0, false
	}
	return lockHolder(f), true
}

func lockHolder(f *os.File) int {
	var text [16]byte
	n, _ := f.ReadAt(text[:], 0)
	pid, err := strconv.Atoi(strings.TrimSpace(string(text[:n])))
	if err != nil {
		return 0
	}
	return pid
}

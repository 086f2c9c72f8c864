package server

import (
	"cmp"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/raftnode"
	"github.com/holdfast-lb/holdfast/raftnode/pki"
	"github.com/holdfast-lb/holdfast/storage"
	"github.com/holdfast-lb/holdfast/storage/archive"
)

// BackupReport is what is in an archive or a data directory that has been read to its end.
type BackupReport struct {
	Header   archive.Header
	Sessions int
	Revision uint64 // of the configuration
	Digest   fsm.Digest
	// Backups is the schedule of backups that the group had; nil: none.
	Backups *fsm.Backups
	// Size in bytes and SHA-256 (hexadecimal digits) of an archive; 0 and empty for a data directory.
	Size uint64
	Hash string
}

// DiskBackup is the state of a node that does not run, held open in its data directory.
type DiskBackup struct {
	Report BackupReport
	dir    *storage.Dir
	image  *raftnode.Image
	state  *fsm.State
}

// OpenDisk reads the data directory of a node that does not run: all of it is checked, and the state is restored from it. The node cannot start before Close.
// The error is a *storage.LockedError when the node runs, and a *storage.CorruptError when something is damaged.
func OpenDisk(path, version string, now time.Time) (*DiskBackup, error) {
	found, err := storage.Verify(path)
	if err != nil {
		return nil, err
	}
	if !found.HasIdentity {
		return nil, fmt.Errorf("%s is no data directory of a node: there is no node.json in it", found.Path)
	}
	dir, err := storage.Open(path)
	if err != nil {
		return nil, err
	}
	state := fsm.New()
	image, err := raftnode.ReadImage(dir, state)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read %s: %w", found.Path, err), dir.Close())
	}
	h := headerOf(image, found.Identity.Name, version, now)
	return &DiskBackup{Report: reportOf(h, state), dir: dir, image: image, state: state}, nil
}

// VerifyDisk looks at what OpenDisk does not need and a node does: its key and certificates, unless they are elsewhere (--tls-dir). The error is a *storage.CorruptError when they are damaged.
func VerifyDisk(path string) error { return raftnode.VerifyKeys(filepath.Join(path, "tls")) }

// Write writes the archive, once.
func (d *DiskBackup) Write(w io.Writer) error { return writeArchive(w, d.Report.Header, d.image.State) }

// Close lets the data directory go.
func (d *DiskBackup) Close() error { return errors.Join(d.image.State.Close(), d.dir.Close()) }

// VerifyArchive reads an archive to its end and restores the state that is in it, which compares its digest. The error is an archive.ErrDamaged or
// fsm.ErrSnapshotDamaged when the bytes are not those that were written, an archive.ErrNewer or fsm.ErrSnapshotUnknown when this program is too old for it.
func VerifyArchive(r io.Reader) (BackupReport, error) {
	_, report, err := openArchive(r)
	return report, err
}

func openArchive(from io.Reader) (*fsm.State, BackupReport, error) {
	r, err := archive.NewReader(from)
	if err != nil {
		return nil, BackupReport{}, err
	}
	defer r.Close()
	return readArchive(r, io.Discard)
}

// readArchive also writes the snapshot that is in the archive to another place, as it reads it. That fails with the other one's errors.
func readArchive(r *archive.Reader, to io.Writer) (*fsm.State, BackupReport, error) {
	h := r.Header()
	state := fsm.New()
	if err := state.Restore(io.TeeReader(r, to)); err != nil {
		return nil, BackupReport{Header: h}, err
	}
	// Restore reads on behind its last byte, so the archive's own end has been checked; this holds it to that.
	if n, err := io.Copy(io.Discard, r); err != nil || n > 0 {
		return nil, BackupReport{Header: h}, errors.Join(fmt.Errorf("%w: %d bytes behind the state", archive.ErrDamaged, n), err)
	}
	if h.Schema > fsm.Schema {
		return nil, BackupReport{Header: h}, fmt.Errorf("%w: its state has schema %d, this program knows %d: use a program that is as new as %s, which wrote it", archive.ErrNewer, h.Schema, fsm.Schema, h.Program)
	}
	g := state.Group()
	if g == nil || g.ID != h.GroupID || g.Name != h.GroupName || g.Epoch != h.Epoch || h.Line != 0 && g.Line() != h.Line || state.Applied() != h.Index || !state.Now().Equal(h.GroupTime) {
		return nil, BackupReport{Header: h}, fmt.Errorf("%w: its header is that of another state", archive.ErrDamaged)
	}
	report := reportOf(h, state)
	report.Size, report.Hash = r.Size(), r.Hash()
	return state, report, nil
}

func reportOf(h archive.Header, state *fsm.State) BackupReport {
	return BackupReport{Header: h, Sessions: state.Len(), Revision: state.Revision().Number, Digest: state.Digest(), Backups: state.Operating().Backups}
}

// Restoration says where a group begins again.
type Restoration struct {
	// DataDir is made, or empty. TLSDir takes the node's certificate; default: tls below DataDir.
	DataDir, TLSDir string
	// Name is the name of the node that the group begins again with.
	Name string
	// Actor is who has it begin again, and Source from what, for the group's events.
	Actor, Source string
	// Beside is the directory in which the archive lies, empty for none. The new epoch is later than each that the directory knows of the group.
	Beside string
	// Now is the wall clock; nil: time.Now.
	Now func() time.Time

	// former are told that a new epoch has begun when they come back.
	former []raftnode.ImageMember
}

// RestoreArchive makes the data directory of a group's first node from an archive: the whole state, in the next epoch. The report is that of the state as restored. After an error
// the directory is as it was.
func RestoreArchive(from io.Reader, to Restoration) (report BackupReport, err error) {
	made, err := to.prepare()
	if err != nil {
		return report, err
	}
	state, report, err := openArchive(from)
	if err != nil {
		return report, err
	}
	h := report.Header
	text := fmt.Sprintf("restored from %s by %s, with node %s: index %d of epoch %d, state of %s, %d sessions; what the group has acknowledged after that is not there",
		cmp.Or(to.Source, "an archive"), cmp.Or(to.Actor, "somebody"), to.Name, h.Index, h.Epoch, h.GroupTime.UTC().Format(time.RFC3339Nano), report.Sessions)
	taken := uint32(0)
	if to.Beside != "" {
		taken = knownEpoch(to.Beside, h.GroupID)
	}
	if err := state.Begin(fsm.Beginning{Taken: taken, Line: newLine(), At: to.Now(), Kind: fsm.EventRestored, Actor: to.Actor, Node: to.Name, Text: text}); err != nil {
		return report, err
	}
	return to.found(state, report, made)
}

// newLine draws what tells an epoch that begins from others of its number; never 0.
func newLine() uint32 {
	for {
		var b [4]byte
		_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the process when there is no randomness
		if line := binary.BigEndian.Uint32(b[:]); line != 0 {
			return line
		}
	}
}

// prepare looks whether the group can begin there; made: its directory is not there yet.
func (to *Restoration) prepare() (made bool, err error) {
	if to.Now == nil {
		to.Now = time.Now
	}
	if !nodeName.MatchString(to.Name) {
		return false, fmt.Errorf("%q is not a node name: 1 to 63 letters, digits, dots, dashes or underscores, the first a letter or a digit", to.Name)
	}
	if made, err = vacant(to.DataDir); err != nil {
		return false, err
	}
	if _, err := pki.Load(to.TLSDir); to.TLSDir != "" && !errors.Is(err, os.ErrNotExist) {
		return false, fmt.Errorf("there is a node's certificate in %s already: nothing is overwritten; name another --tls-dir", to.TLSDir)
	}
	return made, nil
}

// found writes the directory. The epoch of the state has begun; report is that of the state before. After an error the directory is as it was.
func (to *Restoration) found(state *fsm.State, report BackupReport, made bool) (BackupReport, error) {
	dir, err := storage.Open(to.DataDir)
	if err != nil {
		return report, errors.Join(err, undo(to.DataDir, made))
	}
	f := raftnode.Refound{Dir: dir, TLSDir: to.TLSDir, Name: to.Name, State: state, Term: report.Header.Term, Former: to.former, Now: to.Now}
	if err := errors.Join(f.Write(), markBefore(dir.Path(), state.LastEvent()), dir.Close()); err != nil {
		return report, errors.Join(err, undo(to.DataDir, made))
	}
	report.Digest = state.Digest()
	report.Header.Epoch, report.Header.GroupTime = state.Group().Epoch, state.Now()
	return report, nil
}

// vacant tells that a directory can take a group: it is empty, or (made) there is none yet. The lost+found of a file system of its own does not count.
func vacant(path string) (made bool, err error) {
	if path == "" {
		return false, errors.New("no data directory is named")
	}
	entries, err := os.ReadDir(path)
	if errors.Is(err, os.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("data directory: %w", err)
	}
	for _, e := range entries {
		if e.Name() != lostAndFound {
			return false, fmt.Errorf("%w: data directory %s is not empty (there is %q in it): nothing is overwritten; name another one, or move what is there away", ErrRefused, path, e.Name())
		}
	}
	return false, nil
}

const lostAndFound = "lost+found"

// undo makes a directory again what it was: empty, or not there.
func undo(path string, made bool) error {
	if made {
		return os.RemoveAll(path)
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		if e.Name() != lostAndFound {
			errs = append(errs, os.RemoveAll(path+string(os.PathSeparator)+e.Name()))
		}
	}
	return errors.Join(errs...)
}

package archive

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/holdfast-lb/holdfast/internal/failpoint"
	"github.com/holdfast-lb/holdfast/storage/durable"
)

const (
	// partPattern names what is being written. The dot keeps it out of List and of whatever copies *.hfb.
	partPrefix  = ".holdfast-backup-"
	partPattern = partPrefix + "*.part"
	// partAge is how old the remains of a process that died must be before they are removed.
	partAge = time.Hour
)

// File is an archive that is being written: it has no name until Commit.
type File struct {
	*os.File
	done bool
}

// Create begins a file in dir (mode 0600). Discard must be called in the end, after Commit too. Remains of processes that died while they wrote are
// removed on the way.
func Create(dir string) (*File, error) {
	removeParts(dir, time.Now())
	f, err := os.CreateTemp(dir, partPattern) // mode 0600
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("create archive: the directory %s is missing: make it, or mount what belongs there (%w)", dir, fs.ErrNotExist)
	}
	if err != nil {
		return nil, fmt.Errorf("create archive: %w", err)
	}
	// While it is held nobody takes the file for remains. A file system without locks leaves that to the age.
	_ = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	failpoint.Hit(failpoint.ArchiveCreated)
	return &File{File: f}, nil
}

// Commit makes the file durable and gives it its name. With replace a file that has the name goes; without it that is an error (fs.ErrExist).
func (f *File) Commit(path string, replace bool) error {
	failpoint.Hit(failpoint.ArchiveWritten)
	if err := f.Sync(); err != nil {
		return fmt.Errorf("write archive: %w", err)
	}
	failpoint.Hit(failpoint.ArchiveSynced)
	if !replace {
		if _, err := os.Lstat(path); err == nil {
			return fmt.Errorf("write archive: %s: %w", path, fs.ErrExist)
		}
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return fmt.Errorf("write archive: %w", err)
	}
	f.done = true
	failpoint.Hit(failpoint.ArchiveNamed)
	if err := syncDir(filepath.Dir(path)); err != nil {
		return fmt.Errorf("write archive: %w", err)
	}
	failpoint.Hit(failpoint.ArchiveDone)
	return nil
}

// Discard closes the file and removes it unless it has its name.
func (f *File) Discard() {
	_ = f.Close()
	if !f.done {
		_ = os.Remove(f.Name())
	}
}

// syncDir makes a name in a directory durable. Some network file systems know no such thing and say so.
func syncDir(dir string) error {
	err := durable.SyncDir(dir)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOTSUP) {
		return nil
	}
	return err
}

// removeParts removes what dead writers have left in dir. What cannot be removed is in nobody's way.
func removeParts(dir string, now time.Time) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), partPrefix) || !strings.HasSuffix(e.Name(), ".part") || !e.Type().IsRegular() {
			continue
		}
		path := filepath.Join(dir, e.Name())
		if info, err := e.Info(); err != nil || now.Sub(info.ModTime()) < partAge || inUse(path) {
			continue
		}
		_ = os.Remove(path)
	}
}

func inUse(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return true
	}
	defer f.Close()
	return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil
}

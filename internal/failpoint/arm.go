package failpoint

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// reachedSuffix is that of the file that a point leaves.
const reachedSuffix = ".reached"

// Env is what is added to the environment of a process whose points are armed in dir.
func Env(dir string) string { return "HOLDFAST_FAILPOINTS=" + dir }

// Arm has the next process that gets to the point die there, once.
func Arm(dir string, p Point) error {
	if err := os.Remove(filepath.Join(dir, string(p)+reachedSuffix)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.WriteFile(filepath.Join(dir, string(p)), nil, 0o600)
}

// Disarm takes a point back that nobody got to.
func Disarm(dir string, p Point) error {
	if err := os.Remove(filepath.Join(dir, string(p))); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Reached tells whether a process has got to the point since it was armed.
func Reached(dir string, p Point) bool {
	_, err := os.Lstat(filepath.Join(dir, string(p)+reachedSuffix))
	return err == nil
}

// take is Hit's part in the directory: the rename lets one process through, and tells whoever armed the point.
func take(dir string, p Point) bool {
	path := filepath.Join(dir, string(p))
	return os.Rename(path, path+reachedSuffix) == nil
}

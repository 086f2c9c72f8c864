//go:build !wasip1

package storage

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/holdfast-lb/holdfast/storage/durable"
)

const (
	dirMode  fs.FileMode = 0o700
	fileMode fs.FileMode = 0o600
)

// prepareDir makes the directory and its sub-directories. A directory that everybody may write to (such as /tmp) is not
// taken over.
func prepareDir(path string) error {
	st, err := os.Stat(path)
	if err == nil && st.IsDir() && st.Mode().Perm()&0o002 != 0 {
		return fmt.Errorf("%s is writable by everybody: give Holdfast a directory of its own", path)
	}
	for _, p := range []string{path, filepath.Join(path, snapshotDir), filepath.Join(path, tlsDir)} {
		if st, err := os.Stat(p); err == nil && st.IsDir() {
			continue
		}
		if err := os.MkdirAll(p, dirMode); err != nil {
			return err
		}
		if err := durable.SyncDir(filepath.Dir(p)); err != nil {
			return err
		}
	}
	return nil
}

// secureFiles takes group's and others' rights from everything that has secrets in it: raft.db and the snapshots (the
// replicated state has the group's keys) and tls/. It reports which files others could have read until now: what is in them
// may have to be replaced.
func secureFiles(path string) ([]error, error) {
	top, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	open := top.Mode().Perm()&0o077 != 0
	if top.Mode().Perm() != dirMode {
		err = os.Chmod(path, dirMode)
	}
	if err != nil {
		return nil, fmt.Errorf("%s can be read by others and its mode cannot be changed: %w", path, err)
	}
	var warnings []error
	fix := func(p string, e fs.DirEntry, err error) error {
		if err != nil || e.Type()&fs.ModeSymlink != 0 {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		want := fileMode
		if e.IsDir() {
			want = dirMode
		}
		have := info.Mode().Perm()
		if have&^want == 0 {
			return nil
		}
		if err := os.Chmod(p, have&want); err != nil {
			return fmt.Errorf("%s can be read by others and its mode cannot be changed: %w", p, err)
		}
		if open && !e.IsDir() {
			warnings = append(warnings, fmt.Errorf("%s had mode %04o: others on this machine may have read it; it has %04o now", p, have, have&want))
		}
		return nil
	}
	for _, p := range []string{boltName, nodeName, snapshotDir, tlsDir} {
		p = filepath.Join(path, p)
		if _, err := os.Lstat(p); os.IsNotExist(err) {
			continue
		}
		if err := filepath.WalkDir(p, fix); err != nil {
			return warnings, err
		}
	}
	return warnings, nil
}

//go:build !wasip1

package storage

import (
	"os"
	"path/filepath"

	"github.com/holdfast-lb/holdfast/internal/failpoint"
	"github.com/holdfast-lb/holdfast/storage/durable"
)

// writeFileAtomic replaces path by data such that a crash leaves the old file or the new one, never a part: write beside it,
// fsync, rename, fsync the directory (the rename itself is only durable after that).
func writeFileAtomic(path string, data []byte) error {
	tmp := path + ".new"
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	failpoint.Hit(failpoint.FileWritten)
	if err == nil {
		err = f.Sync()
	}
	failpoint.Hit(failpoint.FileSynced)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		_ = os.Remove(tmp)
		return err
	}
	failpoint.Hit(failpoint.FileNamed)
	return durable.SyncDir(filepath.Dir(path))
}

package storage

import (
	"fmt"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/holdfast-lb/holdfast/storage/durable"
)

// Exchange swaps two directories of one file system in one step. done is false when nothing has changed, as for one that is a mount point; with done an error means that a power cut now may
// take it back.
func Exchange(a, b string) (done bool, err error) {
	if err := unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE); err != nil {
		return false, fmt.Errorf("exchange %s and %s: %w", a, b, err)
	}
	for _, parent := range []string{filepath.Dir(a), filepath.Dir(b)} {
		if err := durable.SyncDir(parent); err != nil {
			return true, fmt.Errorf("exchange %s and %s: %w", a, b, err)
		}
	}
	return true, nil
}

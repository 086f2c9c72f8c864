//go:build !wasip1

package storage

import (
	"fmt"
	"math"
	"os"
	"path/filepath"

	"github.com/holdfast-lb/holdfast/internal/failpoint"
	"github.com/holdfast-lb/holdfast/storage/durable"
)

// DropState removes all log entries and all snapshots. Identity, keys, and what Stable holds (Raft's term and vote among it) stay. raft must not run. After a crash, or an
// error, a part may be left, which is whole in itself; call it again.
func (d *Dir) DropState() error {
	if err := d.log.DeleteRange(1, math.MaxUint64-1); err != nil {
		return fmt.Errorf("drop state: %w", err)
	}
	failpoint.Hit(failpoint.DropLog)
	dir := filepath.Join(d.path, snapshotDir)
	ids, err := snapshotIDs(dir)
	if err != nil {
		return fmt.Errorf("drop state: %w", err)
	}
	for i := len(ids) - 1; i >= 0; i-- { // the oldest first: what is left is whole at any time
		gone := filepath.Join(dir, ids[i]+".tmp") // Open clears those away
		if err := os.Rename(filepath.Join(dir, ids[i]), gone); err != nil {
			return fmt.Errorf("drop state: %w", err)
		}
		failpoint.Hit(failpoint.DropRenamed)
		if err := os.RemoveAll(gone); err != nil {
			return fmt.Errorf("drop state: %w", err)
		}
		failpoint.Hit(failpoint.DropSnapshot)
	}
	if err := durable.SyncDir(dir); err != nil {
		return fmt.Errorf("drop state: %w", err)
	}
	failpoint.Hit(failpoint.DropDone)
	return nil
}

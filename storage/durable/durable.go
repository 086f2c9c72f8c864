// Package durable makes names outlive a power cut: a file that was made, renamed or removed is certain to be so after it only once its directory has been synced, whatever was synced of the file itself.
package durable

import (
	"errors"
	"fmt"
	"os"
)

// SyncDir makes the names in a directory durable as they are now. The error has the directory, and wraps what the system says.
func SyncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("sync a directory: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("sync directory %s: %w", path, err)
	}
	return nil
}

package server

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/holdfast-lb/holdfast/storage/depot"
)

// minBackupEvery keeps backups from being all that a group does.
const minBackupEvery = time.Minute

// validateBackup checks the schedule of backups.
func (c Config) validateBackup() (errs []error) {
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.BackupTo == "" {
		if c.S3Endpoint != "" {
			bad("--s3-endpoint is for --backup-to s3://BUCKET/PREFIX, which is missing")
		}
		return errs
	}
	if c.BackupEvery < minBackupEvery {
		bad("--backup-every: %v is too often: at least %v", c.BackupEvery, minBackupEvery)
	}
	if c.BackupKeep < 0 {
		bad("--backup-keep: %d: want how many archives stay, or 0 for all", c.BackupKeep)
	}
	if !depot.IsAddress(c.BackupTo) {
		if c.S3Endpoint != "" {
			bad("--s3-endpoint is for --backup-to s3://BUCKET/PREFIX, not for a directory")
		}
		return errs
	}
	b, err := c.openDepot()
	if err != nil {
		return append(errs, fmt.Errorf("--backup-to: %w", err))
	}
	defer b.Close()
	if b.Location().Name != "" {
		errs = append(errs, errors.New("--backup-to names one archive: name the prefix of all of them, s3://BUCKET/PREFIX"))
	}
	return errs
}

func (c Config) openDepot() (*depot.Bucket, error) {
	return depot.Open(c.BackupTo, depot.Options{Endpoint: c.S3Endpoint, Getenv: os.Getenv})
}

// backupOffer tells the leader that this node can make the group's backups; nil: it cannot.
type backupOffer struct {
	To          string `json:"to"`
	EveryMillis int64  `json:"everyMillis"`
	Keep        int    `json:"keep"`
}

func (c Config) backupOffer() *backupOffer {
	if c.BackupTo == "" {
		return nil
	}
	return &backupOffer{To: c.BackupTo, EveryMillis: c.BackupEvery.Milliseconds(), Keep: c.BackupKeep}
}

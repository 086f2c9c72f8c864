package fsm

import "time"

// Backups is what the group knows of the backups that its schedule makes: the newest attempt, and the newest archive that is whole.
type Backups struct {
	// First is the replicated time at which the schedule began its first attempt.
	First time.Time `json:"first"`
	// Every is the schedule's interval as of the newest attempt; precision: 1 ms.
	Every time.Duration `json:"every"`
	// ID is of the newest attempt, Node makes it since Begun. Ended is zero while it runs.
	ID    string    `json:"id"`
	Node  string    `json:"node"`
	Begun time.Time `json:"begun"`
	Ended time.Time `json:"ended,omitzero"`
	// Failure says why the newest attempt came to nothing; empty: it did not, or it still runs. Failures counts those in a row.
	Failure  string `json:"failure,omitempty"`
	Failures int    `json:"failures,omitempty"`
	// Good is the newest archive that is whole, nil while there is none.
	Good *GoodBackup `json:"good,omitempty"`
}

// GoodBackup is an archive that a schedule made and that is whole.
type GoodBackup struct {
	Node string `json:"node"`
	// Name is where it is: a path on Node, or s3://BUCKET/PREFIX/NAME.
	Name  string `json:"name"`
	Index uint64 `json:"index"` // the last log entry that is in it
	Bytes int64  `json:"bytes"`
	// At is the replicated time at which it was begun: it holds what was acknowledged before.
	At time.Time `json:"at"`
}

// Runs tells whether the newest attempt has not ended yet.
func (b *Backups) Runs() bool { return b.Ended.IsZero() }

// Since is when the newest archive that is whole was begun; while there is none, when the schedule began.
func (b *Backups) Since() time.Time {
	if b.Good != nil {
		return b.Good.At
	}
	return b.First
}

// BackupBegin has a node make a backup. CodeConflict when the newest attempt is not Expect any more, or still runs; the same attempt once more is a success.
type BackupBegin struct {
	// ID is new for each attempt. Expect is that of the newest one that the proposer knows; empty: none.
	ID     string        `json:"id"`
	Expect string        `json:"expect,omitempty"`
	Node   string        `json:"node"`
	Every  time.Duration `json:"every"`
}

// BackupEnd says how an attempt ended. CodeAbsent when it is not the newest one. One that has ended stays as it is.
type BackupEnd struct {
	ID string `json:"id"`
	// Failure is empty when the archive is whole; then Name, Index and Bytes are those of GoodBackup.
	Failure string `json:"failure,omitempty"`
	Name    string `json:"name,omitempty"`
	Index   uint64 `json:"index,omitempty"`
	Bytes   int64  `json:"bytes,omitempty"`
	// Proposer is the node that writes the event to its log.
	Proposer string `json:"proposer,omitempty"`
}

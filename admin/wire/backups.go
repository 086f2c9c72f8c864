package wire

import "time"

// Backups is the schedule of backups (serve --backup-to).
type Backups struct {
	// Nodes are those that answer and have the setting; one of them makes each backup.
	Nodes        []BackupNode   `json:"nodes" doc:"the nodes that answer and make backups; one of them makes each"`
	EverySeconds int64          `json:"everySeconds" doc:"the interval: the shortest of those nodes; of the last attempt, when none of them answers"`
	Last         *BackupAttempt `json:"last,omitempty" doc:"the newest attempt; absent: there was none yet"`
	Good         *GoodBackup    `json:"good,omitempty" doc:"the newest archive that is whole; absent: there is none yet"`
	Since        time.Time      `json:"since,omitzero" doc:"when that was begun; while there is none, when the schedule began"`
}

// BackupNode is how a node makes backups.
type BackupNode struct {
	Node         string `json:"node"`
	To           string `json:"to" doc:"a directory of that node, or s3://BUCKET/PREFIX"`
	EverySeconds int64  `json:"everySeconds"`
	Keep         int    `json:"keep" doc:"how many of the schedule stay there; 0: all"`
}

// BackupAttempt is one backup of the schedule, whether or not it came to something.
type BackupAttempt struct {
	ID       string    `json:"id"`
	Node     string    `json:"node" doc:"which makes it"`
	Begun    time.Time `json:"begun"`
	Ended    time.Time `json:"ended,omitzero" doc:"absent while it runs"`
	Failure  string    `json:"failure,omitempty" doc:"why it came to nothing"`
	Failures int       `json:"failures,omitempty" doc:"how many have failed in a row"`
}

// GoodBackup is an archive that is whole.
type GoodBackup struct {
	Node  string    `json:"node"`
	Name  string    `json:"name" doc:"a path on that node, or s3://BUCKET/PREFIX/NAME"`
	Index uint64    `json:"index" doc:"the last log entry that is in it"`
	Bytes int64     `json:"bytes"`
	At    time.Time `json:"at" doc:"group's time at which it was begun: it holds what was acknowledged before"`
}

// BackupValues says what a backup carries of values that are kept beside the log.
type BackupValues string

// The ways.
const (
	ValuesWhole   BackupValues = "whole"   // all of them, or there is no backup
	ValuesPartial BackupValues = "partial" // those that can be had; the others are lost in it
	ValuesNames   BackupValues = "names"   // none: the state as it is, for a standby
)

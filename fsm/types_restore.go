package fsm

import "time"

// Restoring is an archive that is being restored into the running group: its bytes are in the state, part by part, and nothing is made of them before the RestoreCommit.
type Restoring struct {
	ID     string `json:"id"`
	Actor  string `json:"actor"`
	Reason string `json:"reason,omitempty"`
	// Archive names it for people.
	Archive string `json:"archive"`
	// Epoch, Index and Time (the group's) are those of the state in the archive.
	Epoch uint32    `json:"epoch"`
	Index uint64    `json:"index"`
	Time  time.Time `json:"time"`
	// Next is the epoch that it is to begin.
	Next uint32 `json:"next"`
	// Began and Last are the replicated times of the RestoreBegin and of the last part.
	Began time.Time `json:"began"`
	Last  time.Time `json:"last"`
}

const (
	// MaxRestore is the largest snapshot in bytes that a group takes, as Snapshot.WriteTo writes it: all nodes hold it in memory until the end, beside the state. It is one of some 40 million assignments.
	MaxRestore = 1 << 30
	// MaxRestorePart is the most that one RestorePart carries, in bytes.
	MaxRestorePart = 1 << 20
)

// RestoreBegin begins to restore an archive into the running group. One that is under way is given up for it. CodeLocked under somebody else's maintenance lock, CodeInvalid while a workflow has not ended, and
// for an archive that does not fit this group. Next, Began and Last are set here.
type RestoreBegin struct {
	RequestID RequestID `json:"requestId"`
	Restoring Restoring `json:"restoring"`
	// Lock is the ID of the maintenance lock that the actor has, 0 for none.
	Lock uint64 `json:"lock,omitempty"`
}

// RestorePart brings the next bytes. CodeAbsent when that restore is not under way (any more), CodeConflict when At is not how many bytes are there, CodeInvalid when it would be more than MaxRestore; the part that came last is a success
// once more.
type RestorePart struct {
	ID   string `json:"id"`
	At   uint64 `json:"at"`
	Data []byte `json:"data"`
}

// RestoreCommit makes the state that of the archive, in a new epoch, at once. What it keeps of the present state: see replica.restoreCommit. CodeLocked and CodeInvalid as for RestoreBegin, CodeAbsent as for
// RestorePart; a restore that is refused here for what is in the archive is over.
type RestoreCommit struct {
	RequestID RequestID `json:"requestId"`
	ID        string    `json:"id"`
	// Size in bytes and Hash (SHA-256) are those of all parts together.
	Size uint64 `json:"size"`
	Hash []byte `json:"hash"`
	Lock uint64 `json:"lock,omitempty"`
	// Line is that of the epoch which begins (EpochStart.Line): who proposes the command draws it.
	Line uint32 `json:"line,omitempty"`

	// read is what is in the archive, or why it cannot be restored.
	read    *replica
	problem string
}

// RestoreDrop gives a restore up; the state is as if it had never begun. CodeAbsent when it is not under way.
type RestoreDrop struct {
	ID     string `json:"id"`
	Reason string `json:"reason,omitempty"`
	Actor  string `json:"actor,omitempty"`
}

package wire

import "time"

// ReadParams are the parameters of every read.
type ReadParams struct {
	Consistency string `query:"consistency" enum:"linearizable,stale" doc:"stale: answer at once from this node's own state, also without a quorum"`
}

// ReadHeaders are the header fields of the answer to every read.
type ReadHeaders struct {
	Consistency string `header:"Holdfast-Consistency" doc:"linearizable or stale"`
	Index       uint64 `header:"Holdfast-Index" doc:"log index up to which the answer holds"`
}

// ChangeParams are what every change of the configuration takes beside the change itself.
type ChangeParams struct {
	IdempotencyKey string    `header:"Idempotency-Key" maxLength:"255" doc:"the same request with the same key is applied once"`
	Wait           string    `query:"wait" enum:"all" doc:"all: answer when every node has applied it"`
	WaitSeconds    int       `query:"waitSeconds" minimum:"1" maximum:"60" default:"10" doc:"how long to wait for every node"`
	At             time.Time `query:"at" doc:"RFC 3339: not now, but at this replicated time; the answer is 202 with the schedule"`
	Owner          string    `query:"owner" maxLength:"128" doc:"of a change under the maintenance lock (lock): the name under which the lock was taken; absent: the note of the caller's token, or what the log calls the caller"`
}

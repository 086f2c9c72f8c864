package wire

import "time"

// Restored is the answer to POST /v1/restore: the group's state is that of the archive now.
type Restored struct {
	Epoch    uint32 `json:"epoch" doc:"that has begun"`
	Revision uint64 `json:"revision" doc:"of the configuration: a new one, with that of the archive"`
	Index    uint64 `json:"index" doc:"log entry at which all nodes switch"`
	Sessions int    `json:"sessions" doc:"assignments in the archive"`
	// From is the archive's state.
	From      RestoredFrom `json:"from"`
	AppliedBy string       `json:"appliedBy" enum:"majority,all" doc:"who serves it when the answer is sent"`
	Warnings  []string     `json:"warnings,omitempty"`
}

// RestoredFrom says of when a state is.
type RestoredFrom struct {
	Epoch uint32    `json:"epoch"`
	Index uint64    `json:"index"`
	Time  time.Time `json:"time" doc:"replicated time"`
}

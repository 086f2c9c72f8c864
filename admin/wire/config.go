package wire

import "time"

// Revision is one configuration in the group's history, without the configuration itself.
type Revision struct {
	Number  uint64    `json:"revision" doc:"0 is the empty configuration of a new group"`
	Index   uint64    `json:"index" doc:"log index at which it was applied"`
	Time    time.Time `json:"time,omitzero" doc:"replicated time at which it was applied"`
	Actor   string    `json:"actor,omitempty" doc:"who applied it"`
	Message string    `json:"message,omitempty"`
}

// History is the revisions that the group keeps, the newest first.
type History struct {
	Revisions []Revision `json:"revisions"`
}

// ConfigResult is the outcome of a configuration change.
type ConfigResult struct {
	Revision uint64 `json:"revision" doc:"the revision that is current now"`
	Index    uint64 `json:"index" doc:"log index at which it was applied"`
	// Unchanged: the configuration was the current one already, no revision was made.
	Unchanged bool `json:"unchanged" doc:"it was the current configuration already; no revision was made"`
	// AppliedBy is "majority" or, with wait=all, "all".
	AppliedBy string   `json:"appliedBy" enum:"majority,all" doc:"who has applied it for certain"`
	Warnings  []string `json:"warnings" doc:"what is legal but perhaps not meant"`
	// Behind has a line for each node that had not applied it when the wait was over.
	Behind []string `json:"behind,omitempty" doc:"with wait=all: the nodes that had not applied it in time, and why"`
	// Effect is what it did to what runs; absent when that is not known any more (a repeated request).
	Effect *Effect `json:"effect,omitempty" doc:"what it did to what runs; absent when nothing was changed, or with a repeated request"`
	// Schedule is set when the change waits for its time: then Revision and Index are those of the present configuration.
	Schedule *Schedule `json:"schedule,omitempty" doc:"with at: the change waits for its time, nothing has been applied yet"`
}

// ValidateResult is the outcome of a check that changes nothing.
type ValidateResult struct {
	Valid    bool     `json:"valid"`
	Warnings []string `json:"warnings"`
}

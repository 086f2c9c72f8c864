package operate

import "time"

// Event is what the group notes about itself, as far as tests look at it.
type Event struct {
	Seq, Index uint64
	Time       time.Time
	Kind, Text string
}

// Quiesce is one that runs.
type Quiesce struct {
	Cluster, Instance string
	Started, Deadline time.Time
}

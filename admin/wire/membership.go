package wire

import "time"

// NodeRemoved is the answer to the removal of a node.
type NodeRemoved struct {
	Node   string   `json:"node"`
	Voters []string `json:"voters" doc:"the nodes that have a vote now"`
}

// Resync is the answer to a resync that has begun.
type Resync struct {
	Node   string    `json:"node"`
	Index  uint64    `json:"index" doc:"log index that the node has reached again when it is over, at least"`
	Before time.Time `json:"before,omitzero" doc:"when the node was started; the state of before is gone once it says another time"`
	Voter  bool      `json:"voter" doc:"whether it had a vote, and gets it again"`
}

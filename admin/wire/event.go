package wire

import "time"

// Event is something that happened to the group.
type Event struct {
	Seq         uint64    `json:"seq" doc:"counts events from 1 without a gap"`
	Index       uint64    `json:"index" doc:"log index at which it happened"`
	Time        time.Time `json:"time" doc:"replicated time"`
	Kind        string    `json:"kind" doc:"config, quiesce-started, quiesced, health, locked, workflow, …"`
	Cluster     string    `json:"cluster,omitempty"`
	Instance    string    `json:"instance,omitempty"`
	Host        string    `json:"host,omitempty"`
	ContextRoot string    `json:"contextRoot,omitempty"`
	Text        string    `json:"text" doc:"one line for people"`
	Actor       string    `json:"actor,omitempty"`
	Node        string    `json:"node,omitempty" doc:"the node whose log has it"`
}

// EventList is a part of the group's events, the oldest first.
type EventList struct {
	Events []Event `json:"events"`
	// Last is the seq of the newest event of all.
	Last uint64 `json:"last"`
}

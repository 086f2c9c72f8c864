// Package gameday does things to a running deployment through its admin API, as an operator would, with brakes: nothing happens unless it is asked to, while the group is not whole, or while
// clients get errors; and whatever happens is ended and taken back when a brake comes on or somebody interrupts. Taking back is tried for UndoTime; what could not be taken back is told with the
// command that does.
//
// It does only what the API offers and what a group must bear without an error: the leadership moves, a node is evacuated, a backup is taken. Nodes are killed by commands that the operator gives,
// and not without; that costs clients an attempt, so probes may fail as far as MaxFailed allows.
package gameday

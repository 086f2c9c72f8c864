// Package history keeps what clients did and were told, with the times between which each operation took place, and judges whether that could
// have come from one table and one configuration that a single machine changes one operation at a time (linearizability). The search is
// porcupine's; what is searched for are two models:
//
//	assignments   each session is a register: the first request that finds it empty sets it, later ones are answered with what it has. It is
//	              emptied only by what was recorded as an occasion to leave: a quiesce that ended, an instance that fell.
//	revisions     the configuration is a register with compare-and-swap, whose number grows by one with each change.
//
// An operation without an answer is unknown: it took effect at some time after it was sent, or never.
//
// A History's methods may be called at once from any goroutine. Judging works on a copy of what is there when it begins.
package history

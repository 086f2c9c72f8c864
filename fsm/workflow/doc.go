// Package workflow says how long work on a group goes on: the online upgrade of clusters, one after the other, and the cycle (disable, stop, start,
// enable) of one instance or module. It is pure: no clock, no network, no randomness. Whoever leads the group runs it.
//
// # What it promises
//
//   - Next decides from the specification, the stored progress and a view of the group alone, so any leader comes to the same next action.
//   - Work is announced in the progress before it is done, and noted after it. A leader that dies in between is followed by one that finds
//     the announcement: it looks whether the work shows in the state already, and otherwise does it again under the same key.
//   - The configuration is changed by compare-and-swap only, and only where the wanted state is not there yet: however often leaders die, a
//     target is disabled once and enabled once.
//   - A hook is called again with the same key as long as nobody knows how it ended. What it does must be harmless when it is repeated under one key.
//   - What a person has to decide stops the work (waiting) and loses nothing: resume tries again, abort enables what was disabled.
//
// # What it does not
//
// It undoes nothing that a hook did. It does not fence an old leader off while a program of its node still runs: the program has the same key.
package workflow

// Package fsm is the replicated state of a group and the only way to change it: entries of the log go in, in order, and
// every node that has applied the same entries holds the same state.
//
// # What it promises
//
//   - Determinism. State and results depend on the entries alone: no clock, no randomness, no map order, no goroutine, no log.
//     Time is a field that the leader wrote; replicated time is the largest seen so far and never goes back.
//
//   - A refusal is a result code and leaves the state unchanged, but for replicated time and the memory of request ids.
//     An error of Apply or Restore leaves everything unchanged and is a reason to stop the node.
//
//   - A rare command that is sent again with its request id gives the first result, as long as it is among the last 1024.
//
//   - Snapshot stops nobody: it copies slice headers, and the writer copies a shard at its first change after it.
//
//   - Restore is all or nothing, and refuses whatever is not, byte for byte, a snapshot that was written.
//
//   - Equal states have equal digests, and a digest covers all that is replicated: assignments with their last-seen times, modules and last
//     decisions, configuration history, group, tokens, remembered requests, ids of instances and modules, everything in Operating, events,
//     remembered decisions and replicated time. Not Applied, which also
//     moves for entries that are no commands, and not the checkpoint record, which is a replica's own.
//
//   - No command lets the state grow without limit: what one brings is bounded (bounds.go), and so is every list; the message says the bound.
//
//   - Plan is the Effect of a ConfigChange at the same state: one function makes both (transition.go).
//
//   - A quiesce ends once: QuiesceEnd takes it off the list and emits its one event.
//
// # What it does not
//
// It does not validate configurations, secrets or roles: the proposer has, and validation that changed between versions
// would make nodes diverge. It does not protect against somebody who can append to the log.
//
// # Who may call what
//
// Apply, Advance, Snapshot and Restore belong to one goroutine at a time: the writer (hashicorp/raft calls its FSM that
// way). Everything else may be called on any goroutine at any time; readers never wait for more than the change of one
// shard. Snapshot.WriteTo and Release run on any goroutine. What readers are given is shared and must not be changed.
//
// # Compatibility
//
// Formats are described in entry.go, canonical.go, snapshot_format.go and snapshot_table.go; golden files of each version
// stay in testdata for ever. Numbers (kinds, operations, codes, items) are append-only. A node of an older version
//
//   - ignores fields that it does not know in rare commands. In a configuration that is safe: the bytes are kept as they
//     were proposed, hashed and handed on. In the other commands it is not, so a new field there needs a new kind;
//   - skips a kind with the top bit set, so such a kind may change nothing but replicated time;
//   - stops at any other unknown kind: a leader proposes a new one only when all nodes know it, which the schema in force says (schema.go).
//
// Messages of results and texts of events are remembered, hence in the digest: a version that words one anew differs from its
// predecessor at the next checkpoint, so that texts change only together with a new kind or version of an entry.
//
// What version 1 wrote is applied as version 1 did, to the same digests, because the digests of its checkpoints are in its logs: a session operation
// without a reason leaves no index and no history, and an entry of kind 3 (ConfigSet) starts no quiesce, gives out no module ids and emits no event.
// This version writes neither: Encode makes a ConfigChange of a ConfigSet, and what decides about sessions says why. Nodes of version 1 refuse
// operations with a reason and stop at kinds from 9 on, so all nodes of a group change
// from version 1 to version 2 together, as they do up to schema 4.
//
// Schema 3 added the holder of the virtual addresses, evacuations and scheduled backups: kinds from 21 on, and sections from 20 on of a snapshot, which stand behind the table. Nodes of
// schema 2 stop at both. What schema 2 wrote is applied as it did, to the same digests. Restores into the running group came to
// schema 3 too: kinds from 26 on, sections from 23 on, and Group.FoundedIn in the form of one more epoch, which older programs refuse.
//
// Schema 4 added the events of nodes in quarantine: kind 30, at which nodes of schema 3 stop. The flag of a checkpoint that asks for an image they ignore.
// Schema 4 added certificates and ticket keys: kinds 33 to 35, sections 30 and 31.
// Schema 4 added nodes that are revoked: kind 39 and section 39, which nodes of schema 3 do not know either.
// Schema 4 added lines of epochs (EpochStart.Line), in the form of one more epoch behind the one that has it.
// Schema 4 added users, groups of users, roles of a group and the issuer: kinds 44 to 47 and section 41, tokens that belong to a user (one more field at the end of their form), and the actor
// of TokenPut and TokenDrop, without which there is no event, as before.
// Schema 4 added the events of what a hardTimeout has ended: kind 54.
// Schema 4 added files: kinds 55 and 56, section 43.
// Schema 4 added values that are kept beside the log: kinds 62 and 63, and a third and fourth form of an item of the store in section 42; the fourth comes with StoreHolders.Seen, without which there is none.
// Schema 4 added the request id of HolderSet, and Late, without which it is applied as schema 3 did. Programs of schema 4 that were built before one of these take no part in a group with those that were built after
// it: they skip the field, and come to other digests.
// Schema 4 added the schema in force: kind 40 and section 40. From here on a program of the next schema takes part in a group of this one, until all nodes know the next:
// it applies, digests and writes everything as this one does, and State.Schema tells it whether it may do more. A kind says which schema brought it (kind.schema). Whatever else a later
// schema brings (a new operation or reason of sessions, another text, another section) asks State.Schema, or the replica's, before it is written. schema_next.go has an example, which
// is in programs built with the tag nextschema alone.
//
// Snapshots are written as version 2. Version 1 (28-byte assignments, items up to 6) is read for ever; a reader refuses a version that it does
// not know, and a section that it does not know, as ErrSnapshotUnknown before it changes anything.
//
// Whether a subject is enabled, its quiesceTimeout, maxSessions, maxConnections and registration.allow are read from the configuration when a command is applied. So
// what config.Load makes of a key that is missing is part of the format: the default of such a key must never change.
//
// # Checklist for a new command
//
// A type in types.go, types_operating.go, types_holder.go, types_backup.go, types_tls.go, types_access.go or types_restore.go; a kind number (entry.go, kinds.go); newCommand (command.go) and execute (apply.go); Identify, if it has a request id; its theme in a file of
// its own; its items in the digest, in the snapshot and in restore; an arm in the property tests' generator; a golden file.
package fsm

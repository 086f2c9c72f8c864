// Package fault is what a scenario can do to a group: faults as objects with a name, what they need of the machine, an injection, and a way back.
//
// A Field is a stage while a run plays on it. It resolves targets (the leader of this moment, any follower, an instance), and keeps faults from taking hold of one thing twice: what two
// faults at once would do to one process, no operator could undo. Networks are not held: effects on them add up. Faults that take a disk away exclude each other, because two of them
// are more than a group promises to survive, and each is over only when its node votes again.
//
// Every fault tells the ledger what it makes legal: an instance that is hurt may be left by its sessions, and a node that may be alone may decide for its own clients only. What no
// fault makes legal is a violation.
//
// A Field's methods may be called at once from any goroutine; Inject and the heal that it gives, each once.
package fault

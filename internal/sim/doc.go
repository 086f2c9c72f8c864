// Package sim runs a whole group in one process and in virtual time: the production state machine (fsm), the production Raft member (raftnode, over
// hashicorp/raft, with its mutual TLS) and the production holder of the virtual address (vip), on machines that are simulated. Hours of the life of a group take
// minutes.
//
// Simulated are the network between the nodes (network.go: delay, loss, cuts in one or both directions, resets, machines that are gone), their disks (disk.go: slow,
// hung and failing fsyncs; what was not synced when the power went is lost), their clocks, and the clients. From one number, the seed, come the members, the load, the
// faults, and each delay of each message and fsync.
//
// # What is checked
//
// While it runs: no assignment that a client was told changes or is lost; two nodes never hold the virtual address at the same instant; equal indexes have equal
// digests; revisions are linearizable; no node stops without a fault of its disk; a quiesce ends once, not before its time, and, when nothing is broken, in time. At the end, when
// all faults are healed: the group has one leader again, and every node has everything that any client was told (history.go, holder.go, watch.go).
//
// # What repeats
//
// World must run in a testing/synctest bubble. There time is virtual, but Go itself is not deterministic: which case of a select is taken, in which order
// timers of one instant fire, and which goroutine runs first is drawn by the runtime. So on a normal build one seed gives the same plan, and many histories.
// Built for wasip1 and run by a host that gives the runtime its entropy and its clock from the seed, all of that is decided by the seed too: the same seed gives the same history, to
// the byte (replay_test.go). That is how a violation is looked at twice.
//
// # What is not simulated
//
// CPU starvation, and what a process thinks that wakes up after it was frozen (SIGSTOP): all nodes share one scheduler, so a frozen one is only kept from being heard, from
// writing, and from taking or dropping the address. The bytes on a disk (package storage has tests of its own for damage, torn writes
// and real power loss), the kernel's part in the virtual address, and the data plane. A send never blocks: what a dead peer does not read is kept.
package sim

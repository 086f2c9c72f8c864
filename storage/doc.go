// Package storage owns the bytes on one node's disk: the data directory, its lock, the node's identity, the Raft log,
// Raft's stable values and the snapshots.
//
// Layout of a data directory (all of it mode 0700, files 0600):
//
//	lock         flock of the process that has the directory open; holds its pid
//	node.json    who this node is: names, ids, epoch; versioned and checksummed
//	raft.db      log, vote and term (raft-boltdb on bbolt, fsync on every commit)
//	snapshots/   snapshots of the replicated state (raft's own format plus a checksum of the metadata)
//	tls/         keys and certificates; their content belongs to package raftnode
//
// It promises:
//   - What StoreLogs, Set or a snapshot's Close returned nil for survives a crash of the process and of the machine, as far
//     as the disk keeps what it acknowledged.
//   - What is read is what was written. Neither bbolt nor raft-boltdb checksums its pages, so every entry carries a CRC32C
//     and that of its predecessor, and every transaction ends with a seal: a record that says which entries there must be
//     and in which transaction it was written. A damaged, cut or stale file becomes a *CorruptError with the path in it,
//     never other data, never an empty log, never a panic.
//   - After a failed fsync nothing is written any more (*FatalError): the kernel may have dropped the dirty pages, and a
//     second fsync that succeeds proves nothing (fsyncgate, LWN 752063).
//
// It does not promise to repair: a node whose disk is damaged gets the data from the other nodes.
//
// On wasip1, where only the simulator runs (internal/sim), there are the types and no disk: bbolt needs files that are mapped into memory, and locks.
//
// It knows nothing about what the entries mean and imports nothing of Holdfast. Every method may be called from any
// goroutine. raft must be shut down before Close.
package storage

// Package raftnode is one member of a group: it founds or joins the group, replicates the state with Raft, and gives the
// rest of the node its verbs: Record (a session operation, by group commit), Propose (a rare command), Sync (read index),
// OnElected and OnLead (what a term brings), Lease (how long a leader may hold what only one node may), TransferTo (a
// planned hand-over) and Ask (what the floors above say to each other).
//
// It promises:
//   - Record and Propose return a result only after a majority has the entry on disk and this group's leader has applied
//     it. A time-out means that the outcome is unknown; the same operation or the same RequestID may then be sent again.
//   - One hop: a node that does not lead sends to the leader, and a node that is asked but does not lead says so; it never
//     passes the request on.
//   - After Sync has returned nil, the local state holds everything that was acknowledged anywhere before the call.
//   - While a Lease runs no other node is elected, unless this node hands over or its process is dead (TimingSums).
//   - A leader whose process has died is succeeded as soon as a majority has found so, one that is silent after one
//     heartbeat time-out.
//   - No byte of an unauthenticated peer reaches Raft or the calls: TLS 1.3, the group's authority, role and group id come
//     first (package pki), with bounded numbers of waiting connections and a deadline.
//   - After damage or a refused fsync the node stops taking part and Run returns the reason.
//
// It does not promise that Lookup on this node sees another node's acknowledged writes without Sync, nor that a removed
// node's certificate is refused by members that were restarted since the removal.
//
// All exported methods may be called from any goroutine once Open has returned; OnLead and OnElected only before Run. Run is called
// once. The caller owns Options.Dir and closes it after Stop.
//
// How it works, by file: listener, stream (the peer port), call_* (requests between nodes), batch and commit (group
// commit), leader, succession and duties (what a term brings), lease and peer_transport (who vouches for whom), links and
// gone* (a leader that is lost), form, greet and promise (a new group), join (an existing one), release
// and comeback (which programs may be in one group), replay and fsm_adapter (log to state).
package raftnode

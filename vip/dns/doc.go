// Package dns answers for one DNS zone on every node: which nodes are live, which address each has, the virtual addresses, and where the listeners are. It is
// for groups without a virtual address, or with clients that come by name. It promises:
//
//   - Authority and nothing else: AA on what is in the zone, REFUSED for everything else, no recursion, no transfers, nothing told about the program.
//   - The same view gives the same answer on every node: the same bytes for the same query. The order of the records is rotated by the query's id.
//   - No packet does harm: one that is no query is dropped or refused, memory is bounded whatever comes from however many sources, and what one network
//     of clients gets by UDP is limited, so that forged sources make no weapon of it.
//
// It knows nothing of Raft: what it answers from is a View that the node gives it.
package dns

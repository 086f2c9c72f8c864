// Package hook has a program of the operator do what belongs to a change of the holder: in a cloud, where an address moves by a call of its API, or beside
// the guard process, to tell others.
//
// It runs the program with the one argument taken or dropped, and the addresses in the environment. Runs of a node never overlap, and the last wish wins: what
// was wished for in between is left out, a run of taken that a later dropped finds is killed, and one that has failed is tried again while its wish stands. So
// the program may be called twice with the same argument, and dropped may find that nothing was taken. It is run with dropped when the node starts.
//
// A run ends with its node: a program that goes on would take the address from the next holder. No system kills all that a dead process has started, so a
// process of the node's own binary is between the two (Main), which kills the program with its whole process group when the node is gone or the time is over.
// What has left that group (setsid, a container's daemon, a request that the cloud has received) is out of reach, as it is when a run is overtaken.
//
// A Hook alone is a vip.Keeper for nodes without privileges. Its promise is weaker than the guard process's: the deadline is kept by a timer of the node, so
// a node that is killed or frozen runs nothing new, and its address goes only because the next holder's program takes it; Hold returns when the program has been
// asked for, not when it has done its work; and there is no preparation, relay, announcement or probe.
package hook

// Package hook has a program of the operator do what belongs to a change of the holder: in a cloud, where an address moves by a call of its API, or beside
// the guard process, to tell others.
//
// It runs the program with the one argument taken or dropped, and the addresses in the environment. Runs never overlap, and the last wish wins: what was
// wished for in between is left out, a run of taken that a later dropped finds is killed, and one that has failed is tried again while its wish stands. So
// the program may be called twice with the same argument, and dropped may find that nothing was taken. It is run with dropped when the node starts.
//
// A Hook alone is a vip.Keeper for nodes without privileges. Its promise is weaker than the guard process's: the deadline is kept by a timer of the node, so
// a node that is killed or frozen runs nothing, and its address goes only because the next holder's program takes it; Hold returns when the program has been
// asked for, not when it has done its work; and there is no preparation, relay, announcement or probe.
package hook

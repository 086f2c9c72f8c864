// Package guard keeps the virtual addresses on this machine only while the node's lease holds, whatever happens to the node.
//
// It has two ends. The parent's (Start, in the node) is a vip.Keeper. It starts a child process (Main), the only one that touches the addresses, and talks
// to it over a socket pair. The child takes the addresses off when the deadline of the last Hold or Prepare passes, and at once when the socket pair
// closes, which the kernel does when the node is killed or crashes. So nothing of the node has to run for the addresses to go: it may be frozen. A child
// that is killed is started again, and the parent takes off what it left; one that is frozen is killed by the parent a little after the deadline. When
// both are frozen, or both killed, the kernel removes the addresses: they have a lifetime of their own (Options.KernelLease), which the child renews only
// while the lease holds.
//
// The child holds a duplicate of the listening socket of the node's peer port, and closes it when the addresses are gone: a peer port that refuses
// connections shows the other nodes that the addresses of a dead node are free.
//
// The child depends on a Machine (vip/kernel has the one for Linux), never waits for its parent, never writes to a file or a terminal, and keeps no
// privilege beyond CAP_NET_ADMIN and CAP_NET_RAW. It works on Linux only; elsewhere Start says so.
package guard

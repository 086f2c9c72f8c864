// Package discovery finds the nodes of a group on the local network: each one says in a small multicast frame which group it is of and where its
// peer port is.
//
// A frame is a hint and nothing more. It is not authenticated, and need not be: what is heard is dialled like an address of --join, and whoever answers
// there has to prove by its certificate that it is of the group. A stranger can cost a dial. So that it cannot cost more, frames are small, few of them are
// looked at in a second, few addresses are kept, and none for long. Frames of other groups and of other programs are dropped and counted.
//
// IPv4 only; frames are sent with a TTL of 1 and do not leave the local network.
package discovery

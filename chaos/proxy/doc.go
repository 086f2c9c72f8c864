// Package proxy is the network between the processes of a scenario where there is no network to break: on loopback, without root. Every connection goes through a Way, which knows who
// dialled whom, and the Effects that are imposed on a pair of them, in one direction or in both, happen to the bytes on their way: they wait, come late, slowly or broken, or the
// connection is reset.
//
// TCP hides loss from its users; what they see of it is a pause of one retransmission time-out or more. So loss is here what it is to them: pauses (Effect.Loss). A Way is as
// faithful as a relay can be: it listens only while the process behind it does, so that a dead process refuses connections; it passes on half-closes and resets; and it lets nobody
// send more than a socket buffer ahead. What it cannot imitate: a connection attempt into a cut gets its SYN answered, and then nothing.
//
// All methods may be called at once from any goroutine. Close ends every connection.
package proxy

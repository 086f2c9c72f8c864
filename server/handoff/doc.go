// Package handoff passes a node's sockets from one process to the next on the same machine, and speaks with the service manager that starts them.
//
// The running process (Start) runs the new program with the same arguments and a socket on which both talk. The new one (Inherit) says what it is and waits. It touches nothing that
// the running one uses until it is told to go (Go), with the listening sockets; it then says that it serves (Serving), or why it cannot (Fail). Whoever goes first, the other finds its socket
// closed. A stream beside that carries word of the old process's last requests.
//
// The sockets are open all the time in one process or the other, so that no client is refused; the package does not know what they are for. It imports nothing of Holdfast's.
// On systems other than Linux there is nothing to inherit and nothing can be started.
package handoff

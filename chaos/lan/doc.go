// Package lan is a network of machines, each a network namespace on one bridge: nodes with a virtual address among them, instances, a machine of clients, and one that only listens. Frames can be
// lost between two of them, cables pulled, ports cut; and who has the virtual address is seen in the kernels and on the link.
//
// It needs root and Linux 5.16 (package netlab). All methods may be called from any goroutine.
package lan

// Package vip proves what Holdfast says about its virtual address, with real kernels: three nodes, the instances, a client and an observer are network
// namespaces on one bridge, the nodes are real processes, and the faults are real too. The client opens a fresh connection to the address every 5 ms; the
// kernels of all nodes tell, through netlink, who has the address, and the observer asks by ARP who says so.
//
// The tests need root and carry the build tag netns: `make test-vip` runs them, `make bench-vip` plays the same faults with keepalived and HAProxy beside
// Holdfast and prints a table. The parts are packages of their own: measure (what an outage is), client (who asks), watch (who holds), warp (the clock of
// one process), field (the network, the systems on it, the faults, a round).
package vip

// Package field is where the faults are played: a network of namespaces (Network), a system on it that has a virtual address (System: Holdfast, or keepalived with HAProxy), the
// faults (Fault), and a round (Round), in which clients ask and watchers watch while one fault happens to the holder and heals again.
//
// Everything that is started is ended by Close; whatever is left in a namespace dies with it. A Network and the systems on it belong to one goroutine.
package field

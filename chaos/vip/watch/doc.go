// Package watch sees who has the virtual address: what the kernel of each node says, at every change (Kernels) and in samples (Samples), and what is said on the
// link (Link). It changes nothing that a client relies on: the link is watched by a machine of its own, so that no answer to it repairs a client's memory.
package watch

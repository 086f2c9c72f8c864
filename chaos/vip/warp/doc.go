// Package warp sets the wall clock of one running process, and of no other: what a user would see when somebody sets the clock of that machine.
//
// Linux has no wall clock of a namespace. But programs read it through code that the kernel maps into each of them (vdso(7)), in pages that a debugger may change, and the change is
// the process's own. Take replaces the function behind clock_gettime(2) by one that makes the system call and adds an offset to CLOCK_REALTIME. Monotonic clocks stay as they are, as they
// do when a clock is set. Linux on amd64 only; the process must not know: it is any Go program, or one that reads its clock by clock_gettime in the same way.
package warp

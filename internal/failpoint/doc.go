// Package failpoint names the moments at which a crash test ends a process with SIGKILL: before and after each step of whatever changes a disk or a membership.
//
// A normal build has none: Built is the constant false, and Hit an empty function that the compiler removes. Only a binary built with `-tags failpoints` has them, and even there each one sleeps until it
// is armed: HOLDFAST_FAILPOINTS names a directory, and the first process that gets to a point of which there is a file (Arm makes it) takes the file away, leaves one called NAME.reached, and is dead. So
// a point can be armed while the process runs, and a test knows for certain whether it was reached. A release is never built with the tag, and a binary built with it says so at start.
//
// All functions may be called at any time from any goroutine. The package imports nothing of ours, so every floor may use it. A new point is one line in points.go and one Hit at its place; the crash test
// fails when it gets to no process.
package failpoint

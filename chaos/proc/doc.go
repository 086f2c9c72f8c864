// Package proc starts real processes, hurts them, and never leaves one behind.
//
// Each Process runs in a process group of its own and writes its output to a file. It dies with the process that started
// it, whatever ends that one: an orderly end through Set.Close, a panic or SIGKILL through the parent-death signal of the
// kernel (Linux only); one that was adopted, because it took over from one that was started here, by a process that waits
// for that. Only these are ever signalled, by their id.
//
// All methods may be called at once from any goroutine.
package proc

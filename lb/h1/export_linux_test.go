package h1

import (
	"sync/atomic"
	"syscall"
)

// CountSplices counts the bytes that splices take from sockets, into sum, until the function that it gives is called. No engine may run when it begins or ends.
func CountSplices(sum *atomic.Int64) (end func()) {
	splice := spliceIn
	spliceIn = func(from, to, n int) (int, syscall.Errno) {
		moved, e := splice(from, to, n)
		if e == 0 {
			sum.Add(int64(moved))
		}
		return moved, e
	}
	return func() { spliceIn = splice }
}

//go:build !wasip1

package storage

import (
	"fmt"
	"runtime/debug"
)

// guard runs f and turns a panic into a *CorruptError. bbolt panics on pages that do not fit, and reads the file through a
// memory map: a page that the disk cannot give, or a pointer out of the map, is a SIGBUS or SIGSEGV, which ends a Go process
// unless SetPanicOnFault is on for the goroutine.
func guard(path string, f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = &CorruptError{Path: path, Reason: "it cannot be read", Err: fmt.Errorf("%v", p)}
		}
	}()
	return f()
}

//go:build !wasip1

package storage

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
)

// memoryFault is what the runtime makes of an access to memory that is not there.
type memoryFault interface {
	runtime.Error
	Addr() uintptr
}

// guard runs f and turns a panic into a *CorruptError. bbolt panics on pages that do not fit, and reads the file through a
// memory map: a page that the disk cannot give, or a pointer out of the map, is a SIGBUS or SIGSEGV, which ends a Go process
// unless SetPanicOnFault is on for the goroutine. A decoder may have made an error of it.
func guard(path string, f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		p := recover()
		if p == nil && faultIn(err) == nil {
			return
		}
		cause, ok := p.(error)
		switch {
		case p == nil:
			cause = err
		case !ok:
			cause = fmt.Errorf("%v", p)
		}
		if faultIn(cause) != nil { // why is what only read(2) tells
			cause = errors.Join(cause, readThrough(path))
		}
		err = &CorruptError{Path: path, Reason: "reading it failed", Err: cause}
	}()
	return f()
}

// faultIn gives the fault that an error is, or wraps; nil: it has none.
func faultIn(err error) memoryFault {
	var fault memoryFault
	var decoder interface{ Cause() error } // an error of the msgpack decoder
	switch {
	case errors.As(err, &fault):
		return fault
	case errors.As(err, &decoder):
		return faultIn(decoder.Cause())
	}
	return nil
}

// readThrough reads a file to its end, and gives why the system does not let it; nil: it does.
func readThrough(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	_, err = io.Copy(io.Discard, f)
	return err
}

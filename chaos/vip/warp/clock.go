package warp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"
)

// Clock is the wall clock of one process.
type Clock struct {
	mem    *os.File
	offset int64 // address of the offset in seconds
}

// ErrArchitecture: the replaced function is machine code for amd64.
var ErrArchitecture = errors.New("the clock of a process can be set on linux/amd64 only")

// Take takes the clock of a process into hand; it goes right until Set. The process stands still for a moment. Twice is an error.
func Take(pid int) (*Clock, error) {
	c, err := take(pid)
	if err != nil {
		return nil, fmt.Errorf("take the clock of process %d: %w", pid, err)
	}
	return c, nil
}

func take(pid int) (c *Clock, err error) {
	if !supported {
		return nil, ErrArchitecture
	}
	mem, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", pid), os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = mem.Close()
		}
	}()
	code, err := findFunction(pid, mem)
	if err != nil {
		return nil, err
	}
	text, place := replacement(code.start)
	if end := place + 8; end > code.start+code.size {
		return nil, fmt.Errorf("clock_gettime has only %d bytes of code", code.size)
	}
	head := make([]byte, 5)
	if _, err := mem.ReadAt(head, code.start); err != nil {
		return nil, err
	}
	if string(head) == string(text[:5]) {
		return nil, errors.New("it has been taken already")
	}
	err = standingStill(pid, code, func() error {
		_, err := mem.WriteAt(text, code.start)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &Clock{mem: mem, offset: place}, nil
}

// Set lets the clock be off by whole seconds, at once.
func (c *Clock) Set(off time.Duration) error {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], uint64(int64(off/time.Second)))
	_, err := c.mem.WriteAt(b[:], c.offset)
	return err
}

// Close leaves the clock as it is and gives back the descriptor.
func (c *Clock) Close() error { return c.mem.Close() }

// Supported says whether this machine's architecture is one for which there is code.
func Supported() bool { return supported }

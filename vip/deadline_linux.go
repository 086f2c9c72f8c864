package vip

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Now is the time of the clock that deadlines are of.
func Now() Deadline {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		panic(fmt.Sprintf("BUG: CLOCK_BOOTTIME cannot be read: %v", err)) // every kernel since 2.6.39 has it
	}
	return Deadline(ts.Nano())
}

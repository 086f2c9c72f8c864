package raftnode

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// bootTime is CLOCK_BOOTTIME in nanoseconds: the one clock that all processes of a machine share, that nobody sets, and that goes on while the
// machine sleeps.
func bootTime() (int64, error) {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return 0, fmt.Errorf("read CLOCK_BOOTTIME: %w", err)
	}
	return ts.Nano(), nil
}

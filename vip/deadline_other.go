//go:build !linux

package vip

import "time"

var started = time.Now()

// Now is the time of the clock that deadlines are of. Where there is no CLOCK_BOOTTIME it is a clock of this process alone, which is enough: there is no
// guard process on such systems.
func Now() Deadline { return Deadline(time.Since(started)) + 1 }

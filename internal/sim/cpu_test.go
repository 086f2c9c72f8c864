//go:build unix

package sim

import (
	"syscall"
	"time"
)

// cpuTime is what this process has used so far, 0 when that is not known.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

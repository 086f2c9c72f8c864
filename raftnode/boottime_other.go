//go:build !linux

package raftnode

import "time"

var processStart = time.Now()

// bootTime is the process's monotonic clock in nanoseconds. Elsewhere than on Linux no other process has to know it: there is no guard.
func bootTime() (int64, error) { return int64(time.Since(processStart)) + 1, nil }

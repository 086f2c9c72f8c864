//go:build !linux

package hook

import "syscall"

// dieTogether does nothing here: no other system has it.
func dieTogether() *syscall.SysProcAttr { return nil }

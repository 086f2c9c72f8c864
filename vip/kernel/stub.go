//go:build !linux

package kernel

import (
	"context"
	"errors"
	"time"

	"github.com/holdfast-lb/holdfast/vip"
)

const hookOnly = "virtual addresses are put onto the machine on Linux only: here a program can move them (--vip-hook)"

var errHookOnly = errors.New(hookOnly)

// ErrForeign is in errors that say that somebody else has configured a virtual address on this machine.
var ErrForeign = errors.New("not ours")

// MaxLifetime is the longest lifetime that Add takes.
const MaxLifetime = 10 * time.Second

// Kernel is the virtual addresses on this machine. There are none on this system.
type Kernel struct{}

// Open says that this system cannot do it, and what can.
func Open([]vip.Address, func(string, ...any)) (*Kernel, error) { return nil, errHookOnly }

// Missing gives the capabilities that this process would need; here nothing would help.
func Missing() []string { return nil }

// Ask says that this system cannot.
func Ask(context.Context, []vip.Address, time.Duration, func(string, ...any)) ([]vip.Claim, error) {
	return nil, errHookOnly
}

func (*Kernel) Add(time.Duration) error                                   { return errHookOnly }
func (*Kernel) Remove() error                                             { return errHookOnly }
func (*Kernel) Announce() error                                           { return errHookOnly }
func (*Kernel) Silence(bool) error                                        { return errHookOnly }
func (*Kernel) Hops() ([]vip.Hop, error)                                  { return nil, errHookOnly }
func (*Kernel) Relay([]vip.Hop) error                                     { return errHookOnly }
func (*Kernel) Probe(context.Context, time.Duration) ([]vip.Claim, error) { return nil, errHookOnly }
func (*Kernel) Watch(context.Context, func(vip.Event)) error              { return errHookOnly }
func (*Kernel) Held() (bool, error)                                       { return false, errHookOnly }
func (*Kernel) Close() error                                              { return nil }

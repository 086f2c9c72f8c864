//go:build !linux

package guard

import (
	"errors"

	"github.com/holdfast-lb/holdfast/vip"
)

// Guard is the parent's end: a vip.Keeper.
type Guard struct{ vip.Keeper }

// Start says that there is no guard on this system.
func Start(o Options) (*Guard, error) {
	_, err := o.settled()
	return nil, errors.Join(errors.New("virtual addresses are held on Linux only; elsewhere a program can do it (--vip-hook)"), err)
}

// Main says that there is no guard on this system.
func Main(OpenFunc) error { return ErrByHand }

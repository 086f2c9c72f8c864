package guard

import (
	"errors"
	"log/slog"
	"os"
	"time"

	"github.com/holdfast-lb/holdfast/vip"
)

// ErrByHand: Main was called in a process that no guard's parent has started.
var ErrByHand = errors.New("this is a part of a node, which 'holdfast serve' starts for itself: there is nothing to run by hand")

// ErrLost: the guard process is not there, or has ended before it answered. A new one is on its way; it holds nothing.
var ErrLost = errors.New("the guard process has ended; a new one is being started")

// ErrClosed: the guard was closed.
var ErrClosed = errors.New("the guard is closed")

// DefaultKernelLease is how long the kernel keeps addresses that nobody renews: the shortest that it can count, because it may take them off 0.3 s (IPv4)
// or 1.3 s (IPv6) later than that.
const DefaultKernelLease = time.Second

// Options say what a guard is for.
type Options struct {
	// Addresses are the virtual addresses: 1 to 64, none twice.
	Addresses []vip.Address
	// Listener is the listening socket of the node's peer port, or nil. Start makes a duplicate, so it may be closed afterwards. The child gets one too, and
	// closes it when the addresses are gone from a node that has ended; nobody accepts connections from it.
	Listener *os.File
	// Open opens the machine here, in the parent: after the child has ended without being told to, to take off what it has left. Default: vip/kernel.
	Open OpenFunc
	// Command starts the child: a program that calls Main with the same machine, and its arguments. Default: this program, as it was started (also when
	// its file has been replaced since), with the argument vip-guard.
	Command []string
	// KernelLease is how long the kernel keeps addresses that the child does not renew: the last resort when parent and child are frozen. Whole seconds,
	// 1 to 10; default DefaultKernelLease.
	KernelLease time.Duration
	// Logger gets what goes wrong, and what the child says. Default: nobody.
	Logger *slog.Logger
}

// settled gives o with its defaults, or what is wrong with it.
func (o Options) settled() (Options, error) {
	if o.KernelLease == 0 {
		o.KernelLease = DefaultKernelLease
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Open == nil {
		o.Open = openKernel
	}
	return o, checkOptions(o.Addresses, o.KernelLease)
}

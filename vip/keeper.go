package vip

import (
	"context"
	"net/netip"
	"time"
)

// Deadline is a point of the machine's CLOCK_BOOTTIME in nanoseconds: the one clock that all processes of a machine share, that nobody sets, and that
// goes on while the machine sleeps.
type Deadline int64

// Keeper puts the addresses onto this machine and takes them off. Its methods may be called by one goroutine at a time, Relay and Announce by another one
// beside it; Events and Close by any.
// A Keeper drops the addresses by itself when the deadline of the last Hold or Prepare passes, and soon after this process has ended or hangs.
type Keeper interface {
	// Hold takes the addresses, or keeps them, until the deadline. One that has passed is an error, and takes nothing. When the addresses were not
	// held, or only prepared, they are announced (at once, then repeatedly for a while). It returns when the machine has the addresses.
	Hold(ctx context.Context, until Deadline) error
	// Prepare has the machine accept packets for the addresses without anybody on the link learning so, until the deadline: the next holder does so before
	// a planned hand-over. It gives this machine's own addresses on the interfaces, by which the holder can relay to it.
	Prepare(ctx context.Context, until Deadline) ([]Hop, error)
	// Relay has connections to the addresses that begin from now on go to another machine on the same links; those that are there stay. nil ends it.
	// ErrNoRelay: this machine cannot do that.
	Relay(ctx context.Context, to []Hop) error
	// Drop takes the addresses off at once. A relay goes on for linger, so that clients that have not heard of the new holder yet reach it.
	Drop(ctx context.Context, linger time.Duration) error
	// Announce tells the links again who has the addresses; nothing when they are not held.
	Announce(ctx context.Context) error
	// Probe asks the links whether anybody answers for the addresses, for at most wait, and gives who does. Not for use while they are held openly.
	Probe(ctx context.Context, wait time.Duration) ([]Claim, error)
	// Events tells what happens to the addresses without being asked for. It is closed by Close. A reader that is slow loses events, not the latest state.
	Events() <-chan Event
	// Close drops the addresses and gives back everything.
	Close() error
}

// Hop is a machine's own address on an interface that has a virtual address: where packets for the virtual address can be sent on to.
type Hop struct {
	Interface string     `json:"interface"`
	Addr      netip.Addr `json:"addr"`
}

// Claim is somebody else on the link who says that an address is his.
type Claim struct {
	Address Address
	// Hardware is the link-layer address, as in 02:00:00:00:00:01; empty: that of this machine.
	Hardware string
}

// EventKind says what an Event is about.
type EventKind int

// The kinds of events.
const (
	EventDropped  EventKind = iota // the addresses went without Drop: the deadline passed
	EventConflict                  // Claim: somebody else claims an address that this machine holds, and it is announced again; or has configured on this machine what it does not hold
	EventLinkDown                  // Interface cannot carry traffic
	EventLinkUp                    // it can again; held addresses have been announced again
	EventLost                      // the guard process ended; a new one is started, which holds nothing
	EventRestored                  // somebody took an address off; it is put back, and the next Hold says when that does not work
)

// Event is what a Keeper tells.
type Event struct {
	Kind      EventKind
	Interface string // of link events
	Claim     Claim  // of conflicts
	Text      string // for people
}

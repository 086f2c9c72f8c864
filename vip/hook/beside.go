package hook

import (
	"context"
	"errors"
	"time"

	"github.com/holdfast-lb/holdfast/vip"
)

// besides is a Keeper and the program that is told of it.
type besides struct {
	vip.Keeper
	runner *runner
	events chan vip.Event
}

// Beside gives a Keeper that does what k does, and has h's program run when k has taken the addresses, and when they are gone from it. The program's
// failures are logged and tried again; they are no errors of the Keeper, and nothing waits for the program but Close. Both belong to the Keeper from here
// on.
func Beside(k vip.Keeper, h *Hook) vip.Keeper {
	b := &besides{Keeper: k, runner: h.runner, events: make(chan vip.Event, 16)}
	go b.pass()
	return b
}

// Hold implements vip.Keeper.
func (b *besides) Hold(ctx context.Context, until vip.Deadline) error {
	err := b.Keeper.Hold(ctx, until)
	if err == nil {
		b.runner.notify(true)
	}
	return err
}

// Drop implements vip.Keeper.
func (b *besides) Drop(ctx context.Context, linger time.Duration) error {
	err := b.Keeper.Drop(ctx, linger)
	b.runner.notify(false)
	return err
}

// Events implements vip.Keeper.
func (b *besides) Events() <-chan vip.Event { return b.events }

// Close implements vip.Keeper.
func (b *besides) Close() error {
	err := b.Keeper.Close()
	b.runner.notify(false)
	return errors.Join(err, b.runner.close())
}

// pass hands on events, and looks at them on the way. A reader that is slow loses the oldest.
func (b *besides) pass() {
	defer close(b.events)
	for ev := range b.Keeper.Events() {
		if ev.Kind == vip.EventDropped || ev.Kind == vip.EventLost {
			b.runner.notify(false)
		}
		for sent := false; !sent; {
			select {
			case b.events <- ev:
				sent = true
			default:
				select {
				case <-b.events:
				default:
				}
			}
		}
	}
}

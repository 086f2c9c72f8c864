package hook

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-lb/holdfast/vip"
)

func alone(t *testing.T, f func(t *testing.T, h *Hook, r *runs)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := &runs{begin: time.Now()}
		h := newHook(newRunner("/hook", slog.New(slog.DiscardHandler), r.exec))
		h.now = bubbleNow
		f(t, h, r)
		_ = h.Close()
		for range h.Events() { // it is closed
		}
	})
}

func bubbleNow() vip.Deadline         { return vip.Deadline(time.Now().UnixNano()) }
func in(d time.Duration) vip.Deadline { return bubbleNow().After(d) }

// TestAHookAloneKeepsTheDeadline: what an earlier node left is dropped first; the last Hold counts.
func TestAHookAloneKeepsTheDeadline(t *testing.T) {
	alone(t, func(t *testing.T, h *Hook, r *runs) {
		for range 10 {
			time.Sleep(10 * ms)
			if err := h.Hold(t.Context(), in(60*ms)); err != nil {
				t.Error(err)
			}
		}
		time.Sleep(time.Second)
		r.want(t, "0 dropped", "10 taken", "160 dropped")
		if ev := <-h.Events(); ev.Kind != vip.EventDropped {
			t.Errorf("%+v", ev)
		}
		if err := errors.Join(h.Hold(t.Context(), in(time.Hour)), h.Hold(t.Context(), in(10*ms))); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Second)
		r.want(t, "0 dropped", "10 taken", "160 dropped", "1100 taken", "1110 dropped")
		if err := h.Hold(t.Context(), in(0)); !errors.Is(err, vip.ErrTooLate) {
			t.Error(err)
		}
	})
}

// TestAHookAloneDrops: when the program has run; and a Hold in time takes nothing any more after Close.
func TestAHookAloneDrops(t *testing.T) {
	alone(t, func(t *testing.T, h *Hook, r *runs) {
		if err := h.Hold(t.Context(), in(time.Hour)); err != nil {
			t.Error(err)
		}
		time.Sleep(ms)
		r.set(100*ms, nil)
		if err := h.Drop(t.Context(), time.Second); err != nil || time.Since(r.begin) != 101*ms {
			t.Errorf("%v after %v", err, time.Since(r.begin))
		}
		if err := errors.Join(h.Close(), h.Close()); err != nil {
			t.Error(err)
		}
		for _, err := range []error{h.Hold(t.Context(), in(time.Hour)), h.Drop(t.Context(), 0)} {
			if !errors.Is(err, errClosed) {
				t.Error(err)
			}
		}
		r.want(t, "0 taken", "1 dropped")
	})
}

// TestAHookAloneSaysWhatFails: and what it cannot do.
func TestAHookAloneSaysWhatFails(t *testing.T) {
	alone(t, func(t *testing.T, h *Hook, r *runs) {
		broken := errors.New("the API is down")
		r.set(0, broken)
		if err := h.Hold(t.Context(), in(time.Hour)); err != nil {
			t.Error(err)
		}
		time.Sleep(ms)
		for range 3 { // told once: the addresses are not held though it was asked to take them
			if err := h.Hold(t.Context(), in(time.Hour)); !errors.Is(err, broken) {
				t.Error(err)
			}
		}
		if n := len(h.Events()); n != 1 {
			t.Fatalf("%d events", n)
		}
		if ev := <-h.Events(); ev.Kind != vip.EventDropped || ev.Text != "the hook has failed: the API is down" {
			t.Errorf("%+v", ev)
		}
		if err := h.Drop(t.Context(), 0); !errors.Is(err, broken) {
			t.Error(err)
		}
		r.set(0, nil)
		_, err := h.Prepare(t.Context(), in(time.Hour))
		for _, err := range []error{err, h.Relay(t.Context(), []vip.Hop{{}})} {
			if !errors.Is(err, vip.ErrNoRelay) {
				t.Error(err)
			}
		}
		claims, err := h.Probe(t.Context(), time.Second)
		if err = errors.Join(err, h.Relay(t.Context(), nil), h.Announce(t.Context())); err != nil || claims != nil {
			t.Error(claims, err)
		}
	})
}

// TestAHookAloneDoesNotWaitForEver: a program that hangs does not keep the node from going on.
func TestAHookAloneDoesNotWaitForEver(t *testing.T) {
	alone(t, func(t *testing.T, h *Hook, r *runs) {
		time.Sleep(ms)
		r.set(time.Hour, nil)
		_ = h.Hold(t.Context(), in(time.Hour))
		time.Sleep(ms)
		if err := h.Drop(t.Context(), 0); err == nil || err.Error() != "the hook has not ended after 5s; it goes on" {
			t.Error(err)
		}
		r.set(0, nil)
		time.Sleep(time.Minute)
		r.want(t, "0 dropped", "1 taken", "2 taken killed", "2 dropped", "30002 dropped killed", "31002 dropped")
	})
}

// guarded is a Keeper that does what it is told.
type guarded struct {
	vip.Keeper
	fails  error
	events chan vip.Event
}

func (g *guarded) Hold(context.Context, vip.Deadline) error  { return g.fails }
func (g *guarded) Drop(context.Context, time.Duration) error { return g.fails }
func (g *guarded) Events() <-chan vip.Event                  { return g.events }
func (g *guarded) Close() error                              { close(g.events); return g.fails }

// TestAHookBesideAGuard: it hears of what the guard has done, and its failures are its own.
func TestAHookBesideAGuard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &runs{begin: time.Now()}
		g := &guarded{fails: errors.New("no such device"), events: make(chan vip.Event)}
		k := Beside(g, newHook(newRunner("/hook", slog.New(slog.DiscardHandler), r.exec)))
		time.Sleep(ms)
		if err := k.Hold(t.Context(), in(time.Hour)); err != g.fails {
			t.Error(err)
		}
		r.want(t, "0 dropped")
		g.fails = nil
		for range 3 {
			if err := k.Hold(t.Context(), in(time.Hour)); err != nil {
				t.Error(err)
			}
		}
		r.want(t, "0 dropped", "1 taken")
		for i := range 100 { // nobody reads them
			g.events <- vip.Event{Kind: vip.EventLinkUp, Interface: string(rune('a' + i))}
		}
		g.events <- vip.Event{Kind: vip.EventDropped, Text: "the lease ran out"}
		r.want(t, "0 dropped", "1 taken", "1 dropped")
		last := vip.Event{}
		for len(k.Events()) > 0 {
			last = <-k.Events()
		}
		if last.Kind != vip.EventDropped || last.Text == "" {
			t.Errorf("%+v", last)
		}
		time.Sleep(ms)
		_ = k.Hold(t.Context(), in(time.Hour))
		time.Sleep(ms)
		if err := k.Drop(t.Context(), 0); err != nil {
			t.Error(err)
		}
		time.Sleep(ms)
		_ = k.Hold(t.Context(), in(time.Hour))
		time.Sleep(ms)
		broken := errors.New("the API is down")
		r.set(0, broken)
		if err := k.Close(); !errors.Is(err, broken) {
			t.Error(err)
		}
		r.want(t, "0 dropped", "1 taken", "1 dropped", "2 taken", "3 dropped", "4 taken", "5 dropped")
		if _, open := <-k.Events(); open {
			t.Error("events after the end")
		}
	})
}

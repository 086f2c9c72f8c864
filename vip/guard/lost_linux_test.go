package guard

import (
	"errors"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/internal/calm"
	"github.com/holdfast-lb/holdfast/vip"
)

// TestAKilledGuardIsReplaced: what it left is taken off by the parent, the parent hears of it, and the next Hold gets a new one.
func TestAKilledGuardIsReplaced(t *testing.T) {
	r := newRig(t)
	if err := r.Hold(t.Context(), vip.Now().After(10*time.Second)); err != nil {
		t.Fatal(err)
	}
	old, before := r.pid(), len(r.diary())
	killed := vip.Now()
	if err := syscall.Kill(old, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	r.event(vip.EventLost)
	i := slices.IndexFunc(r.diary()[before:], func(e entry) bool { return e.what == "remove" && e.pid == os.Getpid() })
	if i < 0 {
		t.Fatalf("the parent removed nothing: %v", r.diary()[before:])
	}
	t.Logf("removed after %v", r.diary()[before+i].at.Sub(killed))
	if err := r.Hold(t.Context(), vip.Now().After(10*time.Second)); err != nil {
		t.Fatal(err)
	}
	t.Logf("held again after %v", vip.Now().Sub(killed))
	if now := r.pid(); now == old || now == 0 || !holds(r.diary()) {
		t.Errorf("the guard was %d and is %d", old, now)
	}
	if err := r.Drop(t.Context(), 0); err != nil || holds(r.diary()) {
		t.Error(err)
	}
}

// TestAFrozenGuardIsKilledAfterTheDeadline: the parent takes the addresses off itself.
func TestAFrozenGuardIsKilledAfterTheDeadline(t *testing.T) {
	calm.Try(t, mostStall, func(t testing.TB) {
		r := newRig(t)
		deadline := vip.Now().After(100 * time.Millisecond)
		if err := r.Hold(t.Context(), deadline); err != nil {
			t.Error(err)
			return
		}
		before := len(r.diary())
		stop(t, r.pid())
		if ev := r.event(vip.EventLost, vip.EventDropped); ev.Kind == vip.EventDropped {
			t.Error("it was stopped too late")
			return
		}
		i := slices.IndexFunc(r.diary()[before:], func(e entry) bool { return e.what == "remove" })
		if i < 0 {
			t.Error("they are still there")
			return
		}
		if late := r.diary()[before+i].at.Sub(deadline); late < 0 || late > overdue+50*time.Millisecond {
			t.Errorf("removed %v after the deadline", late)
		}
	})
}

// TestDropDoesNotNeedTheGuard: a frozen one is killed, and none at all is fine.
func TestDropDoesNotNeedTheGuard(t *testing.T) {
	r := newRig(t)
	if err := r.Hold(t.Context(), vip.Now().After(time.Minute)); err != nil {
		t.Fatal(err)
	}
	stop(t, r.pid())
	if err := r.Drop(t.Context(), 0); err != nil || holds(r.diary()) {
		t.Fatalf("%v; %v", err, r.diary())
	}
	r.event(vip.EventLost)
	if err := r.Drop(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if err := r.Relay(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
}

// TestAGuardThatCannotStartAgain: the node hears why in its log, Hold says that there is none when its time is over, and it comes back when it can.
func TestAGuardThatCannotStartAgain(t *testing.T) {
	r := newRig(t)
	if err := os.WriteFile(r.path+".broken", []byte("the interface eth0 is not there"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(r.pid(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	r.event(vip.EventLost)
	until(t, "the log says why", func() bool {
		return strings.Contains(r.log.String(), `msg="no new guard process" error="the guard process: the interface eth0 is not there`)
	})
	if err := r.Hold(t.Context(), vip.Now().After(30*time.Millisecond)); !errors.Is(err, vip.ErrTooLate) || !strings.Contains(err.Error(), "eth0 is not there") {
		t.Errorf("hold: %v", err)
	}
	if err := r.Drop(t.Context(), 0); err == nil || !strings.Contains(err.Error(), "the kernel does it within 1s") {
		t.Errorf("drop: %v", err)
	}
	if err := r.Announce(t.Context()); !errors.Is(err, ErrLost) {
		t.Errorf("announce: %v", err)
	}
	if err := os.Remove(r.path + ".broken"); err != nil {
		t.Fatal(err)
	}
	if err := r.Hold(t.Context(), vip.Now().After(5*time.Second)); err != nil {
		t.Error(err)
	}
}

// TestAChildEndsOverAWrongFrame: it drops the addresses first.
func TestAChildEndsOverAWrongFrame(t *testing.T) {
	for name, f := range map[string]frame{
		"of the child":    {kind: kindEvent},
		"a short hold":    {kind: kindHold, body: []byte{1, 2}},
		"a second hello":  {kind: kindHello},
		"a long wait":     {kind: kindProbe, body: encodeTime(time.Hour)},
		"a hold too much": {kind: kindHold, body: append(encodeTime(vip.Now()), 0)},
		"hops of nowhere": {kind: kindRelay, body: []byte{0, 1, 0, 1, 'x', 0, 1, 'y'}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			if err := r.Hold(t.Context(), vip.Now().After(time.Minute)); err != nil {
				t.Fatal(err)
			}
			before := len(r.diary())
			r.mu.Lock()
			child := r.child
			r.mu.Unlock()
			if err := child.conn.send(f); err != nil {
				t.Fatal(err)
			}
			r.event(vip.EventLost)
			entries := r.diary()[before:]
			i := slices.IndexFunc(entries, func(e entry) bool { return e.what == "remove" })
			if i < 0 {
				t.Fatalf("they are still there: %v", entries)
			}
		})
	}
}

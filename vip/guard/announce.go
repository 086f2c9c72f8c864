package guard

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/holdfast-lb/holdfast/vip"
)

// announceAfter is when the addresses are announced after they were taken, and after a link came up: a switch may lose the first frames, or open a port
// late.
var announceAfter = []time.Duration{
	0, 20 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 200 * time.Millisecond, 400 * time.Millisecond, 800 * time.Millisecond,
	1600 * time.Millisecond,
}

const (
	// defendEvery is how often an address is announced, at most, because somebody else claims it: two that defend one address must not flood the link
	// (RFC 5227, 2.4 (c), has 10 s for hosts that may give it up; a holder may not, and its clients are to come back soon).
	defendEvery = time.Second
	// mendEvery is how often addresses that somebody takes off are put back, at most.
	mendEvery = 50 * time.Millisecond
)

// announcer knows when the next announcement is due.
type announcer struct {
	begun vip.Deadline
	round int
	at    vip.Deadline // 0: none
	// asked: an announcement waits for its turn, so another one would say the same.
	asked    bool
	failed   bool
	defended map[netip.Addr]vip.Deadline // when each address was announced because of a claim
	owed     map[netip.Addr]vip.Deadline // when it will be, for claims that came too soon after that
	told     map[netip.Addr]vip.Deadline // when the parent was told of a claim
	mended   vip.Deadline                // when the parent was last told that somebody took addresses off
}

// begin starts the schedule anew.
func (a *announcer) begin(now vip.Deadline) { a.begun, a.round, a.at = now, 0, now }

// stop ends the schedule.
func (a *announcer) stop() { a.at, a.defended, a.owed, a.told = 0, nil, nil, nil }

// claimed takes note of a claim and tells whether it is to be answered now. Later, if it comes too soon: clients go by what they hear last.
func (a *announcer) claimed(ip netip.Addr, now vip.Deadline) bool {
	if a.defended == nil {
		a.defended, a.owed = map[netip.Addr]vip.Deadline{}, map[netip.Addr]vip.Deadline{}
	}
	if last, ok := a.defended[ip]; ok && now.Sub(last) < defendEvery {
		a.owed[ip] = last.After(defendEvery)
		return false
	}
	delete(a.owed, ip)
	a.defended[ip] = now
	return true
}

// worthTelling tells whether the parent is to be told of a claim, and has not been a moment ago.
func (a *announcer) worthTelling(ip netip.Addr, now vip.Deadline) bool {
	if last, ok := a.told[ip]; ok && now.Sub(last) < defendEvery {
		return false
	}
	if a.told == nil {
		a.told = map[netip.Addr]vip.Deadline{}
	}
	a.told[ip] = now
	return true
}

// defence is when the next claim that came too soon is to be answered; 0: none waits.
func (a *announcer) defence() (next vip.Deadline) {
	for _, at := range a.owed {
		if next == 0 || at < next {
			next = at
		}
	}
	return next
}

// overdue tells whether claims have waited long enough, and counts them as answered.
func (a *announcer) overdue(now vip.Deadline) (some bool) {
	for ip, at := range a.owed {
		if now >= at && a.claimed(ip, now) {
			some = true
		}
	}
	return some
}

// due tells whether one is due, and goes on to the next one behind now.
func (a *announcer) due(now vip.Deadline) bool {
	if a.at == 0 || now < a.at {
		return false
	}
	for a.at != 0 && a.at <= now {
		a.round++
		if a.round == len(announceAfter) {
			a.at = 0
			break
		}
		a.at = a.begun.After(announceAfter[a.round])
	}
	return true
}

// announce has the addresses announced once. id is the request that asks for it; 0: none does.
func (w *warden) announce(id uint32) {
	if id == 0 && w.announcer.asked {
		return
	}
	w.announcer.asked = true
	w.errands.add(func() error {
		if w.now() >= vip.Deadline(w.heldUntil.Load()) { // dropped while this waited for its turn
			return nil
		}
		return w.machine.Announce()
	}, func(err error) {
		w.announcer.asked = false
		if err != nil {
			err = fmt.Errorf("announce the addresses: %w", err)
			if !w.announcer.failed {
				w.logf("%v", err)
			}
		}
		w.announcer.failed = err != nil
		if id != 0 {
			w.answer(id, answer{err: err})
		}
	})
}

func (w *warden) announceNow(id uint32) {
	if w.mode != held {
		w.answer(id, answer{})
		return
	}
	w.announce(id)
}

// event does what the links call for, and tells the parent.
func (w *warden) event(ev vip.Event) {
	w.tick()
	defer w.tick()
	now := w.now()
	switch ev.Kind {
	case vip.EventConflict:
		switch here := ev.Claim.Hardware == ""; {
		case here && w.mode != idle: // it is ours, or about to be
			return
		case here:
		case w.mode != held || w.relaying: // Who only prepares hears the holder. Who relays hears the successor announce, and must not call the clients back.
			return
		case w.announcer.claimed(ev.Claim.Address.IP(), now):
			w.announce(0)
		}
		if !w.announcer.worthTelling(ev.Claim.Address.IP(), now) {
			return
		}
	case vip.EventLinkUp:
		if w.mode == held {
			w.mend(now) // the kernel takes IPv6 addresses off an interface that goes down
			w.announcer.begin(now)
		}
	case vip.EventLinkDown:
	case vip.EventDropped:
		if w.mode != held && w.mode != prepared {
			return
		}
		w.mend(now)
		if last := w.announcer.mended; last != 0 && now.Sub(last) < defendEvery {
			return
		}
		w.announcer.mended = now
		ev.Kind = vip.EventRestored
	default:
		return
	}
	w.note(note{Event: ev})
}

// mend puts back what somebody took off, soon but not over and over.
func (w *warden) mend(now vip.Deadline) {
	w.renewAt = min(w.renewAt, max(now, w.lastAdd.After(mendEvery)))
}

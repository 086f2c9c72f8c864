package guard

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/holdfast-lb/holdfast/vip"
)

const (
	// renewEvery is how often the kernel's lease is renewed while the node's holds. It is far shorter than the shortest kernel lease (1 s), so that one
	// that fails can be tried again, and far longer than the time between two Holds, which therefore cost no call of the kernel.
	renewEvery = 300 * time.Millisecond
	// retryEvery is how soon Add is tried again after a failure, and Remove at first; removeEvery is the most for Remove.
	retryEvery  = 20 * time.Millisecond
	removeEvery = 100 * time.Millisecond
	// tidyEvery is how soon the end of a silence or relay is tried again.
	tidyEvery = 100 * time.Millisecond
)

// mode is what the node's lease lets the machine have.
type mode int

const (
	idle      mode = iota
	preparing      // being silenced; no address yet
	prepared       // silent, with the addresses
	held
)

// warden is the child's heart: it alone says when the addresses come and go. All its methods belong to one goroutine (run, or a test). What may take longer
// than the end of the lease can wait (packet filters, announcements) is an errand.
type warden struct {
	machine  Machine
	now      func() vip.Deadline
	lifetime time.Duration // the kernel's lease
	errands  *errands
	answer   func(id uint32, a answer) // answer, note and logf never block
	note     func(note)
	logf     func(format string, args ...any)

	mode  mode
	until vip.Deadline
	// heldUntil is until while mode is held, else 0: for errands, which run on other goroutines.
	heldUntil atomic.Int64
	// present: the machine may have addresses; true from before the first Add until a Remove has worked.
	present bool
	renewAt vip.Deadline // of the kernel's lease
	lastAdd vip.Deadline
	// removeAt is when a Remove that has failed is tried again, removeWait after it.
	removeAt   vip.Deadline
	removeWait time.Duration
	addFailed  error // of the last renewal

	// silent and relaying are what the machine will have when all errands are done.
	silent   bool
	relaying bool
	lingerTo vip.Deadline // when a relay ends, 0: not by itself
	// unsilenceAt is when a silence that did not end is tried again; 0: there is none.
	unsilenceAt                vip.Deadline
	silenceFailed, relayFailed bool // and it was logged
	// preparation numbers the preparations, so that none takes the silence of an earlier one for its own; waiting are the requests for the one under way.
	preparation uint64
	waiting     []uint32
	hops        []vip.Hop
	probing     context.CancelFunc

	announcer announcer
}

// handle obeys a request of the parent. An error is a frame that is wrong, after which nothing of the parent can be trusted.
func (w *warden) handle(f frame) error {
	w.tick()
	defer w.tick()
	switch f.kind {
	case kindHold, kindPrepare:
		until, err := decodeUntil(f.body)
		if err != nil {
			return err
		}
		if f.kind == kindHold {
			w.hold(f.id, until)
		} else {
			w.prepare(f.id, until)
		}
	case kindRelay:
		hops, err := decodeHops(f.body)
		if err != nil {
			return err
		}
		w.relay(f.id, hops)
	case kindDrop:
		linger, err := decodeWait(f.body)
		if err != nil {
			return err
		}
		w.answer(f.id, answer{err: w.drop(linger)})
	case kindAnnounce:
		w.announceNow(f.id)
	case kindProbe:
		wait, err := decodeWait(f.body)
		if err != nil {
			return err
		}
		w.probe(f.id, wait)
	default:
		return fmt.Errorf("a parent does not send frames of kind %d", f.kind)
	}
	return nil
}

// tick does what time asks for. It is called after everything that happens, so nothing starves it.
func (w *warden) tick() {
	now := w.now()
	if w.mode != idle && now >= w.until {
		w.expire()
	}
	if w.mode == idle && w.present && now >= w.removeAt {
		if w.remove() == nil {
			w.gone("the addresses are gone now")
		}
	}
	if (w.mode == held || w.mode == prepared) && now >= w.renewAt {
		w.renew()
	}
	if w.mode == held && w.announcer.due(now) {
		w.announce(0)
	}
	if w.mode == held && w.announcer.overdue(now) {
		w.announce(0) // without a word to the parent, which knows of the first
	}
	if w.lingerTo != 0 && now >= w.lingerTo {
		w.endRelay()
	}
	if w.unsilenceAt != 0 && now >= w.unsilenceAt {
		w.unsilenceAt = 0
		if w.silent && (w.mode == held || w.mode == idle && !w.present) {
			w.unsilence(func(error) {})
		}
	}
}

// next is when tick has something to do without anything happening; 0: never.
func (w *warden) next() vip.Deadline {
	var next vip.Deadline
	earliest := func(t vip.Deadline) {
		if t != 0 && (next == 0 || t < next) {
			next = t
		}
	}
	if w.mode != idle {
		earliest(w.until)
	} else if w.present {
		earliest(w.removeAt)
	}
	if w.mode == held || w.mode == prepared {
		earliest(w.renewAt)
	}
	if w.mode == held {
		earliest(w.announcer.at)
		earliest(w.announcer.defence())
	}
	earliest(w.lingerTo)
	earliest(w.unsilenceAt)
	return next
}

func (w *warden) hold(id uint32, until vip.Deadline) {
	w.until = until
	if w.now() >= until {
		w.answer(id, answer{err: w.late()})
		return
	}
	w.endProbe()
	was := w.mode
	w.mode = held
	w.heldUntil.Store(int64(until))
	w.endPreparation(errors.New("the addresses were taken meanwhile"))
	if was == idle || was == preparing {
		if err := w.put(); err != nil {
			w.answer(id, answer{err: w.giveUp(err)})
			return
		}
	}
	if was != held {
		w.endRelay() // else the new holder would send its own traffic away
		w.announcer.begin(w.now())
	}
	if w.silent {
		w.unsilence(func(err error) { w.answer(id, answer{err: err}) })
		return
	}
	w.answer(id, answer{err: w.addFailed})
}

func (w *warden) prepare(id uint32, until vip.Deadline) {
	if w.mode == held {
		w.answer(id, answer{err: errors.New("the addresses are held: there is nothing to prepare")})
		return
	}
	w.until = until
	if w.now() >= until {
		w.answer(id, answer{err: w.late()})
		return
	}
	w.endProbe()
	switch w.mode {
	case prepared:
		w.answer(id, answer{err: w.addFailed, hops: w.hops})
		return
	case preparing:
		w.waiting = append(w.waiting, id)
		return
	}
	w.mode, w.silent, w.waiting = preparing, true, []uint32{id}
	w.preparation++
	number := w.preparation
	w.endRelay() // else two machines could relay to each other
	var hops []vip.Hop
	silent := false
	w.errands.add(func() (err error) {
		if err = w.machine.Silence(true); err != nil {
			return fmt.Errorf("silence: %w", err)
		}
		silent = true
		hops, err = w.machine.Hops()
		return err
	}, func(err error) {
		// Another one of a later number has its own silence, behind the end of this one's.
		if w.mode == preparing && w.preparation == number {
			w.silent = silent // filters are changed as a whole or not at all
			w.silenced(hops, err)
		}
	})
}

// silenced goes on with the preparation when nobody on the link can learn of it any more.
func (w *warden) silenced(hops []vip.Hop, err error) {
	waiting := w.waiting
	w.waiting = nil
	a := answer{hops: hops}
	if err == nil {
		err = w.put()
	}
	if err != nil {
		a = answer{err: w.giveUp(err)}
	} else {
		w.mode, w.hops = prepared, hops
	}
	for _, id := range waiting {
		w.answer(id, a)
	}
}

// endPreparation answers those who wait for one that is given up.
func (w *warden) endPreparation(err error) {
	for _, id := range w.waiting {
		w.answer(id, answer{err: err})
	}
	w.waiting = nil
}

// put adds the addresses. The deadline is looked at right before and right after: what came too late is removed again.
func (w *warden) put() error {
	if w.now() >= w.until {
		return vip.ErrTooLate
	}
	w.present = true // whatever Add says: some of them may be there
	w.lastAdd = w.now()
	err := w.machine.Add(w.lifetime)
	now := w.now()
	w.renewAt = now.After(renewEvery)
	switch {
	case now >= w.until:
		return vip.ErrTooLate
	case err != nil:
		return fmt.Errorf("add the addresses: %w", err)
	}
	w.addFailed = nil
	return nil
}

// renew lengthens the kernel's lease. A failure is told with the next Hold, and tried again: the node decides whether it gives up.
func (w *warden) renew() {
	err := w.put()
	switch {
	case errors.Is(err, vip.ErrTooLate):
		w.expire()
	case err != nil:
		if w.addFailed == nil {
			w.logf("the addresses cannot be renewed: %v", err)
		}
		w.addFailed = err
		w.renewAt = w.now().After(retryEvery)
	}
}

// late ends what the deadline of a Hold or Prepare that has passed leaves no time for.
func (w *warden) late() error {
	if w.mode != idle {
		w.expire()
	}
	return vip.ErrTooLate
}

// giveUp leaves nothing of a Hold or Prepare that has failed.
func (w *warden) giveUp(err error) error {
	if derr := w.drop(0); derr != nil {
		err = fmt.Errorf("%w (and %w)", err, derr)
	}
	return err
}

// expire takes the addresses off because the lease is over.
func (w *warden) expire() {
	over := w.now().Sub(w.until)
	had := w.mode == held || w.mode == prepared
	if err := w.drop(0); err == nil && had {
		w.gone(fmt.Sprintf("the lease ran out (%v ago when it was seen)", over.Round(10*time.Microsecond)))
	}
}

// drop takes the addresses off; then, in no hurry, what goes with them. A relay goes on for linger.
func (w *warden) drop(linger time.Duration) error {
	w.mode, w.hops, w.addFailed = idle, nil, nil
	w.heldUntil.Store(0)
	w.announcer.stop()
	w.endProbe()
	var err error
	if w.present {
		err = w.remove()
	} else {
		w.removed()
	}
	w.endPreparation(vip.ErrTooLate)
	switch {
	case !w.relaying:
	case linger > 0:
		w.lingerTo = w.now().After(linger)
	default:
		w.endRelay()
	}
	return err
}

// remove takes the addresses off the machine. After a failure tick tries again.
func (w *warden) remove() error {
	err := w.machine.Remove()
	if err == nil {
		w.present, w.removeWait = false, 0
		w.removed()
		return nil
	}
	if w.removeWait == 0 {
		w.logf("the addresses cannot be removed: %v; trying again, and the kernel removes them within %v", err, w.lifetime)
	}
	w.removeWait = min(max(2*w.removeWait, retryEvery), removeEvery)
	w.removeAt = w.now().After(w.removeWait)
	return fmt.Errorf("remove the addresses: %w", err)
}

// removed ends the silence that was there for the addresses: not before they are gone, or the link would learn of them.
func (w *warden) removed() {
	if w.silent {
		w.unsilence(func(error) {})
	}
}

// gone tells the parent that the addresses went without being dropped.
func (w *warden) gone(text string) {
	w.note(note{Event: vip.Event{Kind: vip.EventDropped, Text: text}, gone: true})
}

// unsilence lets the link see the addresses again, or for the first time. A silence that does not end is tried again: a holder must not be silent.
func (w *warden) unsilence(then func(error)) {
	w.silent, w.unsilenceAt = false, 0
	w.errands.add(func() error { return w.machine.Silence(false) }, func(err error) {
		if err != nil {
			err = fmt.Errorf("end the silence: %w", err)
			w.failed(&w.silenceFailed, err)
			if !w.silent { // else there is another preparation
				w.silent, w.unsilenceAt = true, w.now().After(tidyEvery)
			}
		} else {
			w.silenceFailed = false
			if w.mode == held { // what was announced until now nobody has heard
				w.announcer.begin(w.now())
			}
		}
		then(err)
	})
}

// failed logs the first of several failures of one kind.
func (w *warden) failed(before *bool, err error) {
	if !*before {
		w.logf("%v; it is tried again", err)
	}
	*before = true
}

func (w *warden) relay(id uint32, to []vip.Hop) {
	if to != nil && w.mode != held {
		w.answer(id, answer{err: errors.New("only who holds the addresses can relay connections to them")})
		return
	}
	if to == nil && !w.relaying {
		w.answer(id, answer{})
		return
	}
	if to != nil {
		clear(w.announcer.owed) // an answer would call the clients back from the successor
	}
	w.relaying, w.lingerTo = to != nil, 0
	w.errands.add(func() error { return w.machine.Relay(to) }, func(err error) {
		if err != nil {
			w.relaying = true // what of it may be there
			w.endRelay()
		}
		w.answer(id, answer{err: err})
	})
}

// endRelay ends a relay, if there is one.
func (w *warden) endRelay() {
	if !w.relaying {
		return
	}
	w.relaying, w.lingerTo = false, 0
	w.errands.add(func() error { return w.machine.Relay(nil) }, func(err error) {
		if err == nil {
			w.relayFailed = false
			return
		}
		w.failed(&w.relayFailed, fmt.Errorf("end the relay: %w", err))
		if !w.relaying { // else there is a new one
			w.relaying, w.lingerTo = true, w.now().After(tidyEvery)
		}
	})
}

func (w *warden) probe(id uint32, wait time.Duration) {
	switch {
	case w.mode == held:
		w.answer(id, answer{err: errors.New("the addresses are held: who asks for them would hear himself")})
		return
	case w.probing != nil:
		w.answer(id, answer{err: errors.New("another probe is under way")})
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	w.probing = cancel
	var claims []vip.Claim
	w.errands.addBeside(func() (err error) {
		claims, err = w.machine.Probe(ctx, wait)
		return err
	}, func(err error) {
		if ctx.Err() != nil {
			err = errors.New("the probe was ended: the addresses are being taken")
		}
		cancel()
		w.probing = nil
		w.answer(id, answer{claims: claims, err: err})
	})
}

// endProbe ends a probe that is under way: its answer would be our own.
func (w *warden) endProbe() {
	if w.probing != nil {
		w.probing()
	}
}

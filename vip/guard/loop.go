package guard

import (
	"errors"
	"fmt"
	"time"

	"github.com/holdfast-lb/holdfast/vip"
)

// alarm wakes the loop. set asks for a ring at the deadline (0: none), which replaces the one before.
type alarm interface {
	set(at vip.Deadline) error
	rings() <-chan struct{}
}

// loop has the warden do one thing after the other until the parent is gone or says goodbye.
type loop struct {
	warden *warden
	alarm  alarm
	frames <-chan frame     // closed when the parent is gone
	events <-chan vip.Event // of the machine
	// release closes what shows other nodes that addresses may be here.
	release func()
}

// tidyTime is how long what is left of silence and relay may take to go after the addresses are gone and the parent too.
const tidyTime = 2 * time.Second

// run returns when no address is left, and nil when the parent ended in good order.
func (l *loop) run() (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("BUG: panic: %v", p)
		}
		err = errors.Join(err, l.finish())
	}()
	for {
		bye, err := l.step(l.frames)
		if err != nil {
			return err
		}
		if bye != nil {
			return l.leave(*bye)
		}
	}
}

var errParentGone = errors.New("the parent is gone")

// step waits for one thing and does it. frames is nil when the parent's are not wanted any more.
func (l *loop) step(frames <-chan frame) (bye *frame, err error) {
	if err := l.alarm.set(l.warden.next()); err != nil {
		return nil, err
	}
	select {
	case f, ok := <-frames:
		switch {
		case !ok:
			return nil, errParentGone
		case f.kind == kindBye:
			return &f, nil
		}
		if err := l.warden.handle(f); err != nil {
			return nil, fmt.Errorf("a frame of kind %d: %w", f.kind, err)
		}
	case <-l.alarm.rings():
		l.warden.tick()
	case x := <-l.warden.errands.ended:
		l.warden.tick()
		if err := l.warden.errands.finish(x); err != nil {
			return nil, err
		}
		l.warden.tick()
	case ev := <-l.events:
		l.warden.event(ev)
	}
	return nil, nil
}

// leave is the end in good order: the addresses go at once, a relay lingers as long as was asked for.
func (l *loop) leave(bye frame) error {
	w := l.warden
	var linger time.Duration
	if w.lingerTo != 0 {
		linger = max(w.lingerTo.Sub(w.now()), 0)
	}
	err := w.drop(linger)
	for w.present || w.lingerTo != 0 || !w.errands.idle() {
		if !w.present {
			l.release()
		}
		if _, serr := l.step(l.frames); serr != nil {
			return serr // the parent does not wait for it
		}
		w.tick()
	}
	l.release()
	w.answer(bye.id, answer{err: err})
	return nil
}

// finish leaves nothing behind: the addresses go first; when they are gone, the other nodes may know; then comes the rest.
func (l *loop) finish() error {
	w := l.warden
	err := w.drop(0)
	end := w.lastAdd.After(w.lifetime + time.Second) // the kernel has removed them by then
	for w.present && w.now() < end {
		if _, serr := l.step(nil); serr != nil {
			break
		}
		w.tick()
	}
	l.release()
	for end = w.now().After(tidyTime); !w.errands.idle() && w.now() < end; {
		if err := l.alarm.set(end); err != nil {
			break
		}
		select {
		case <-l.alarm.rings():
		case x := <-w.errands.ended:
			if err := w.errands.finish(x); err != nil {
				return err
			}
		}
	}
	if w.present {
		return err
	}
	return nil
}

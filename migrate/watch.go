package migrate

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/holdfast-lb/holdfast/fsm/config"
	"github.com/holdfast-lb/holdfast/migrate/build"
)

// ErrNoInterval is why a watch cannot begin: the file says that it is not to be looked at again.
var ErrNoInterval = errors.New("the file turns reloading off (its poll interval is 0); give --interval to watch it all the same")

// Watch applies files again when they change, as the originals did. The zero value of a field has no meaning of its own but for Interval.
type Watch struct {
	// Interval is the time between two looks; 0: what the file says, also when it says something new.
	Interval time.Duration
	// Read gives what the files hold now.
	Read func() ([][]byte, error)
	// Import makes a configuration of it.
	Import func(files [][]byte) *build.Result
	// Apply brings the difference between last and next into the group, in one transaction; last is nil the first time. When it fails it is called again
	// after the next interval.
	Apply func(ctx context.Context, last, next *config.Config) error
	// Tell reports an event, in one line.
	Tell func(format string, args ...any)
	// Faulty shows the report of files that cannot be imported, once for each change.
	Faulty func(*build.Result)
}

// watching is what Run knows from look to look.
type watching struct {
	w        *Watch
	interval time.Duration
	good     *config.Config // applied last
	seen     [sha256.Size]byte
	fresh    [sha256.Size]byte // seen once, at the last look: perhaps somebody is still writing
	settling bool              // look again after settleTime
	done     bool              // what has been seen is applied, or has been reported as faulty
	trouble  string
}

// Run looks, applies and waits until ctx ends, which is no error. A file that is faulty, half written or gone leaves the last good configuration in
// force and is reported once.
func (w *Watch) Run(ctx context.Context) error {
	s := watching{w: w, interval: w.Interval}
	for {
		switch err := s.look(ctx); {
		case errors.Is(err, errTurnedOff):
			return nil
		case err != nil:
			return err
		}
		if ctx.Err() != nil {
			return nil
		}
		wait := s.interval
		switch {
		case s.settling:
			wait = settleTime
		case wait == 0:
			wait = time.Minute // not known yet: there has been no good file
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
	}
}

// settleTime is how long a changed file must stay the same before it counts: half of workers.properties is a good file with fewer instances.
const settleTime = 250 * time.Millisecond

func (s *watching) look(ctx context.Context) error {
	s.settling = false
	files, err := s.w.Read()
	if err != nil {
		s.troubled(fmt.Sprintf("%v; the last good configuration stays in force", err))
		return nil
	}
	sum := fingerprint(files)
	if sum == s.seen && s.done {
		s.trouble, s.fresh = "", sum
		return nil
	}
	if sum != s.seen && s.seen != [sha256.Size]byte{} && sum != s.fresh {
		s.fresh, s.settling = sum, true
		return nil
	}
	if sum != s.seen {
		s.seen, s.done, s.trouble = sum, false, ""
	}
	res := s.w.Import(files)
	if res.Report.Failed() {
		s.done = true
		s.w.Faulty(res)
		return nil
	}
	if s.w.Interval == 0 {
		if res.Poll == 0 && s.good == nil {
			return ErrNoInterval
		}
		s.interval = res.Poll
	}
	if err := s.w.Apply(ctx, s.good, res.Config); err != nil {
		if ctx.Err() == nil {
			s.troubled(fmt.Sprintf("%v; it is tried again", err))
		}
		return s.off(res)
	}
	s.good, s.done, s.trouble = res.Config, true, ""
	return s.off(res)
}

// off ends the watch when the file says so.
func (s *watching) off(res *build.Result) error {
	if s.w.Interval != 0 || res.Poll != 0 {
		return nil
	}
	if !s.done { // the change that turns it off is still to be applied
		s.interval = time.Minute
		return nil
	}
	s.w.Tell("the file turns reloading off (its poll interval is 0): the watch ends")
	return errTurnedOff
}

// errTurnedOff ends a watch as the original would have.
var errTurnedOff = errors.New("turned off")

// troubled tells what is wrong, once for as long as it stays the same.
func (s *watching) troubled(text string) {
	if text != s.trouble {
		s.trouble = text
		s.w.Tell("%s", text)
	}
}

func fingerprint(files [][]byte) [sha256.Size]byte {
	h := sha256.New()
	for _, f := range files {
		fmt.Fprintf(h, "%d ", len(f))
		h.Write(f)
	}
	return [sha256.Size]byte(h.Sum(nil))
}

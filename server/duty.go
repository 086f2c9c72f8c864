package server

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/raftnode"
)

// dutyState is what the leader's duties read of the replicated state; *fsm.State is one.
type dutyState interface {
	Now() time.Time
	Operating() *fsm.Operating
	Sessions(fsm.InstanceID) int
	InstanceID(cluster, instance string) (fsm.InstanceID, bool)
	ModuleID(cluster, host, contextRoot string) (fsm.ModuleID, bool)
	ModuleSessions(fsm.ModuleID) int
	Events(after uint64, limit int) []fsm.Event
	LastEvent() uint64
}

// term is one term in which this node leads, as its duties see it.
type term struct {
	// node is this node's name.
	node  string
	state dutyState
	// propose has a command applied in this term only: whoever was cut off decides nothing for the next leader.
	propose func(context.Context, fsm.Command) (fsm.Result, error)
	reports *gatherer
	// clock is the group's time as this node knows it.
	clock func() time.Time
	// changed gives a channel that is closed when anything in Operating changes.
	changed func() <-chan struct{}
	log     *slog.Logger
	jobs    *jobs
}

// now is the time that the next entry would get, which the state never lets go back.
func (t *term) now() time.Time {
	now := t.clock()
	if state := t.state.Now(); state.After(now) {
		return state
	}
	return now
}

// duty is one thing that the group needs to have done by one node, the leader. A new leader begins with a new one, so whatever must
// outlive the leader is in the replicated state.
type duty interface {
	name() string
	// look does what is due and gives the time after which to look again; it is also called whenever Operating has changed.
	look(ctx context.Context) (again time.Duration, err error)
}

const (
	// never is when a duty that waits for a change looks again: a net below those that tell of changes.
	never = time.Minute
	// proposeWait bounds one proposal; after it the duty looks at the state anew.
	proposeWait = 3 * time.Second
	// A duty that failed looks again after retryFirst, then ever later, at most after retryLast.
	retryFirst, retryLast = 50 * time.Millisecond, time.Second
	// leaving is for how long a duty may hear that nothing was done, because this node does not lead, or hands over: then its term is about to end, and the next leader does it.
	leaving = 2 * time.Second
)

// run does all duties until ctx ends with the term.
func (t *term) run(ctx context.Context, duties ...duty) {
	var all sync.WaitGroup
	for _, d := range duties {
		all.Go(func() { t.keep(ctx, d) })
	}
	all.Wait()
}

func (t *term) keep(ctx context.Context, d duty) {
	timer := time.NewTimer(never)
	defer timer.Stop()
	retry := retryFirst
	var failing time.Time // since when all attempts have
	for ctx.Err() == nil {
		changed := t.changed() // asked before the state is looked at, so that no change slips through in between
		again, err := d.look(ctx)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			failing, retry = time.Time{}, retryFirst
			t.jobs.note(d.name(), nil)
		} else {
			if failing.IsZero() {
				failing = time.Now()
			}
			if !raftnode.TryAgain(err) || time.Since(failing) >= leaving {
				t.jobs.note(d.name(), err)
				t.log.Warn("leader's duty failed, it is tried again", "duty", d.name(), "error", err)
			}
			again, retry, changed = retry, min(2*retry, retryLast), nil
		}
		timer.Reset(max(again, 0))
		select {
		case <-changed:
		case <-timer.C:
		case <-ctx.Done():
		}
	}
}

// do proposes a command, for a bounded time.
func (t *term) do(ctx context.Context, c fsm.Command) (fsm.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, proposeWait)
	defer cancel()
	return t.propose(ctx, c)
}

// clip shortens words for people to what the state keeps, or to less, by whole characters: a longer text is refused, and what it is said of with it.
func clip(s string, most int) string {
	if len(s) <= most {
		return s
	}
	const more = " ..."
	most -= len(more)
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most] + more
}

// maxFailure is how long the words may be that the state keeps (fsm: 4096 bytes).
const maxFailure = 4000

// refusal makes an error of a result that is not what was hoped for.
func refusal(r fsm.Result) error {
	if r.Code == fsm.CodeOK {
		return nil
	}
	if r.Message != "" {
		return errors.New("refused: " + r.Message)
	}
	return errors.New("refused by the state")
}

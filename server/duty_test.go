package server

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-lb/holdfast/raftnode"
)

// failing is a duty that fails with err.
type failing struct {
	err  error
	runs atomic.Int64
}

func (*failing) name() string { return "failing" }

func (f *failing) look(context.Context) (time.Duration, error) {
	f.runs.Add(1)
	return 0, f.err
}

// TestDutiesThatLoseTheirLeader: while leadership moves each duty hears that nothing was done, and that is no news; when it goes on for as long as no move does, or when something else fails, it is.
func TestDutiesThatLoseTheirLeader(t *testing.T) {
	const warning = "leader's duty failed"
	for name, tc := range map[string]struct {
		err   error
		lasts time.Duration
		warns bool
	}{
		"a hand-over":                {raftnode.ErrNoQuorum, leaving - time.Second, false},
		"nothing is done for longer": {raftnode.ErrNoQuorum, leaving + 2*time.Second, true},
		"another error":              {errors.New("boom"), time.Millisecond, true},
		"nobody knows":               {errors.Join(raftnode.ErrNoQuorum, raftnode.ErrTimeout), time.Millisecond, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newFakeGroup()
				tm := g.term("n1")
				f := &failing{err: tc.err}
				tm.jobs.begin([]duty{f})
				kill := g.lead(tm, f)
				time.Sleep(tc.lasts)
				synctest.Wait()
				kill()
				if got := g.logged(warning) > 0; got != tc.warns {
					t.Errorf("a warning: %t, want %t", got, tc.warns)
				}
				if list := tm.jobs.snapshot(); (list[0].Error != "") != tc.warns {
					t.Errorf("%+v", list)
				}
				if f.runs.Load() == 0 {
					t.Error("it was not tried")
				}
			})
		})
	}
}

package field

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/holdfast-lb/holdfast/chaos/proc"
	"github.com/holdfast-lb/holdfast/chaos/vip/client"
	"github.com/holdfast-lb/holdfast/chaos/vip/watch"
)

// Round says how a fault is played.
type Round struct {
	// Hurt is how long the fault lasts at least, After how long is looked on after the heal; default 1.5 s each.
	Hurt, After time.Duration
	// Sessions are those whose requests the clients send in turn; nil: requests without a session only.
	Sessions *client.Sessions
	// Stampede lets all of the sessions come back at once, right after the take-over. That keeps every core busy, so clients are patient then, and outages mean little.
	Stampede bool
	// IPv6 asks the IPv6 address too.
	IPv6 bool
	// Steady bounds how long to wait for an orderly state before, and again after, the fault; default 30 s.
	Steady time.Duration
}

const (
	lead = 400 * time.Millisecond // before the fault
	// Paths under which the instances answer.
	sessionPath = "/plain/page"
	anyPath     = "/insert/page"
	slowPath    = "/insert/slow?ms=1000"
)

// MakeSessions makes sessions that only the table of the balancer can find.
func (n *Network) MakeSessions(ctx context.Context, count int) (*client.Sessions, error) {
	return client.MakeSessions(ctx, n.Dial(), target(Address4), sessionPath, count)
}

// Relearn takes the instances that the sessions are at now for right.
func (n *Network) Relearn(ctx context.Context, s *client.Sessions) error {
	limited, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	return s.Relearn(limited, n.Dial(), target(Address4))
}

// Steady waits until one node has the address, everybody is ready, and the address answers; it gives the node.
func (n *Network) Steady(ctx context.Context, s System) (holder int, err error) {
	err = proc.Poll(ctx, every, func() error {
		have := n.holders(Address4)
		if len(have) != 1 {
			return fmt.Errorf("%d nodes have the address", len(have))
		}
		holder = have[0]
		if err := s.Ready(ctx); err != nil {
			return err
		}
		limited, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		c, err := n.Dial()(limited, target(Address4))
		if err != nil {
			return fmt.Errorf("the address does not answer: %w", err)
		}
		return c.Close()
	})
	if err != nil {
		return 0, fmt.Errorf("%s: no orderly state: %w", s.Name(), err)
	}
	return holder, nil
}

// Play plays a fault on the present holder. The error is for what kept it from being played; what is wrong with the system is in the result.
func (n *Network) Play(ctx context.Context, s System, f Fault, r Round) (*Result, error) {
	if r.Hurt == 0 {
		r.Hurt = 1500 * time.Millisecond
	}
	if r.After == 0 {
		r.After = 1500 * time.Millisecond
	}
	if r.Steady == 0 {
		r.Steady = 30 * time.Second
	}
	r.Hurt = max(r.Hurt, f.Lasts)
	if f.Planned {
		r.Hurt = max(r.Hurt, plannedLasts)
	}
	result, err := n.play(ctx, s, f, r)
	if err != nil {
		return result, fmt.Errorf("%s: %s: %w", s.Name(), f.Name, err)
	}
	return result, nil
}

func (n *Network) play(ctx context.Context, s System, f Fault, r Round) (*Result, error) {
	limited, cancel := context.WithTimeout(ctx, r.Steady)
	defer cancel()
	holder, err := n.Steady(limited, s)
	if err != nil {
		return nil, err
	}
	v := &victim{network: n, system: s, node: holder, before: s.Processes(holder)}
	w, err := n.look()
	if err != nil {
		return nil, err
	}
	crowd := n.crowd(f, r)
	begin := time.Now()
	rest(ctx, lead+rand.N(200*time.Millisecond)) // at any moment between two heartbeats
	fault := time.Now()
	hurtErr := f.hurt(ctx, v)
	check := n.comeBackAfter(ctx, w, holder, f, r)
	rest(ctx, time.Until(fault.Add(r.Hurt)))
	checked := <-check
	if f.Planned {
		hurtErr = errors.Join(hurtErr, n.handedOver(ctx, v.node))
	}
	heal := time.Now()
	healErr := f.heal(ctx, v)
	healed := time.Now()
	again, cancel := context.WithTimeout(ctx, r.Steady)
	defer cancel()
	_, steadyErr := n.Steady(again, s)
	rest(ctx, time.Until(later(healed.Add(r.After), time.Now().Add(lead))))
	n.handOverEnds(ctx)
	end := time.Now()
	answers := crowd.stop()
	result := judge(span{begin, fault, heal, end}, s.Name(), f, holder, w, answers)
	result.Sessions, result.Right, result.SessionErr = checked.sessions, checked.right, checked.err
	w.close()
	return result, errors.Join(hurtErr, healErr, steadyErr)
}

// handedOver waits until one other node alone has the address.
func (n *Network) handedOver(ctx context.Context, from int) error {
	limited, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	return proc.Poll(limited, every, func() error {
		if have := n.holders(Address4); only(have) < 0 || have[0] == from {
			return fmt.Errorf("not handed over: the nodes %v have the address", have)
		}
		return nil
	})
}

// handOverEnds waits until not more than one node has the address, if that comes: the holder may have begun to hand over to a node that reaches more instances, whose kernel has the address silently
// until it takes over. How many have it in the end is judged.
func (n *Network) handOverEnds(ctx context.Context) {
	limited, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	_ = proc.Poll(limited, every, func() error {
		if have := n.holders(Address4); len(have) > 1 {
			return fmt.Errorf("the nodes %v have the address", have)
		}
		return nil
	})
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// rest waits.
func rest(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// watchers are those of one round.
type watchers struct {
	four, six *watch.Kernels
	samples   *watch.Samples
	link      *watch.Link
	stalls    *watch.Stalls
}

func (n *Network) look() (w *watchers, err error) {
	w = &watchers{}
	if w.four, err = watch.WatchKernels(n.spaces(), Address4); err != nil {
		return nil, err
	}
	if w.six, err = watch.WatchKernels(n.spaces(), Address6); err != nil {
		w.four.Close()
		return nil, err
	}
	if w.link, err = n.watchLink(); err != nil {
		w.four.Close()
		w.six.Close()
		return nil, err
	}
	w.samples = watch.TakeSamples(n.spaces(), Address4)
	w.stalls = watch.NoteStalls()
	return w, nil
}

func (w *watchers) close() {
	w.stalls.Stop()
	w.samples.Stop()
	w.link.Close()
	w.four.Close()
	w.six.Close()
}

// checked is what became of the sessions.
type checked struct {
	sessions, right int
	err             error
}

// comeBackAfter lets all sessions come back as soon as another node has the address, or at once where the holder stays.
func (n *Network) comeBackAfter(ctx context.Context, w *watchers, holder int, f Fault, r Round) <-chan checked {
	done := make(chan checked, 1)
	if !r.Stampede {
		done <- checked{}
		return done
	}
	go func() {
		limited, cancel := context.WithTimeout(ctx, 20*time.Second)
		defer cancel()
		if !f.Keeps && !f.MayKeep {
			err := proc.Poll(limited, time.Millisecond, func() error {
				for _, node := range w.four.SoFar().Holders(time.Now()) {
					if node != holder {
						return nil
					}
				}
				return errors.New("no other node has taken the address")
			})
			if err != nil {
				done <- checked{r.Sessions.Len(), 0, err}
				return
			}
		}
		right, err := r.Sessions.Check(limited, n.Dial(), target(Address4))
		done <- checked{r.Sessions.Len(), right, err}
	}()
	return done
}

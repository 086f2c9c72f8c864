package run

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-lb/holdfast/chaos/load"
	"github.com/holdfast-lb/holdfast/chaos/stage"
)

// kinds are those of the sessions, drawn with equal chances.
var kinds = []load.Kind{stage.Insert, stage.Sockets, stage.Learn, stage.Plain, stage.Uploads}

// clients is how many requests can be under way at once. Those that are due while none is free wait, and their waiting counts.
const clients = 128

// maxWaiting bounds the requests that wait for a client.
const maxWaiting = 1 << 17

// traffic is the clients of a run: an open loop.
type traffic struct {
	p      *player
	cancel context.CancelFunc
	due    chan job
	done   sync.WaitGroup // everything

	looked, readings, positions atomic.Int64 // answers to the reader

	mu     sync.Mutex
	idle   []*load.Session // those that no request of is under way
	random *rand.Rand
	made   int
}

// job is one request that is due.
type job struct {
	at    time.Time
	fresh bool // a new session
}

// begin lets the clients ask until stop.
func (p *player) begin() *traffic {
	ctx, cancel := context.WithCancel(context.Background())
	t := &traffic{p: p, cancel: cancel, due: make(chan job, maxWaiting), random: rand.New(rand.NewPCG(p.Seed, 2))}
	var schedules sync.WaitGroup
	l := p.Scenario.Load
	schedules.Go(func() { t.schedule(ctx, l.NewSessions, true) })
	schedules.Go(func() { t.schedule(ctx, l.Rate, false) })
	t.done.Go(func() {
		schedules.Wait()
		close(t.due)
	})
	for range clients {
		w := p.load.Worker()
		t.done.Go(func() {
			defer w.Close()
			for j := range t.due {
				t.ask(w, j)
			}
		})
	}
	t.done.Go(func() { t.read(ctx) })
	if l.Edits > 0 {
		t.done.Go(func() { p.operate(ctx, l.Edits) })
	}
	return t
}

// stop ends the asking, and waits for what is under way.
func (t *traffic) stop() {
	t.cancel()
	t.done.Wait()
}

// schedule makes requests due, rate in a second, at times that do not depend on anything.
func (t *traffic) schedule(ctx context.Context, rate float64, fresh bool) {
	if rate <= 0 {
		return
	}
	began := time.Now()
	for n := 1; ; n++ {
		at := began.Add(time.Duration(float64(n) / rate * float64(time.Second)))
		if wait := time.Until(at); wait > 0 && pause(ctx, wait) != nil || ctx.Err() != nil {
			return
		}
		select {
		case t.due <- job{at, fresh}:
		case <-ctx.Done():
			return
		}
	}
}

// ask makes one request. What becomes of it is in the ledger and the record.
func (t *traffic) ask(w *load.Worker, j job) {
	// Patience begins when a request is due: of thousands that wait because nobody answers, each would take its own otherwise, and a run with a group that is dead for good would go on for an hour.
	ctx, cancel := context.WithDeadline(context.Background(), j.at.Add(t.p.Scenario.Load.Patience))
	defer cancel()
	s, forge := t.take(j.fresh)
	w.Due(j.at)
	if s == nil {
		var err error
		if s, err = w.Start(ctx, kinds[w.Random().IntN(len(kinds))], load.Any); err != nil {
			return
		}
		if forge && s.Kind.Cookie != "" {
			_ = w.Forge(ctx, s)
		}
	} else {
		_ = w.Visit(ctx, s, load.Any)
	}
	t.giveBack(s)
}

// take gives a drawn session that nobody uses, nil when a new one is to be made; then it says whether that is to be attacked.
func (t *traffic) take(fresh bool) (s *load.Session, forge bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if fresh || len(t.idle) == 0 {
		t.made++
		every := t.p.Scenario.Load.ForgeEvery
		return nil, every > 0 && t.made%every == 0
	}
	i, last := t.random.IntN(len(t.idle)), len(t.idle)-1
	s = t.idle[i]
	t.idle[i] = t.idle[last]
	t.idle = t.idle[:last]
	return s, false
}

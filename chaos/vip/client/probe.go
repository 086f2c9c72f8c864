package client

import (
	"context"
	"sync"
	"time"

	"github.com/holdfast-lb/holdfast/chaos/vip/measure"
)

// Pace says how a Probe asks.
type Pace struct {
	Every            time.Duration // one request begins each time, whatever became of those before; default 5 ms
	Connect, Request time.Duration // how long each may take; default 100 and 300 ms
}

// Probe asks over a fresh connection each time, in an open loop.
type Probe struct {
	cancel  context.CancelFunc
	done    chan struct{}
	mu      sync.Mutex
	records measure.Requests
}

// StartProbe begins; next gives the i-th request and may be called by several goroutines at once.
func StartProbe(dial Dial, address string, pace Pace, next func(i int) Ask) *Probe {
	if pace.Every == 0 {
		pace.Every = 5 * time.Millisecond
	}
	if pace.Connect == 0 {
		pace.Connect = 100 * time.Millisecond
	}
	if pace.Request == 0 {
		pace.Request = 300 * time.Millisecond
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := &Probe{cancel: cancel, done: make(chan struct{})}
	go p.run(ctx, pace, func(i int) (Answer, error) {
		// Stop lets what is under way end: a request that is cut off by its own client would count as lost.
		return once(context.Background(), dial, address, next(i), limits{pace.Connect, pace.Request})
	})
	return p
}

func (p *Probe) run(ctx context.Context, pace Pace, ask func(int) (Answer, error)) {
	defer close(p.done)
	var running sync.WaitGroup
	defer running.Wait()
	begin := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for i := 0; ; i++ {
		// By the clock and not by a ticker: one that was late would leave requests out, just when it matters.
		timer.Reset(time.Until(begin.Add(time.Duration(i) * pace.Every)))
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		running.Go(func() {
			started := time.Now()
			answer, err := ask(i)
			p.record(measure.Request{Start: started, End: time.Now(), By: answer.Node, Err: cause(err)})
		})
	}
}

func (p *Probe) record(r measure.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.records = append(p.records, r)
}

// SoFar gives the requests that have ended.
func (p *Probe) SoFar() measure.Requests {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.records[:len(p.records):len(p.records)]
}

// Stop begins no more requests, waits for those that are under way, and gives all of them.
func (p *Probe) Stop() measure.Requests {
	p.cancel()
	<-p.done
	return p.SoFar()
}

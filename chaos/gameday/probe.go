package gameday

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/holdfast-lb/holdfast/chaos/record"
)

const (
	probeEvery = 100 * time.Millisecond
	// probeTime bounds a probe where an outage may be longer, or is not limited.
	probeTime = 5 * time.Second
	// window is how many answers a brake looks back.
	window = 100
)

// probes ask URLs at fixed times, whatever becomes of earlier requests.
type probes struct {
	urls   []string
	rec    *record.Recorder
	client *http.Client

	mu   sync.Mutex
	last []bool          // good answers, the newest last
	good time.Time       // when the last good one of all came
	why  string          // of the last bad one
	well map[string]bool // URLs that have given a good answer
}

// newProbes makes them. An answer for which a client waits longer than an outage may last is no good one: else an outage in which all requests hang, and are answered in the end, would not be seen.
func newProbes(urls []string, maxOutage time.Duration, rec *record.Recorder) *probes {
	limit := probeTime
	if maxOutage > 0 {
		limit = min(limit, maxOutage)
	}
	return &probes{urls: urls, rec: rec, well: map[string]bool{}, client: &http.Client{Timeout: limit}}
}

// run asks until ctx ends; the group is done when the last answer is there.
func (p *probes) run(ctx context.Context) *sync.WaitGroup {
	var all sync.WaitGroup
	for _, url := range p.urls {
		all.Go(func() {
			tick := time.NewTicker(probeEvery)
			defer tick.Stop()
			var asked sync.WaitGroup
			defer asked.Wait()
			for {
				select {
				case due := <-tick.C:
					asked.Go(func() { p.ask(context.WithoutCancel(ctx), url, due) })
				case <-ctx.Done():
					return
				}
			}
		})
	}
	return &all
}

func (p *probes) ask(ctx context.Context, url string, due time.Time) {
	err := p.once(ctx, url)
	ended := time.Now()
	p.rec.Request(due, ended, err == nil, 0)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.last = append(p.last, err == nil); len(p.last) > window {
		p.last = p.last[1:]
	}
	if err != nil {
		p.why = err.Error()
	} else {
		p.well[url], p.good = true, ended
	}
}

func (p *probes) once(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := p.client.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if _, err := io.Copy(io.Discard, io.LimitReader(response.Body, 1<<20)); err != nil {
		return err
	}
	if response.StatusCode >= http.StatusInternalServerError {
		return fmt.Errorf("%s: status %d", url, response.StatusCode)
	}
	return nil
}

// brake says that more answers are bad than may be, that there has been no good one for longer than may be (0: not limited), or that a URL has not given a good one yet: by a wrong one nobody would notice anything. Empty: not so.
func (p *probes) brake(most float64, outage time.Duration) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, url := range p.urls {
		if !p.well[url] {
			return "the probe " + url + " has not been answered yet" + p.lastBad()
		}
	}
	if silence := time.Since(p.good); len(p.urls) > 0 && outage > 0 && silence > outage {
		return "no probe has had a good answer for " + record.Short(silence) + p.lastBad()
	}
	bad := 0
	for _, good := range p.last {
		if !good {
			bad++
		}
	}
	if float64(bad) > most*window {
		return fmt.Sprintf("%d of the last %d probes failed, the last with: %s", bad, len(p.last), p.why)
	}
	return ""
}

// lastBad is what the last bad answer was, if there was one.
func (p *probes) lastBad() string {
	if p.why == "" {
		return ""
	}
	return "; the last that failed, with: " + p.why
}

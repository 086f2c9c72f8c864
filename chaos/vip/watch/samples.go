package watch

import (
	"sync"
	"time"
)

// SampleEvery is how often the kernels are asked.
const SampleEvery = 10 * time.Millisecond

// Sample is one look at all kernels.
type Sample struct {
	At      time.Time
	Holders []int
}

// Samples asks the kernels of all nodes again and again who has the address.
type Samples struct {
	stop, done chan struct{}
	mu         sync.Mutex
	all        []Sample
}

// TakeSamples begins.
func TakeSamples(nodes []Space, address string) *Samples {
	s := &Samples{stop: make(chan struct{}), done: make(chan struct{})}
	go s.run(nodes, address)
	return s
}

func (s *Samples) run(nodes []Space, address string) {
	defer close(s.done)
	tick := time.NewTicker(SampleEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-s.stop:
			return
		}
		sample := Sample{time.Now(), holders(nodes, address)}
		if len(sample.Holders) > 1 {
			// The kernels are asked one after the other, and the address may have moved on in between. Who holds it really does so still.
			sample.Holders = both(sample.Holders, holders(nodes, address))
		}
		s.mu.Lock()
		s.all = append(s.all, sample)
		s.mu.Unlock()
	}
}

func holders(nodes []Space, address string) (have []int) {
	for i, node := range nodes {
		if node.Has(address) {
			have = append(have, i)
		}
	}
	return have
}

func both(a, b []int) (in []int) {
	for _, x := range a {
		for _, y := range b {
			if x == y {
				in = append(in, x)
			}
		}
	}
	return in
}

// Two counts the samples between from and to in which two nodes or more had the address, and all samples.
func (s *Samples) Two(from, to time.Time) (two, all int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sample := range s.all {
		if sample.At.Before(from) || sample.At.After(to) {
			continue
		}
		all++
		if len(sample.Holders) > 1 {
			two++
		}
	}
	return two, all
}

// Stop ends it.
func (s *Samples) Stop() {
	close(s.stop)
	<-s.done
}

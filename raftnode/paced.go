package raftnode

import (
	"io"
	"time"
)

// pacedWriter makes whoever writes through it rest for as long as it has worked: between two writes it sleeps for the time since the last
// one, within bounds. A snapshot is made by one goroutine that never blocks by itself; unpaced it holds a core for a second at ten million
// assignments, and the requests that this core would serve wait for the scheduler's next tick (10 ms).
type pacedWriter struct {
	w    io.Writer
	last time.Time
}

const (
	// restMin is less than what a sleep costs; restMax keeps a stalled disk from doubling its stall.
	restMin = 100 * time.Microsecond
	restMax = 5 * time.Millisecond
)

// Write implements io.Writer.
func (p *pacedWriter) Write(b []byte) (int, error) {
	n, err := p.w.Write(b)
	if p.last.IsZero() {
		p.last = time.Now()
		return n, err
	}
	if worked := time.Since(p.last); worked >= restMin {
		time.Sleep(min(worked, restMax))
		p.last = time.Now()
	}
	return n, err
}

package server

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/holdfast-lb/holdfast/server/handoff"
)

const (
	// remainsEvery is how often a process that has handed on says what it still has in flight.
	remainsEvery = 100 * time.Millisecond
	// remainsSilence is from when on one that says nothing counts as gone: it is frozen, or its machine is far too busy.
	remainsSilence = 5 * time.Second
)

// remains is what a process that has handed on still does for the node.
type remains struct {
	InForce   uint64        `json:"inForce"`
	Instances []inFlightOf  `json:"instances,omitempty"`
	Modules   []moduleCount `json:"modules,omitempty"`
}

// inFlightOf and moduleCount are those with requests in flight alone.
type inFlightOf struct {
	Cluster  string `json:"cluster"`
	Instance string `json:"instance"`
	InFlight int64  `json:"inFlight"`
}

type moduleCount struct {
	Cluster     string `json:"cluster"`
	Host        string `json:"host,omitempty"`
	ContextRoot string `json:"contextRoot"`
	InFlight    int64  `json:"inFlight"`
}

// remaining looks, as describe does: first what is obeyed, then what is in flight.
func (s *Server) remaining() (r remains) {
	_, r.InForce, _ = s.balancer.InForce()
	for _, i := range s.balancer.Instances() {
		if i.InFlight > 0 {
			r.Instances = append(r.Instances, inFlightOf{i.Cluster, i.Instance, i.InFlight})
		}
	}
	for _, m := range s.balancer.Modules() {
		if m.InFlight > 0 {
			r.Modules = append(r.Modules, moduleCount(m))
		}
	}
	return r
}

// tellRemains says so to the next process until ctx ends.
func (s *Server) tellRemains(ctx context.Context, to io.Writer) error {
	tick := time.NewTicker(remainsEvery)
	defer tick.Stop()
	for {
		b, err := json.Marshal(s.remaining())
		if err == nil {
			err = handoff.WriteReport(to, b)
		}
		if err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// predecessor is the process before, as the next one knows it. A nil one is none.
type predecessor struct {
	mu   sync.Mutex
	last *remains // nil until it has said something
	gone bool
}

// add puts what the process before still does into what this node says of itself: whoever waits until nothing is in flight must wait for that too.
func (p *predecessor) add(d *description) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.gone:
		return
	case p.last == nil:
		d.InForce = 0
		return
	}
	d.InForce = min(d.InForce, p.last.InForce)
	for _, r := range p.last.Instances {
		for i := range d.Instances {
			if in := &d.Instances[i]; in.Cluster == r.Cluster && in.Instance == r.Instance {
				in.InFlight += r.InFlight
			}
		}
	}
	for _, r := range p.last.Modules {
		for i := range d.Modules {
			if m := &d.Modules[i]; m.Cluster == r.Cluster && m.Host == r.Host && m.ContextRoot == r.ContextRoot {
				m.InFlight += r.InFlight
			}
		}
	}
}

// over tells that the process before has ended, or that there was none.
func (p *predecessor) over() bool {
	if p == nil {
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.gone
}

// hear takes its reports until it ends.
func (p *predecessor) hear(from *bufio.Reader, deadline func(time.Time) error) error {
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.gone = true
	}()
	for {
		_ = deadline(time.Now().Add(remainsSilence))
		b, err := handoff.ReadReport(from)
		if err != nil {
			return err
		}
		var r remains
		if err := json.Unmarshal(b, &r); err != nil {
			return fmt.Errorf("%w: %w", handoff.ErrStream, err)
		}
		p.mu.Lock()
		p.last = &r
		p.mu.Unlock()
	}
}

// accompany hears what the process before still does, until it has ended.
func (s *Server) accompany(ctx context.Context, stream net.Conn) {
	defer stream.Close()
	defer context.AfterFunc(ctx, func() { _ = stream.Close() })()
	err := s.before.hear(bufio.NewReader(stream), stream.SetReadDeadline)
	if !errors.Is(err, io.EOF) && ctx.Err() == nil {
		s.log.Warn("the process before does not say what it still does; it counts as gone", "error", err)
	} else if ctx.Err() == nil {
		s.log.Info("the process before has ended: every client is this one's")
	}
}

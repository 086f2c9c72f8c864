package server

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/lb"
	"github.com/holdfast-lb/holdfast/raftnode"
)

// memberReport is what one member of the group says about itself, for the leader's duties.
type memberReport struct {
	node  string
	self  bool
	voter bool
	addr  string // by which other nodes dial it, as the membership has it
	zone  string
	// reachable is false when it did not answer, or in a way that cannot be read; then the rest is empty.
	reachable bool
	// started tells one process of a node from the next.
	started time.Time
	// skew is the node's clock minus this one's, exact to half of rtt.
	skew, rtt time.Duration
	// disk is why it should not lead because of its disk, empty when that is sound.
	disk string
	// quarantine is why it has taken itself out of service, nil when it has not.
	quarantine *raftnode.Quarantine
	description

	// places are those in Instances, once index has been called.
	places map[fsm.InstanceRef]int
}

// index makes instance fast: a duty asks for each of thousands.
func (r *memberReport) index() {
	r.places = make(map[fsm.InstanceRef]int, len(r.Instances))
	for i, s := range r.Instances {
		r.places[fsm.InstanceRef{Cluster: s.Cluster, Instance: s.Instance}] = i
	}
}

// instance finds what the node says about an instance, nil for nothing.
func (r *memberReport) instance(cluster, name string) *lb.InstanceStatus {
	if r.places != nil {
		if i, ok := r.places[fsm.InstanceRef{Cluster: cluster, Instance: name}]; ok {
			return &r.Instances[i]
		}
		return nil
	}
	for i := range r.Instances {
		if s := &r.Instances[i]; s.Instance == name && s.Cluster == cluster {
			return s
		}
	}
	return nil
}

func newReport(m raftnode.MemberInfo, self string) memberReport {
	r := memberReport{node: m.Name, self: m.Name == self, voter: m.Voter, addr: m.Addr, zone: m.Info.Zone, started: m.Info.Started, skew: m.Skew, rtt: m.RTT, disk: m.Info.Disk, quarantine: m.Info.Quarantine}
	if m.Reachable && json.Unmarshal(m.Info.Detail, &r.description) == nil {
		r.reachable = true
	}
	return r
}

// reportWait bounds one gathering: a node that is silent for longer does not report.
const reportWait = 500 * time.Millisecond

// gatherer asks all members for all duties: who asks shortly after another gets the same answers.
type gatherer struct {
	ask func(context.Context) []memberReport

	mu   sync.Mutex
	last []memberReport
	at   time.Time // when the last gathering began; the answers are at least as new
}

// get gives reports of which none is older than maxAge, and when they were asked for.
func (g *gatherer) get(ctx context.Context, maxAge time.Duration) ([]memberReport, time.Time) {
	asked := time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.at.IsZero() && asked.Sub(g.at) <= maxAge {
		return g.last, g.at
	}
	ctx, cancel := context.WithTimeout(ctx, reportWait)
	defer cancel()
	g.at = time.Now()
	g.last = g.ask(ctx)
	for i := range g.last {
		g.last[i].index()
	}
	return g.last, g.at
}

// now asks at once, beside all others, and for at most wait: for whoever has something else to do by then.
func (g *gatherer) now(ctx context.Context, wait time.Duration) []memberReport {
	ctx, cancel := context.WithTimeout(ctx, min(wait, reportWait))
	defer cancel()
	return g.ask(ctx)
}

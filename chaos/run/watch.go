package run

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/holdfast-lb/holdfast/admin/client"
	"github.com/holdfast-lb/holdfast/chaos/check"
	"github.com/holdfast-lb/holdfast/chaos/group"
)

const (
	// lookEvery is how often each node is asked what it sees, and what they said is looked at.
	lookEvery = 250 * time.Millisecond
	// wordTime is how long a node has for it: while another one stands still, it waits a second for that one before it answers.
	wordTime = 3 * time.Second
	// wordLasts is how long the word of a node counts.
	wordLasts = 2 * time.Second
	// eventTime is how long the leader has to tell what happened.
	eventTime = time.Second / 2
)

// watch follows what the nodes say, and which process ends without having been told to, until ctx ends.
func (p *player) watch(ctx context.Context) *sync.WaitGroup {
	w := &words{Nodes: p.members(), nodes: p.stage.Group.Nodes, views: make([]check.View, len(p.stage.Group.Nodes)), at: make([]time.Time, len(p.stage.Group.Nodes))}
	p.evidence.Group = w
	p.field.Leads = w.leads
	var all sync.WaitGroup
	for i, n := range p.stage.Group.Nodes {
		all.Go(func() { w.ask(ctx, i) })
		all.Go(func() { p.guard(ctx, n) })
	}
	all.Go(func() { p.evidence.Observe(ctx, lookEvery) })
	all.Go(func() { p.doubt(ctx, w) })
	return &all
}

// words is the group by what its nodes said last: one that does not answer keeps nobody from hearing the others.
type words struct {
	check.Nodes
	nodes []*group.Node

	mu    sync.Mutex
	views []check.View
	at    []time.Time
}

// ask asks one node again and again.
func (w *words) ask(ctx context.Context, i int) {
	for pause(ctx, lookEvery) == nil {
		if !w.nodes[i].Alive() {
			continue
		}
		limited, cancel := context.WithTimeout(ctx, wordTime)
		view := w.Nodes[i : i+1].Look(limited)[0]
		cancel()
		w.mu.Lock()
		w.views[i], w.at[i] = view, time.Now()
		w.mu.Unlock()
	}
}

// Look implements check.Group.
func (w *words) Look(context.Context) []check.View {
	w.mu.Lock()
	defer w.mu.Unlock()
	views := slices.Clone(w.views)
	for i, n := range w.nodes {
		if !n.Alive() || time.Since(w.at[i]) > wordLasts {
			views[i] = check.View{Node: n.Name, Error: "no answer", Pending: -1}
		}
	}
	return views
}

// Happened does not ask for long: the time line waits for it.
func (w *words) Happened(ctx context.Context, node string, after uint64) ([]client.Event, error) {
	limited, cancel := context.WithTimeout(ctx, eventTime)
	defer cancel()
	return w.Nodes.Happened(limited, node, after)
}

// doubt tells the ledger when nobody leads, or some node says that it reaches no majority: what it decides then counts for its clients only.
func (p *player) doubt(ctx context.Context, w *words) {
	var over func()
	for pause(ctx, lookEvery/2) == nil {
		alone := w.leads() == "" || slices.ContainsFunc(w.Look(ctx), func(v check.View) bool { return v.Error == "" && !v.Quorum })
		switch {
		case alone && over == nil:
			over = p.load.Ledger.Doubt()
		case !alone && over != nil:
			over()
			over = nil
		}
	}
	if over != nil {
		over()
	}
}

// leads gives the node that leads by its own word, the one of the highest term if several do; empty for none.
func (w *words) leads() (leader string) {
	term := uint64(0)
	for _, v := range w.Look(context.Background()) {
		if v.Error == "" && v.Quorum && v.Leader == v.Node && v.Term >= term {
			leader, term = v.Node, v.Term
		}
	}
	return leader
}

// guard notes when a node's process ends that nobody has ended, and starts it again.
func (p *player) guard(ctx context.Context, n *group.Node) {
	ends := 0
	for pause(ctx, lookEvery) == nil {
		if !p.ended(n) {
			continue
		}
		if ends++; ends > maxEnds {
			p.note(n.Name, fmt.Sprintf("node %s is left as it is", n.Name))
			return
		}
		if err := n.Start(); err != nil {
			p.note(n.Name, err.Error())
		}
	}
}

// ended notes, once for each process, that a node's has ended although nobody has ended it.
func (p *player) ended(n *group.Node) bool {
	now := n.Process()
	if now == nil || now.Alive() || p.field.MayBeDown(n.Name) || n.Process() != now {
		return false
	}
	p.mu.Lock()
	known := p.dead[now]
	p.dead[now] = true
	p.mu.Unlock()
	if known {
		return false
	}
	text := fmt.Sprintf("node %s has ended by itself: %v", n.Name, now.Err())
	p.breaks("%s; its last lines: %s", text, now.Tail(5, nil))
	p.note(n.Name, text)
	return true
}

// maxEnds is how often a node that ends by itself is started again.
const maxEnds = 3

// breaks notes what no check sees.
func (p *player) breaks(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.broken = append(p.broken, fmt.Sprintf(format, args...))
}

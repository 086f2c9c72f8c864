package server

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
)

// sharesEvery is how often shares move at most.
const sharesEvery = 250 * time.Millisecond

// turnSeconds is how long a node has a connection for itself when there are fewer than nodes that need one.
const turnSeconds = 2

// sharesDuty divides the maxConnections of each instance over the nodes, so that the bound holds over all of them without a word between them for
// each request.
//
// The sum never exceeds the bound, not even while shares move: a share is lowered first, and what was lowered is given to another node only when the
// first has said that it obeys (InForce) and has no more in flight than it may. A node that does not answer keeps its share, for its connections may
// live, until it answers or is removed from the group. A new leader does not know whether the last one's lowering is obeyed everywhere yet, so what
// is not given out when its term begins stays back until every node has said that it obeys what is in force since then.
//
// A lower bound in the configuration is in force at once for what the state gives out, but requests that are under way end by themselves.
type sharesDuty struct {
	*term
	at time.Time // of the last gathering

	begun bool
	// unsure: a command of this term may or may not have taken effect. The next one that surely did settles it.
	unsure bool
	// start is what must be obeyed everywhere before the reserve is free: Operating.Index when the term began.
	start    uint64
	settled  bool
	reserves map[fsm.InstanceID]int
	held     map[shareKey]lowered
	seen     map[shareKey]int // the shares when the duty last looked
	yields   map[shareKey]yields
}

// shareKey is one node's share of one instance.
type shareKey struct {
	instance fsm.InstanceID
	node     string
}

// lowered remembers what a node may hold until it obeys the command at index.
type lowered struct {
	index uint64
	limit int
}

func (*sharesDuty) name() string { return "shares" }

func (d *sharesDuty) look(ctx context.Context) (time.Duration, error) {
	op := d.state.Operating()
	bounds := d.bounds(op)
	d.begin(op, bounds)
	d.notice(op)
	if len(bounds) == 0 && len(op.Shares) == 0 {
		return never, nil
	}
	if wait := time.Until(d.at.Add(sharesEvery)); !d.at.IsZero() && wait > 0 {
		return wait, nil
	}
	var reports []memberReport
	reports, d.at = d.reports.get(ctx, sharesEvery/2)
	if len(reports) == 0 {
		return sharesEvery, nil
	}
	next := d.divideAll(op, bounds, reports)
	if slices.Equal(next, op.Shares) && !d.unsure {
		return sharesEvery, nil
	}
	r, err := d.do(ctx, &fsm.SharesSet{Shares: next})
	if err == nil && r.Code != fsm.CodeOK {
		return 0, refusal(r) // for certain it was not done: the configuration has changed meanwhile
	}
	d.settle(next, r.Index, err)
	return sharesEvery, err
}

// boundedInstance is one with a bound.
type boundedInstance struct {
	id            fsm.InstanceID
	cluster, name string
	limit         int
}

// bounds lists the instances with a bound by id.
func (d *sharesDuty) bounds(op *fsm.Operating) (list []boundedInstance) {
	for i := range op.Config.Clusters {
		c := &op.Config.Clusters[i]
		for j := range c.Instances {
			in := &c.Instances[j]
			if id, ok := d.state.InstanceID(c.Name, in.Name); ok && in.MaxConnections > 0 {
				list = append(list, boundedInstance{id, c.Name, in.Name, in.MaxConnections})
			}
		}
	}
	slices.SortFunc(list, func(a, b boundedInstance) int { return int(a.id) - int(b.id) })
	return list
}

// begin notes what is not given out when the term begins.
func (d *sharesDuty) begin(op *fsm.Operating, bounds []boundedInstance) {
	if d.begun {
		return
	}
	d.begun, d.start, d.held, d.yields = true, op.Index, make(map[shareKey]lowered), make(map[shareKey]yields)
	d.reserves = make(map[fsm.InstanceID]int)
	sum, divided := make(map[fsm.InstanceID]int), make(map[fsm.InstanceID]bool)
	for _, s := range op.Shares {
		sum[s.Instance] += s.Limit
		divided[s.Instance] = true
	}
	for _, b := range bounds {
		if divided[b.id] { // otherwise nobody has ever had a share
			d.reserves[b.id] = max(b.limit-sum[b.id], 0)
		}
	}
}

// divideAll gives all shares as they should be, in the order of the state.
func (d *sharesDuty) divideAll(op *fsm.Operating, bounds []boundedInstance, reports []memberReport) []fsm.Share {
	if !d.settled {
		d.settled = true
		for _, r := range reports {
			d.settled = d.settled && r.reachable && r.InForce >= d.start
		}
		if d.settled {
			d.reserves = nil
		}
	}
	limits := make(map[shareKey]int, len(op.Shares))
	for _, s := range op.Shares {
		limits[shareKey{s.Instance, s.Node}] = s.Limit
	}
	turn := int(d.at.Unix() / turnSeconds)
	var next []fsm.Share
	for _, b := range bounds {
		nodes := make([]nodeUse, len(reports))
		for i := range reports {
			nodes[i] = d.use(&reports[i], b, limits)
		}
		slices.SortFunc(nodes, func(x, y nodeUse) int { return compareShares(fsm.Share{Node: x.node}, fsm.Share{Node: y.node}) })
		for i, n := range divide(b.limit, d.reserves[b.id], turn, nodes) {
			// A share of 0 is written down too: it says that the bound has been divided, so that somebody may use what it was before.
			next = append(next, fsm.Share{Instance: b.id, Node: nodes[i].node, Limit: n})
		}
	}
	slices.SortFunc(next, compareShares)
	return next
}

// use is what a node has and needs of an instance. What it holds beyond its share is remembered until it says that it does not any more: it may fall
// silent before that.
func (d *sharesDuty) use(r *memberReport, b boundedInstance, limits map[shareKey]int) nodeUse {
	key := shareKey{b.id, r.node}
	n := nodeUse{node: r.node, reports: r.reachable, share: limits[key]}
	low, waits := d.held[key]
	if r.reachable {
		flying := 0
		if s := r.instance(b.cluster, b.name); s != nil {
			flying = int(s.InFlight)
			went := d.yielded(key, s.Yielded, flying)
			n.demand, n.starved = int(s.InFlight+s.Waiting)+went, s.Waiting > 0 || went > 0
		}
		switch obeys := r.InForce >= low.index; {
		case flying > n.share:
			if !obeys {
				flying = max(flying, low.limit)
			}
			low.limit, waits = flying, true
			d.held[key] = low
		case obeys:
			delete(d.held, key)
			waits = false
		}
	}
	n.held = n.share
	if waits {
		n.held = max(n.held, low.limit)
	}
	return n
}

// notice compares with what the state held when the duty last looked: who has a smaller share now, by a command of this duty or because the
// configuration has a smaller bound, may use the old one until it says that it obeys.
func (d *sharesDuty) notice(op *fsm.Operating) {
	now := make(map[shareKey]int, len(op.Shares))
	for _, s := range op.Shares {
		now[shareKey{s.Instance, s.Node}] = s.Limit
	}
	for key, limit := range d.seen {
		if now[key] < limit {
			low := d.held[key]
			d.held[key] = lowered{max(op.Index, low.index), max(limit, low.limit)}
		}
	}
	d.seen = now
}

// settle notes how a command ended. After an error nobody knows whether it took effect, or still will: then the larger of the old and the new share
// counts, until nodes obey the next command that surely did, which comes after it in the log.
func (d *sharesDuty) settle(next []fsm.Share, index uint64, err error) {
	if err == nil {
		index = min(index, d.state.Operating().Index) // a command that changes nothing leaves the latter where it is
		for key, low := range d.held {
			if low.index == unknownIndex {
				d.held[key] = lowered{index, low.limit}
			}
		}
		d.unsure = false
		return
	}
	d.unsure = true
	suspect := func(key shareKey, limit int) {
		d.held[key] = lowered{unknownIndex, max(limit, d.held[key].limit)}
	}
	for key, limit := range d.seen {
		suspect(key, limit)
	}
	for _, s := range next {
		suspect(shareKey{s.Instance, s.Node}, s.Limit)
	}
}

// unknownIndex is that of a command that may or may not be in the log.
const unknownIndex = math.MaxUint64

package server

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/lb"
)

// A node that does not reach an instance which other nodes reach is the wrong one to hold the addresses: the sessions of that instance would leave it. It
// may hold them all the same, because a holder that serves most sessions is better than none; but another node is preferred to it.

// fitSettle is how long another node must reach more than the holder before the addresses move there: an instance that dies is noticed by one node first.
const fitSettle = 3 * time.Second

// contender is a node that could hold the addresses and reaches more, and since when that has been so.
type contender struct {
	node  string
	since time.Time
}

// instanceIDs is the part of the state that tells instances by name.
type instanceIDs interface {
	InstanceID(cluster, instance string) (fsm.InstanceID, bool)
}

// lacks lists the enabled instances that a node does not reach although the group has not found them failed.
func (r *memberReport) lacks(op *fsm.Operating, ids instanceIDs) (list []*lb.InstanceStatus) {
	for i := range r.Instances {
		s := &r.Instances[i]
		if s.Health != "down" || s.Unproven || !s.Enabled {
			continue
		}
		id, ok := ids.InstanceID(s.Cluster, s.Instance)
		failed := func(v fsm.Verdict) bool { return v.Instance == id && v.State == fsm.HealthFailed }
		if ok && !slices.ContainsFunc(op.Verdicts, failed) {
			list = append(list, s)
		}
	}
	return list
}

// reaches tells whether the node has an instance for available.
func (r *memberReport) reaches(s *lb.InstanceStatus) bool {
	own := r.instance(s.Cluster, s.Instance)
	return own != nil && own.Health != "down"
}

// proved tells whether the node has reached an instance after another one, by whose clock s.Since is, had found it unavailable. at is when both reported; skew
// is the other one's clock minus this one's. A node that has not checked it since knows no better.
func (r *memberReport) proved(s *lb.InstanceStatus, at time.Time, skew time.Duration) bool {
	own := r.instance(s.Cluster, s.Instance)
	return r.reaches(s) && own.AnsweredAgo > 0 && time.Duration(own.AnsweredAgo)*time.Millisecond < at.Add(skew).Sub(s.Since)
}

// fits tells whether a node reaches whatever the holder does.
func (d *holderDuty) fits(op *fsm.Operating, r, holder *memberReport) bool {
	return !slices.ContainsFunc(r.lacks(op, d.state), holder.reaches)
}

// fitter gives the node that reaches everything that this one does, and more; and what that is. It is "" for none.
func (d *holderDuty) fitter(op *fsm.Operating, reports []memberReport, at time.Time) (node, more string) {
	self := ownReport(reports)
	if self == nil {
		return "", ""
	}
	lacks := self.lacks(op, d.state)
	if len(lacks) == 0 {
		return "", ""
	}
	var best *candidate
	for i := range reports {
		r := &reports[i]
		if _, out := evacuation(op, r.node); r.self || out || r.mayHold(true) != nil || !d.fits(op, r, self) {
			continue
		}
		var names []string
		for _, s := range lacks {
			if r.proved(s, at, self.skew) {
				names = append(names, s.Cluster+"/"+s.Instance)
			}
		}
		c := candidate{r.node, preference(op.Config, r.node, r.zone), len(r.lacks(op, d.state)), r.VIP.without(self.VIP.ips())}
		if len(names) > 0 && (best == nil || c.compare(*best) < 0) {
			best, more = &c, strings.Join(names, ", ")
		}
	}
	if best == nil {
		return "", ""
	}
	return best.node, more
}

// moveToFitter hands over to a node that has reached more than this one for long enough. It tells whether it has tried.
func (d *holderDuty) moveToFitter(ctx context.Context, op *fsm.Operating, reports []memberReport, at time.Time) (time.Duration, bool) {
	node, more := d.fitter(op, reports, at)
	if node != d.better.node {
		d.better = contender{node, at}
	}
	if node == "" || at.Sub(d.better.since) < fitSettle {
		return 0, false
	}
	if d.failed == "" { // the first try
		d.log.Info("another node is to hold the virtual address: it reaches instances that this one does not", "to", node, "instances", clip(more, maxReason))
	}
	wait, err := d.move(ctx, node, drainTime, "that node reaches instances that this one does not")
	return wait, err == nil
}

func ownReport(reports []memberReport) *memberReport {
	if i := slices.IndexFunc(reports, func(r memberReport) bool { return r.self }); i >= 0 {
		return &reports[i]
	}
	return nil
}

// candidate is a node that could hold the addresses; the smaller without, then lacks, then rank, the rather.
type candidate struct {
	node    string
	rank    int
	lacks   int // instances that it does not reach
	without int // addresses of the holder that it has not got: connections to them could not be sent on to it, and nobody would have them
}

func (c candidate) compare(o candidate) int {
	return cmp.Or(cmp.Compare(c.without, o.without), cmp.Compare(c.lacks, o.lacks), cmp.Compare(c.rank, o.rank), cmp.Compare(c.node, o.node))
}

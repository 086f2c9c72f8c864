package fsm

import (
	"fmt"
	"slices"
	"time"
)

// operatingItem adds one item of what operators do. What it needs others for is checked at the end.
func (r *restorer) operatingItem(it item, b []byte) error {
	o := &r.op
	ok := true
	var err error
	switch it {
	case itemModule:
		return r.module(b)
	case itemOperating:
		p := parser{b: b}
		ok = o.Index == 0
		o.Index = p.u64()
		ok = ok && p.done() && o.Index != 0
	case itemQuiesce:
		var q Quiesce
		q, ok = parseQuiesce(b)
		o.Quiesces = append(o.Quiesces, q)
	case itemLock:
		first := o.Lock == nil
		o.Lock, ok = parseLock(b)
		ok = ok && first
	case itemVerdict:
		var v Verdict
		v, ok = parseVerdict(b)
		o.Verdicts = append(o.Verdicts, v)
	case itemRegistration:
		var g Registration
		g, err = parseRegistration(b)
		o.Registered = append(o.Registered, g)
	case itemSchedule:
		var s Schedule
		s, err = parseSchedule(b)
		o.Schedules = append(o.Schedules, s)
	case itemWorkflow:
		var w *Workflow
		w, ok = parseWorkflow(b)
		o.Workflows = append(o.Workflows, w)
	case itemShare:
		var s Share
		s, ok = parseShare(b)
		o.Shares = append(o.Shares, s)
	case itemHolder:
		first := o.Holder == nil
		o.Holder, ok = parseHolder(b)
		ok = ok && first
	case itemEvacuation:
		var e Evacuation
		e, ok = parseEvacuation(b)
		o.Evacuated = append(o.Evacuated, e)
	case itemBackups:
		first := o.Backups == nil
		o.Backups, ok = parseBackups(b)
		ok = ok && first
	case itemCertificate, itemTicketKey:
		ok = r.tlsItem(it, b)
	case itemRevocation:
		var v Revocation
		v, ok = parseRevocation(b)
		o.Revocations = append(o.Revocations, v)
	case itemAccess:
		ok = r.accessItem(b)
	case itemACME:
		ok = r.acmeItem(b)
	case itemRaised:
		return r.raised(b)
	case itemFile:
		ok = r.file(b)
	case itemEvent:
		return r.event(b)
	case itemDecision:
		return r.decision(b)
	}
	if err == nil && !ok {
		err = fmt.Errorf("impossible item")
	}
	return err
}

func (r *restorer) module(b []byte) error {
	id, ref, ok := parseModule(b)
	m := r.modules
	if !ok || m.ids[ref] != 0 || len(m.refs) >= maxModules || id != uint32(len(m.refs)+1) {
		return fmt.Errorf("impossible module id %d", id)
	}
	m.refs = append(m.refs, ref)
	m.ids[ref] = ModuleID(id)
	return nil
}

func (r *restorer) event(b []byte) error {
	e, ok := parseEvent(b)
	if n := len(r.events); n > 0 {
		last := &r.events[n-1]
		ok = ok && n < maxEvents && e.Seq == last.Seq+1 && e.Index >= last.Index && !e.Time.Before(last.Time)
	}
	if !ok || e.Index > r.index || !r.past(e.Time) {
		return fmt.Errorf("impossible event %d", e.Seq)
	}
	r.events = append(r.events, e)
	return nil
}

func (r *restorer) decision(b []byte) error {
	d, ok := parseDecision(b)
	list := r.r.decisions.list
	if n := len(list); n > 0 {
		last := &list[n-1]
		ok = ok && n < maxDecisions && d.is.index() >= last.is.index() && d.at >= last.at
	}
	n, m := r.names, r.modules
	if !ok || !n.known(d.from) || d.to != 0 && !n.known(d.to) || d.to == d.from || d.at < 0 || d.at > r.r.now.Load() ||
		d.is.index() == 0 || !d.is.possible(m, r.index) || !d.was.possible(m, d.is.index()) {
		return fmt.Errorf("impossible decision %d", d.is.index())
	}
	r.r.decisions.list = append(list, d)
	r.r.items.add(decisionSum(&d))
	return nil
}

// past tells whether a time that the state has set is one: it is not after the replicated time.
func (r *restorer) past(t time.Time) bool { return !t.After(millis(r.r.now.Load())) }

// finishOperating checks what only the whole can show, and puts it in force.
func (r *restorer) finishOperating() error {
	rev := r.r.history.Load().current()
	n, o := r.r.names.Load(), &r.op
	stay, inForce := enforced(rev.Config, o.Registered)
	if more := n.fresh(inForce); len(more) > 0 {
		return fmt.Errorf("instance %s of cluster %s has no id", more[0].Instance, more[0].Cluster)
	}
	if o.Index == 0 {
		o.Index = rev.Index
	} else if o.Index <= rev.Index || o.Index > r.index {
		return fmt.Errorf("impossible index %d of the last change", o.Index)
	}
	if len(stay) != len(o.Registered) || len(stay) > maxRegistered {
		return fmt.Errorf("impossible registered instances")
	}
	o.Revision, o.Config = rev, inForce
	for _, problem := range []string{r.registeredProblem(), r.quiescesProblem(), r.lockProblem(), r.verdictsProblem(n), r.schedulesProblem(), r.workflowsProblem(),
		r.sharesProblem(n), r.holderProblem(), r.evacuationsProblem(), r.backupsProblem(), r.revocationsProblem(), r.raisedProblem(), r.certificatesProblem(), r.ticketKeysProblem(), r.acmeProblem(), r.accessProblem(), r.filesProblem(), r.eventsProblem(), r.restoringProblem()} {
		if problem != "" {
			return fmt.Errorf("impossible %s", problem)
		}
	}
	r.r.names.Store(n.with(nil, inForce))
	r.r.events.Store(&r.events)
	r.r.parts.update(&Operating{}, o)
	r.r.operating.Store(o)
	return nil
}

func (r *restorer) registeredProblem() string {
	for i := range r.op.Registered {
		g := &r.op.Registered[i]
		if findRegistration(r.op.Registered, g.Cluster, g.Instance.Name) != i || g.Instance.Name == "" || !r.past(g.Since) {
			return "registered instance"
		}
	}
	return ""
}

func (r *restorer) quiescesProblem() string {
	o := &r.op
	if len(o.Quiesces) == 0 {
		return ""
	}
	all := subjectsOf(o.Config)
	seen := make(map[Subject]bool, len(o.Quiesces))
	for i := range o.Quiesces {
		q := &o.Quiesces[i]
		st, exists := all.of[q.Subject]
		if !exists || st.enabled || seen[q.Subject] || q.ID == 0 || q.ID > o.Index || i > 0 && q.ID < o.Quiesces[i-1].ID ||
			!r.past(q.Started) || q.Deadline.Before(q.Started) || q.Revision > o.Revision.Number {
			return "quiesce"
		}
		seen[q.Subject] = true
	}
	return ""
}

func (r *restorer) lockProblem() string {
	l := r.op.Lock
	if l == nil {
		return ""
	}
	var k check
	k.id("the owner", l.Owner)
	k.text("the reason", l.Reason)
	if k.message != "" || l.ID == 0 || l.ID > r.op.Index || !r.past(l.Since) || !l.Until.IsZero() && l.Until.Before(l.Since) {
		return "lock"
	}
	return ""
}

func (r *restorer) verdictsProblem(n *names) string {
	known := configuredInstances(n, r.op.Config)
	for i := range r.op.Verdicts {
		v := &r.op.Verdicts[i]
		if known[v.Instance] == nil || i > 0 && r.op.Verdicts[i-1].Instance >= v.Instance || len(v.Reason) > maxTextBytes || !r.past(v.Since) {
			return "verdict"
		}
	}
	return ""
}

func (r *restorer) schedulesProblem() string {
	list := r.op.Schedules
	total := 0
	for i := range list {
		s := &list[i]
		total += s.bytes()
		twice := slices.IndexFunc(list, func(x Schedule) bool { return x.ID == s.ID }) != i
		if len(list) > maxSchedules || total > maxScheduleBytes || s.problem() != "" || twice || i > 0 && compareSchedules(list[i-1], *s) >= 0 || !r.past(s.Created) {
			return "schedule"
		}
	}
	return ""
}

func (r *restorer) workflowsProblem() string {
	list := r.op.Workflows
	for i, w := range list {
		twice := slices.IndexFunc(list, func(x *Workflow) bool { return x.ID == w.ID }) != i
		if len(list) > maxWorkflows || twice || w.Version == 0 || w.Version > r.op.Index || !r.past(w.Updated) || w.Updated.Before(w.Created) {
			return "workflow"
		}
	}
	return ""
}

func (r *restorer) sharesProblem(n *names) string {
	for i := range r.op.Shares {
		s := &r.op.Shares[i]
		if s.Node == "" || len(s.Node) > maxNameBytes || i > 0 && compareShares(r.op.Shares[i-1], *s) >= 0 {
			return "share"
		}
	}
	if sharesProblem(r.op.Shares, n, r.op.Config) != "" {
		return "shares"
	}
	return ""
}

func (r *restorer) holderProblem() string {
	if h := r.op.Holder; h != nil && (h.Index == 0 || h.Index > r.op.Index || !r.past(h.Since)) {
		return "holder"
	}
	return ""
}

func (r *restorer) evacuationsProblem() string {
	list := r.op.Evacuated
	for i := range list {
		if len(list) > maxEvacuations || i > 0 && list[i-1].Node >= list[i].Node || !r.past(list[i].Since) {
			return "evacuation"
		}
	}
	return ""
}

func (r *restorer) backupsProblem() string {
	b := r.op.Backups
	if b == nil {
		return ""
	}
	good := b.Good == nil || r.past(b.Good.At) && !b.Good.At.After(b.Begun)
	if !good || b.First.After(b.Begun) || !r.past(b.Begun) || !r.past(b.Ended) || !b.Runs() && b.Ended.Before(b.Begun) {
		return "backups"
	}
	return ""
}

// eventsProblem: until the list is full, it begins with the first event.
func (r *restorer) eventsProblem() string {
	if n := len(r.events); n > 0 && n < maxEvents && r.events[0].Seq != 1 {
		return "events"
	}
	return ""
}

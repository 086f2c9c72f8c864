package fsm

import (
	"time"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// operate makes a new Operating out of the present one and publishes it. change replaces parts, it does not write into their elements: a part
// that is the same slice as before counts as unchanged. For the writer.
func (r *replica) operate(index uint64, change func(*Operating)) {
	old := r.operating.Load()
	next := *old
	next.Index = index
	change(&next)
	r.parts.update(old, &next)
	r.operating.Store(&next)
}

// Operating is what is in force now, never nil.
func (s *State) Operating() *Operating { return s.cur.Load().operating.Load() }

// InstancePhase says which requests an instance of the configuration in force gets.
func (o *Operating) InstancePhase(cluster string, in *config.Instance) Phase {
	if in.Enabled {
		return PhaseServing
	}
	return o.phase(Subject{Cluster: cluster, Instance: in.Name})
}

// ModulePhase says which requests a module of the configuration in force gets.
func (o *Operating) ModulePhase(cluster string, m *config.Module) Phase {
	if m.Enabled {
		return PhaseServing
	}
	return o.phase(Subject{Cluster: cluster, Host: m.Host, ContextRoot: m.ContextRoot})
}

// phase of a disabled subject.
func (o *Operating) phase(s Subject) Phase {
	if o.quiesce(s) != nil {
		return PhaseQuiescing
	}
	return PhaseStopped
}

// quiesce is the one of a subject that runs, or nil.
func (o *Operating) quiesce(s Subject) *Quiesce {
	for i := range o.Quiesces {
		if o.Quiesces[i].Subject == s {
			return &o.Quiesces[i]
		}
	}
	return nil
}

// LockAt is the maintenance lock that is in force at a replicated time, nil when none is: a lock whose time is over is none, though nobody has
// taken it off the state yet.
func (o *Operating) LockAt(now time.Time) *Lock {
	if o.Lock == nil || !o.Lock.Until.IsZero() && !now.Before(o.Lock.Until) {
		return nil
	}
	return o.Lock
}

// Locked is the maintenance lock that is in force now, nil when none is.
func (s *State) Locked() *Lock { return s.cur.Load().locked() }

func (r *replica) locked() *Lock { return r.operating.Load().LockAt(millis(r.now.Load())) }

// after is a replicated time later by d, rounded up to a millisecond; a negative d counts as none. It cannot overflow: replicated time ends in
// 2161, and a Duration has at most 292 years.
func (r *replica) after(d config.Duration) time.Time { return later(millis(r.now.Load()), d) }

func later(t time.Time, d config.Duration) time.Time {
	ms := int64(0)
	if !t.IsZero() {
		ms = t.UnixMilli()
	}
	if d > 0 {
		ms += int64((time.Duration(d)-1)/time.Millisecond) + 1
	}
	return millis(ms)
}

// parts are the digests of the parts of Operating. A part is hashed as a whole when it changes: all are small or change rarely.
type parts struct {
	index, quiesces, lock, verdicts, registered, schedules, workflows, shares, holder, evacuated, backups, raised, certificates, tickets, revoked, access, files, acmeValues, acmeLocks, acmeStates sum
}

func (p *parts) total() (s sum) {
	for _, x := range [...]sum{p.index, p.quiesces, p.lock, p.verdicts, p.registered, p.schedules, p.workflows, p.shares, p.holder, p.evacuated, p.backups, p.raised, p.certificates, p.tickets, p.revoked,
		p.access, p.files, p.acmeValues, p.acmeLocks, p.acmeStates} {
		s.add(x)
	}
	return s
}

func (p *parts) update(old, next *Operating) {
	p.index = sum{}
	if next.ownIndex() {
		p.index = itemSum(itemOperating, appendU64(nil, next.Index))
	}
	if old.Lock != next.Lock {
		p.lock = sum{}
		if next.Lock != nil {
			p.lock = itemSum(itemLock, appendLock(nil, next.Lock))
		}
	}
	rehash(&p.quiesces, itemQuiesce, old.Quiesces, next.Quiesces, appendQuiesce)
	rehash(&p.verdicts, itemVerdict, old.Verdicts, next.Verdicts, appendVerdict)
	rehash(&p.registered, itemRegistration, old.Registered, next.Registered, appendRegistration)
	rehash(&p.schedules, itemSchedule, old.Schedules, next.Schedules, appendSchedule)
	rehash(&p.workflows, itemWorkflow, old.Workflows, next.Workflows, appendWorkflow)
	rehash(&p.shares, itemShare, old.Shares, next.Shares, appendShare)
	if old.Holder != next.Holder {
		p.holder = sum{}
		if next.Holder != nil {
			p.holder = itemSum(itemHolder, appendHolder(nil, next.Holder))
		}
	}
	rehash(&p.evacuated, itemEvacuation, old.Evacuated, next.Evacuated, appendEvacuation)
	if old.Backups != next.Backups {
		p.backups = sum{}
		if next.Backups != nil {
			p.backups = itemSum(itemBackups, appendBackups(nil, next.Backups))
		}
	}
	rehash(&p.revoked, itemRevocation, old.Revocations, next.Revocations, appendRevocation)
	if next.Raised != nil && old.Raised != next.Raised {
		p.raised = itemSum(itemRaised, appendRaised(nil, next.Raised))
	}
	p.sumTLS(old, next)
	if old.Access != next.Access {
		p.access = next.Access.sum()
	}
	p.sumFiles(old, next)
	p.sumACME(old, next)
}

// ownIndex tells whether Index says more than the revision does: only then it is hashed and written, so that the digest of a state that an
// older version could have made stays what it was.
func (o *Operating) ownIndex() bool { return o.Index != o.Revision.Index }

// rehash sums up a part unless it is the slice that it was.
func rehash[T any](s *sum, it item, old, next []T, canonical func([]byte, *T) []byte) {
	if len(old) == len(next) && (len(old) == 0 || &old[0] == &next[0]) {
		return
	}
	*s = sum{}
	var b []byte
	for i := range next {
		b = canonical(b[:0], &next[i])
		s.add(itemSum(it, b))
	}
}

package workflow

import (
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

// stillDisabled is the guard of everything between disable and enable: when somebody has enabled a part of the target meanwhile, requests go there.
func (m *machine) stillDisabled(s Step) bool {
	on := having(m.world.config(), subjects(m.world.config(), s.Target), true)
	if len(on) == 0 {
		return true
	}
	m.p.Back = true
	m.wait(waitPerson, "%s: %s has been enabled by somebody else meanwhile; resume disables it again", s, names(on))
	return false
}

// quiesced waits for the end of the target's quiesces.
func (m *machine) quiesced(s Step) bool {
	if !m.stillDisabled(s) {
		return false
	}
	var latest time.Time
	for _, sub := range subjects(m.world.config(), s.Target) {
		if q := quiesceOf(m.world.Operating, sub); q != nil && q.Deadline.After(latest) {
			latest = q.Deadline
		}
	}
	if latest.IsZero() {
		m.p.StoppedAt = m.world.Operating.Index
		return true
	}
	m.note = s.String() + ": no new sessions; known ones are served until " + latest.UTC().Format(time.RFC3339) + " at the latest"
	return false
}

// SilentWait is how long a node that does not answer is waited for before its requests count as over. A node that has died has none, and one that is
// cut off has had this time to get an answer for those that it had; an upgrade must not stand still because a node died.
const SilentWait = time.Minute

// nothingInFlight waits until every node obeys the end of the quiesces and has nothing on its way to the target.
func (m *machine) nothingInFlight(s Step) bool {
	if !m.stillDisabled(s) {
		return false
	}
	if m.p.Accept {
		return true
	}
	m.note = s.String()
	if len(m.world.Nodes) == 0 {
		return false
	}
	f := m.world.inFlight(subjects(m.world.config(), s.Target), m.p.StoppedAt)
	late := m.overdue(m.spec.Timeouts.InFlight)
	switch {
	case f.count == 0 && f.behind == "" && (f.silent == "" || late || m.overdue(config.Duration(SilentWait))):
		return true
	case !late:
	case f.behind != "":
		m.wait(waitPerson, "%s: node %s has not followed for %s, so requests may still go there; resume goes on all the same", s, f.behind, m.spec.Timeouts.InFlight)
	default:
		m.wait(waitPerson, "%s: requests are still in flight after %s; resume goes on all the same", s, m.spec.Timeouts.InFlight)
	}
	return false
}

// becomesHealthy waits until enough instances are healthy, and have been looked at since the hooks.
func (m *machine) becomesHealthy(s Step) bool {
	if m.p.Accept {
		return true
	}
	healthy, all := m.world.healthyCount(s.Target, m.p.Disabled)
	need := all
	if m.spec.MinHealthy > 0 {
		need = min(all, m.spec.MinHealthy)
	}
	m.note = s.String()
	if healthy >= need && len(m.world.Nodes) > 0 && m.world.Now.Sub(m.p.Since) >= m.oneCheck(s.Target) {
		return true
	}
	if m.overdue(m.spec.Timeouts.Healthy) && healthy < need {
		m.wait(waitPerson, "%s: only %d of %d instances are healthy after %s, %d are needed; resume enables them all the same", s, healthy, all, m.spec.Timeouts.Healthy, need)
	}
	return false
}

// oneCheck is how long it takes until every node has checked an instance that gets no requests.
func (m *machine) oneCheck(target fsm.Subject) time.Duration {
	cl := cluster(m.world.config(), target.Cluster)
	if cl == nil || cl.Health.Type == "none" || cl.Health.Mode == "recover-only" {
		return 0
	}
	return time.Duration(cl.Health.Interval) + time.Duration(cl.Health.Timeout)
}

// gate waits between two clusters.
func (m *machine) gate(s Step) bool {
	if m.spec.Gate.Type == GateManual {
		m.wait(waitManual, "%s: it is done; resume goes on with the next cluster", s)
		return false
	}
	m.note = s.String() + ": its health is watched for " + m.spec.Gate.Duration.String()
	if len(m.world.Nodes) == 0 {
		return false
	}
	healthy, all := m.world.healthyCount(s.Target, m.p.Disabled)
	if bad := all - healthy; bad > m.spec.Gate.MaxFailed {
		m.wait(waitPerson, "%s: %d of %d instances became unavailable, at most %d may; resume watches once more", s, bad, all, m.spec.Gate.MaxFailed)
		return false
	}
	return m.overdue(m.spec.Gate.Duration)
}

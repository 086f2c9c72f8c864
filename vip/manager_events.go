package vip

import (
	"fmt"
	"log/slog"
)

// listen takes the Keeper's events until it is closed.
func (m *Manager) listen() {
	defer close(m.done)
	for e := range m.s.Keeper.Events() {
		m.event(e)
		select {
		case m.kick <- struct{}{}:
		default:
		}
	}
}

func (m *Manager) event(e Event) {
	switch e.Kind {
	case EventConflict:
		if m.handing() {
			m.log.Debug("the other end of a change of the holder claims the virtual address", "address", e.Claim.Address.IP(), "hardware", e.Claim.Hardware)
			return
		}
		m.conflict(e.Claim)
		if e.Claim.Hardware == "" { // told of again and again
			m.say(fmt.Sprintf("the virtual address %s is configured on this machine, and not by Holdfast: clients may reach it here while another node holds it; take it out of the network configuration", e.Claim.Address.IP()), slog.LevelError)
			return
		}
		m.log.Error("somebody else claims the virtual address; it is announced again", "address", e.Claim.Address.IP(), "hardware", e.Claim.Hardware)
		return
	case EventRestored:
		m.log.Error("somebody took a virtual address off this machine; it is put back", "what", e.Text)
		return
	case EventLinkDown, EventLinkUp:
		m.mu.Lock()
		if e.Kind == EventLinkDown {
			m.down[e.Interface] = true
		} else {
			delete(m.down, e.Interface)
		}
		m.mu.Unlock()
		m.log.Warn("interface of the virtual address", "interface", e.Interface, "up", e.Kind == EventLinkUp)
		return
	}
	m.mu.Lock()
	held, t := m.lose(m.s.Now()), m.tenure
	if e.Kind == EventLost {
		clear(m.down) // the new guard process tells which ones are down
	}
	m.mu.Unlock()
	if !held {
		return
	}
	m.log.Warn("the virtual address was lost; it is taken again as soon as the group confirms that this node leads", "reason", e.Text)
	if t != nil && m.s.Lost != nil {
		m.s.Lost(*t, e.Text)
	}
}

// handing tells whether somebody else's claim is that of the holder before, or of the one that follows.
func (m *Manager) handing() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.leaving != nil || m.held && m.s.Now().Sub(m.since) < newly
}

func (m *Manager) conflict(c Claim) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.claims.note(c, m.s.Now())
}

// Status is what others are told.
type Status struct {
	Addresses []string `json:"addresses"`
	Holds     bool     `json:"holds"`
	// Prepared: this machine has them silently, ready to take over from the holder.
	Prepared bool `json:"prepared,omitempty"`
	// Eligible tells whether this node could hold the addresses now, Reason why not.
	Eligible bool   `json:"eligible"`
	Reason   string `json:"reason,omitempty"`
	// Flawed: it may hold them, but another node, if there is one that is Eligible, had better. Then it is not Eligible.
	Flawed bool `json:"flawed,omitempty"`
	// Conflict says who else claimed addresses within the last minute, and which: all of them, up to a bound.
	Conflict string `json:"conflict,omitempty"`
}

// Status never blocks for long.
func (m *Manager) Status() Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := Status{Addresses: make([]string, 0, len(m.s.Addresses)), Holds: m.held, Eligible: true}
	for _, a := range m.s.Addresses {
		s.Addresses = append(s.Addresses, a.String())
	}
	err := m.cannotLocked()
	if err == nil && (m.tenure != nil || m.s.Now().Sub(m.faulted) < faultShown) {
		err = m.fault
	}
	if err != nil {
		s.Eligible, s.Reason = false, err.Error()
	} else if down := m.downLocked(); len(down) > 0 {
		s.Eligible, s.Flawed, s.Reason = false, true, errDown(down).Error()
	}
	s.Prepared = m.prepared != "" && m.preparedUntil > m.s.Now()
	s.Conflict = m.claims.text(m.s.Now())
	return s
}

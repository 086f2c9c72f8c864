package vip

import (
	"context"
	"errors"
	"time"
)

// ErrLeads: this node leads itself.
var ErrLeads = errors.New("this node leads")

// Prepare has this node ready to take over from holder, for so long: packets for the addresses are accepted, nobody learns so. It is called again to prolong.
// It gives by which addresses the holder reaches this node.
func (m *Manager) Prepare(ctx context.Context, holder string, lasting time.Duration) ([]Hop, error) {
	m.keeper.Lock()
	defer m.keeper.Unlock()
	m.mu.Lock()
	err := m.cannotLocked()
	if m.tenure != nil {
		err = ErrLeads
	}
	m.mu.Unlock()
	if err != nil {
		return nil, err
	}
	until := m.s.Now() + Deadline(lasting)
	hops, err := m.s.Keeper.Prepare(ctx, until)
	if err == nil {
		m.mu.Lock()
		m.prepared, m.preparedUntil, m.fault = holder, until, nil
		m.mu.Unlock()
	}
	return hops, err
}

// Prepared gives for which holder this node is prepared, "" for none.
func (m *Manager) Prepared() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.prepared != "" && m.preparedUntil <= m.s.Now() {
		m.prepared = ""
	}
	return m.prepared
}

// Unprepare ends what Prepare began, unless this node leads by now.
func (m *Manager) Unprepare(ctx context.Context) error {
	m.keeper.Lock()
	defer m.keeper.Unlock()
	m.mu.Lock()
	idle := m.tenure == nil && m.prepared != ""
	m.prepared = ""
	m.mu.Unlock()
	if !idle {
		return nil
	}
	return m.s.Keeper.Drop(ctx, 0)
}

// Relay has new connections go to another node while this one holds; nil ends it.
func (m *Manager) Relay(ctx context.Context, to []Hop) error {
	m.relay.Lock()
	defer m.relay.Unlock()
	return m.s.Keeper.Relay(ctx, to)
}

// Announce tells the links again who has the addresses, if this node does and is not handing them over. The lease does not wait for it.
func (m *Manager) Announce(ctx context.Context) error {
	m.relay.Lock()
	defer m.relay.Unlock()
	m.mu.Lock()
	mine := m.held && m.leaving == nil && !m.shut
	m.mu.Unlock()
	if !mine {
		return nil
	}
	return m.s.Keeper.Announce(ctx)
}

// HandingOver says that the leadership is about to be handed over: the end of the tenure then waits for Released. It gives a channel that is closed when the
// tenure has ended and the addresses are dropped, nil when this node does not lead.
func (m *Manager) HandingOver() (over <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.tenure != nil {
		m.leaving = make(chan struct{})
	}
	return m.over
}

// Staying takes HandingOver back.
func (m *Manager) Staying() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.leaving = nil
}

// GaveUp says why this node, which leads, has dropped the addresses: it must not hold them. It is nil while it holds them, or is to take them again as soon as it can.
func (m *Manager) GaveUp() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.held || m.tenure == nil {
		return nil
	}
	return m.cannotLocked()
}

// Released says that the successor holds the addresses.
func (m *Manager) Released() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.leaving == nil {
		return
	}
	select {
	case <-m.leaving:
	default:
		close(m.leaving)
	}
}

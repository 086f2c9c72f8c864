package vip

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// Lease confirms that this node leads in a term, and gives until when no other node can. It returns as soon as a majority has confirmed.
type Lease func(ctx context.Context, term uint64) (Deadline, error)

// Settings is what a Manager needs; all fields but Taken and Lost are required.
type Settings struct {
	Addresses []Address // for Status only; none when a program alone knows them
	Keeper    Keeper
	Lease     Lease
	// Every is how often the lease is renewed, Length how long a fresh one lasts at most.
	Every, Length time.Duration
	// Eligible is nil while the data plane of this node can serve what comes to the addresses. It is asked before each renewal and must be quick.
	Eligible func() error
	Logger   *slog.Logger
	// Now is the clock of deadlines.
	Now func() Deadline
	// Taken is told whenever this node begins to hold, Lost when it ceases to before its tenure ends. They must not block. gone is when the addresses went from this node before; 0: it has not held them.
	Taken func(t Tenure, gone Deadline)
	Lost  func(t Tenure, reason string)
}

// Tenure is one term of leadership, as the Manager has to know it.
type Tenure struct {
	Term uint64
	// Fresh: nobody is known to have held the addresses before, so the links are asked first.
	Fresh bool
	// Added are addresses that nobody is known to have held, when others have been held: the links are asked for these.
	Added []netip.Addr
	// Planned: the leader before has handed over.
	Planned bool
}

const (
	// retry is the pause after a lease that was not confirmed while the addresses are not held: a new leader is confirmed with its first heartbeat.
	retry = 2 * time.Millisecond
	// probeWait is how long the links are asked who has the addresses before the first taking.
	probeWait = 200 * time.Millisecond
	// probeAgain is the pause between two looks at an address that somebody else has.
	probeAgain = time.Second
	// probeTries is how often a question that fails is asked: what cannot be asked at all must not keep the addresses from clients.
	probeTries = 3
	// lingering is how long connections are relayed after a hand-over: clients have heard of the new holder long before.
	lingering = 2 * time.Second
	// faultShown is how long the status shows a fault of the Keeper to a node that does not lead any more: it cannot learn whether the fault is over but by being given the addresses again.
	faultShown = time.Minute
	// takeWait is how long a leader that the group confirms may come too late to hold, each time. Then it is a fault, and another node had better lead.
	takeWait = 2 * time.Second
	// dropWait is how long a tenure may take to end: the node's next one cannot begin before, and a program may have much to do. It goes on.
	dropWait = 500 * time.Millisecond
	// newly is for how long after the taking somebody else's claim may be the holder's before.
	newly = time.Second
)

// Manager holds the addresses while this node leads, is confirmed to and can serve. All methods are for use by several goroutines.
type Manager struct {
	s    Settings
	log  *slog.Logger
	kick chan struct{}
	done chan struct{} // closed when the events have ended

	closing sync.Once
	closed  error

	keeper sync.Mutex // held for each call of the Keeper but Relay, Announce, Events and Close
	relay  sync.Mutex // held for Relay and Announce, which the lease must not wait for

	mu            sync.Mutex
	shut          bool    // the Keeper is closed
	tenure        *Tenure // nil while another node leads
	held          bool
	since         Deadline // when it was taken
	until         Deadline // of the lease
	gone          Deadline // when the addresses went from this node last; 0: never
	prepared      string   // for which holder this node is prepared
	preparedUntil Deadline
	leaving       chan struct{}
	over          chan struct{}   // closed when the tenure has ended; nil between tenures
	down          map[string]bool // interfaces that are down
	fault         error           // why the last Hold failed
	faulted       Deadline        // and when
	trying        Deadline        // since when the group has confirmed this leader, takeWait apart at most, and the addresses could not be held; 0: it has not
	confirmed     Deadline        // when it did last, while they were not held
	claims        claims
	said          string
}

// New starts to listen to the Keeper. Close ends it.
func New(s Settings) *Manager {
	m := &Manager{s: s, log: s.Logger, kick: make(chan struct{}, 1), done: make(chan struct{}), down: map[string]bool{}}
	go m.listen()
	return m
}

// Close drops the addresses and closes the Keeper. It can be called again.
func (m *Manager) Close() error {
	m.closing.Do(func() {
		m.mu.Lock()
		m.shut = true
		m.mu.Unlock()
		m.closed = m.s.Keeper.Close()
		<-m.done
	})
	return m.closed
}

// Lead holds the addresses until ctx, the term, ends, or the Manager is closed. It returns when they are dropped and ctx has ended.
func (m *Manager) Lead(ctx context.Context, t Tenure) {
	q := question{open: t.Fresh && m.Prepared() == ""} // for a holder: then there has been one
	if !q.open && len(t.Added) > 0 {
		q = question{open: true, added: t.Added}
	}
	m.mu.Lock()
	m.tenure, m.prepared, m.leaving, m.over, m.trying = &t, "", nil, make(chan struct{}), 0
	if m.s.Now().Sub(m.faulted) >= faultShown { // of a tenure before: it says nothing of this one
		m.fault = nil
	}
	m.mu.Unlock()
	asked := make(chan struct{}, questions)
	defer func() {
		for range questions { // those on their way end with ctx
			asked <- struct{}{}
		}
		m.leave()
	}()
	for ctx.Err() == nil {
		var wait time.Duration
		if m.isShut() {
			<-ctx.Done()
			return
		}
		switch {
		case !q.open:
			wait = m.renew(ctx, t, asked)
		case m.cannot() != nil: // by a link that is down nobody would hear the question
			wait = m.s.Every
		default:
			if m.probe(ctx, &q); q.open {
				wait = probeAgain
			}
		}
		pause := time.NewTimer(wait)
		select {
		case <-pause.C:
		case <-m.kick:
		case <-ctx.Done():
		}
		pause.Stop()
	}
}

// question is what the links are asked before the first taking. It is open until nobody has an address, or it cannot be asked and nobody is known to have one.
type question struct {
	open   bool
	used   bool         // by the last answer somebody has an address
	failed int          // how often in a row, probeAgain apart, it could not be asked
	at     Deadline     // when that was counted last
	added  []netip.Addr // what it is about; nil: all
}

// probe asks the links whether somebody has an address: then it is not taken, because clients would reach both.
func (m *Manager) probe(ctx context.Context, q *question) {
	m.keeper.Lock()
	claims, err := m.s.Keeper.Probe(ctx, probeWait)
	m.keeper.Unlock()
	if ctx.Err() != nil {
		return
	}
	if q.added != nil { // the others are the holder's before, who may have them still
		claims = slices.DeleteFunc(claims, func(c Claim) bool { return !slices.Contains(q.added, c.Address.IP()) })
	}
	if err != nil && len(claims) == 0 {
		m.say("the links cannot be asked who has the virtual address: "+err.Error(), slog.LevelWarn)
		if now := m.s.Now(); q.failed == 0 || now.Sub(q.at) >= probeAgain { // events of the links have it asked again sooner
			q.failed, q.at = q.failed+1, now
		}
		q.open = q.used || q.failed < probeTries
		return
	}
	q.failed = 0
	var used []string
	for _, c := range claims {
		m.conflict(c)
		used = append(used, c.Address.IP().String()+" is in use by "+c.Hardware)
	}
	if len(used) > 0 { // in one line, whoever answers first: what repeats itself is logged once
		slices.Sort(used)
		text := "the virtual address " + strings.Join(slices.Compact(used), ", ")
		m.say(text+"; none is taken before nobody answers any more", slog.LevelError)
		if q.added != nil { // so that a node without it holds the others
			m.mu.Lock()
			m.fault, m.faulted = errors.New(text), m.s.Now()
			m.mu.Unlock()
		}
	}
	q.used = len(used) > 0
	q.open = q.used
}

// questions bounds how many times the lease is asked for at once. One question that is lost or late must not cost the lease: the next is on its way already.
const questions = 4

// renew asks for the lease, beside earlier questions that are not answered yet, and holds for as long as it lasts. It gives the pause until the next time.
func (m *Manager) renew(ctx context.Context, t Tenure, asked chan struct{}) time.Duration {
	if err := m.cannot(); err != nil {
		m.giveUp(t, err.Error())
		return m.s.Every
	}
	select {
	case asked <- struct{}{}:
	default:
		return m.s.Every
	}
	go func() {
		defer func() { <-asked }()
		asking, cancel := context.WithTimeout(ctx, m.s.Length)
		defer cancel()
		if until, err := m.s.Lease(asking, t.Term); err == nil { // else what is held goes at its deadline, without our help
			m.hold(ctx, t, until)
		}
	}()
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.held:
		return m.s.Every
	case m.fault != nil:
		return max(m.s.Every, 50*time.Millisecond)
	}
	return retry
}

// hold holds until a deadline, unless the term is over or a later question was answered earlier.
func (m *Manager) hold(ctx context.Context, t Tenure, until Deadline) {
	m.keeper.Lock()
	defer m.keeper.Unlock()
	m.mu.Lock()
	late := ctx.Err() != nil || m.shut || m.held && until <= m.until
	m.mu.Unlock()
	if late || m.cannot() != nil {
		return
	}
	m.tries()
	err := m.s.Keeper.Hold(ctx, until)
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case ctx.Err() != nil || m.shut:
		return
	case errors.Is(err, ErrTooLate):
		if now := m.s.Now(); m.trying == 0 || now.Sub(m.trying) < takeWait { // the next lease is on its way
			return
		}
		err = fmt.Errorf("it could not be taken for %v: %w", takeWait, err)
	}
	if err != nil {
		m.fault, m.faulted = err, m.s.Now()
		m.sayLocked("the virtual address cannot be held: "+err.Error(), slog.LevelError)
		return
	}
	m.fault, m.until, m.trying = nil, until, 0
	if m.held {
		return
	}
	m.said = ""
	m.held, m.since = true, m.s.Now()
	m.log.Info("this node holds the virtual address", "term", t.Term)
	if m.s.Taken != nil {
		m.s.Taken(t, m.gone)
	}
}

// tries notes that the group confirms this leader, who may hold.
func (m *Manager) tries() {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.s.Now()
	switch {
	case m.held || m.leaving != nil:
		m.trying = 0
	case m.trying == 0 || now.Sub(m.confirmed) >= takeWait:
		m.trying = now
	}
	m.confirmed = now
}

// giveUp drops what this node must not hold although it leads.
func (m *Manager) giveUp(t Tenure, reason string) {
	m.mu.Lock()
	m.trying = 0
	held := m.lose(m.s.Now())
	m.mu.Unlock()
	if !held {
		return
	}
	err := m.dropAll(0)
	m.log.Warn("the virtual address is given up", "term", t.Term, "reason", reason)
	if err != nil {
		m.log.Error("dropping the virtual address", "error", err)
	}
	if m.s.Lost != nil {
		m.s.Lost(t, reason)
	}
}

// lose notes that the addresses are held no more, since at, and tells whether they were. They went at their deadline at the latest, however late that is noticed here: this process may have stood still. m.mu is held.
func (m *Manager) lose(at Deadline) bool {
	if !m.held {
		return false
	}
	m.held, m.gone = false, min(at, m.until)
	return true
}

// leave ends the tenure: at once, or, after a hand-over, when the successor has said that it holds, but a little before the end of the lease at the latest:
// a relay lingers only behind a drop.
func (m *Manager) leave() {
	m.mu.Lock()
	successor, until := m.leaving, m.until
	m.mu.Unlock()
	var linger time.Duration
	if successor != nil {
		last := time.NewTimer(until.Sub(m.s.Now()) - m.s.Length/16)
		select {
		case <-successor:
		case <-last.C:
		}
		last.Stop()
		linger = lingering
	}
	began := m.s.Now()
	err := m.dropAll(linger)
	m.mu.Lock()
	if m.lose(began) {
		m.log.Info("this node does not hold the virtual address any more", "term", m.tenure.Term)
	}
	close(m.over)
	m.tenure, m.leaving, m.over = nil, nil, nil
	m.mu.Unlock()
	if err != nil {
		m.log.Error("dropping the virtual address", "error", err)
	}
}

// dropAll does nothing when the Keeper is closed, which has dropped everything.
func (m *Manager) dropAll(linger time.Duration) error {
	m.keeper.Lock()
	defer m.keeper.Unlock()
	if m.isShut() {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), dropWait)
	defer cancel()
	err := m.s.Keeper.Drop(ctx, linger)
	if err != nil && ctx.Err() != nil {
		m.log.Debug("the virtual address is being dropped still", "after", dropWait)
		return nil
	}
	return err
}

func (m *Manager) isShut() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.shut
}

// cannot says why this node must not hold the addresses now.
func (m *Manager) cannot() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.cannotLocked()
}

func (m *Manager) cannotLocked() error {
	if down := m.downLocked(); len(down) > 0 && !m.anyUpLocked() {
		return errDown(down)
	}
	return m.s.Eligible()
}

// downLocked lists the interfaces that are down, sorted.
func (m *Manager) downLocked() []string { return slices.Sorted(maps.Keys(m.down)) }

// anyUpLocked tells whether an address is reachable still though interfaces are down: then it is better held here than nowhere.
func (m *Manager) anyUpLocked() bool {
	return slices.ContainsFunc(m.s.Addresses, func(a Address) bool { return !m.down[a.Interface] })
}

func errDown(names []string) error {
	if len(names) == 1 {
		return errors.New("interface " + names[0] + " is down")
	}
	return errors.New("interfaces " + strings.Join(names, ", ") + " are down")
}

func (m *Manager) say(text string, level slog.Level) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sayLocked(text, level)
}

// sayLocked logs what repeats itself once.
func (m *Manager) sayLocked(text string, level slog.Level) {
	if m.said != text {
		m.said = text
		m.log.Log(context.Background(), level, text)
	}
}

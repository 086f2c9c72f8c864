package server

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/raftnode"
	"github.com/holdfast-lb/holdfast/vip"
	"github.com/holdfast-lb/holdfast/vip/guard"
	"github.com/holdfast-lb/holdfast/vip/hook"
)

// address is this node's part in who holds the virtual addresses.
type address struct {
	*vip.Manager
	ips     []netip.Addr // of the virtual addresses
	open    func([]netip.Addr) (total, upgraded int)
	reached func([]netip.Addr) error
	unfit   *unfit
	fated   []string // a warning, when the guard ends with this process

	metrics addressMetrics

	handing sync.Mutex  // one hand-over at a time
	taking  chan taking // of the present term
	late    chan taking // of terms that are over
	before  atomic.Pointer[raftnode.Succession]
	over    atomic.Uint64              // the last term that has ended
	own     atomic.Pointer[fsm.Holder] // what this node's last change has made of the holder, whether the group has noted it or not
}

// holding is where and by what a node holds the addresses.
type holding struct {
	keeper vip.Keeper
	// reached is nil when a client that connects to some of the addresses finds a listener there.
	reached func([]netip.Addr) error
	// link looks at the interface of that name.
	link func(name string) (link, error)
	// open counts clients' connections to some of the addresses; nil: those of the balancer.
	open func([]netip.Addr) (total, upgraded int)
}

// taking is one change of the holder that this node has seen in itself, and what it knew then.
type taking struct {
	vip.Tenure
	id       fsm.RequestID
	at       time.Time // monotonic
	lost     bool
	reason   string
	without  time.Time // since when this node had been without them, with a monotonic reading; zero when it had not held them before
	from     *raftnode.Succession
	known    *fsm.Holder
	sessions int
}

// openAddress starts what holds the addresses: the guard, the program that is told, or both. Without --vip and --vip-hook there is nothing to hold.
func (s *Server) openAddress(metrics prometheus.Registerer) error {
	c := s.config
	if len(c.VIPs) == 0 && c.VIPHook == "" {
		return nil
	}
	addrs, err := c.virtualAddresses()
	if err != nil {
		return err
	}
	hold := s.hold
	if c.holding != nil {
		hold = c.holding
	}
	a := &address{taking: make(chan taking, 64), late: make(chan taking, 64), open: s.balancer.OpenConnections}
	if a.metrics, err = s.registerAddress(metrics); err != nil {
		return err
	}
	with, err := hold(addrs)
	if err != nil {
		return err
	}
	if with.open != nil {
		a.open = with.open
	}
	a.reached, a.unfit = with.reached, &unfit{addrs: addrs, link: with.link}
	if len(addrs) > 0 {
		a.fated = fated(os.Getpid())
	}
	for _, text := range slices.Concat(a.fated, a.unfit.get(time.Now())) {
		s.log.Warn("virtual address", "warning", text)
	}
	for _, v := range addrs {
		a.ips = append(a.ips, v.IP())
	}
	every, length := s.node.LeaseTiming()
	a.Manager = vip.New(vip.Settings{
		Addresses: addrs, Keeper: with.keeper, Every: every, Length: length, Eligible: func() error { return s.mayHold(a) }, Logger: s.log, Now: vip.Now,
		Lease: func(ctx context.Context, term uint64) (vip.Deadline, error) {
			until, err := s.node.Lease(ctx, term)
			return vip.Deadline(until), err
		},
		Taken: s.taken,
		Lost:  s.lost,
	})
	s.address = a
	s.node.OnElected(s.onElected)
	s.node.OnLead(s.receipts)
	return nil
}

// hold starts what holds the addresses on this machine.
func (s *Server) hold(addrs []vip.Address) (holding, error) {
	with := holding{reached: s.balancer.Reached, link: linkOf}
	var program *hook.Hook
	var err error
	if s.config.VIPHook != "" {
		if program, err = hook.New(s.config.VIPHook, s.config.Name, addrs, s.log); err != nil {
			return with, fmt.Errorf("--vip-hook: %w", err)
		}
		with.keeper = program
	}
	if len(addrs) > 0 {
		with.keeper, err = s.startGuard(addrs, program)
	}
	return with, err
}

// startGuard starts the guard process; a program is told beside it.
func (s *Server) startGuard(addrs []vip.Address, program *hook.Hook) (vip.Keeper, error) {
	listener, err := s.node.PeerListener()
	if err != nil {
		return nil, fmt.Errorf("virtual address: %w", err)
	}
	defer listener.Close() // the guard has its own
	g, err := guard.Start(guard.Options{Addresses: addrs, Listener: listener, Logger: s.log})
	if err != nil {
		if program != nil {
			err = errors.Join(err, program.Close())
		}
		return nil, fmt.Errorf("virtual address: %w", err)
	}
	if program == nil {
		return g, nil
	}
	return hook.Beside(g, program), nil
}

// fated warns of a first process of a PID namespace: when it ends the kernel kills all others there.
func fated(pid int) []string {
	if pid != 1 {
		return nil
	}
	return []string{"this node is the first process of its PID namespace (as in a container): when it is killed, the kernel kills the guard of the virtual addresses in the same moment, and they stay on this machine for up to 2.3 s, " +
		"beside the next holder. Run nodes with --vip outside of containers (docs/ADDRESS.md)"}
}

// change is one that happens now.
func (s *Server) change(t vip.Tenure) taking {
	c := taking{Tenure: t, at: time.Now(), from: s.address.before.Load(), known: s.state.Operating().Holder, sessions: s.state.Len()}
	if own := s.address.own.Load(); own != nil && own.Term == t.Term { // nobody else leads in that term, and the group may not have noted it yet
		c.known = own
	}
	rand.Read(c.id[:])
	return c
}

// push never blocks the holder. What nobody takes is of terms in which nothing could be committed: the oldest goes.
func push(to chan taking, t taking) {
	for {
		select {
		case to <- t:
			return
		default:
		}
		select {
		case <-to:
		default:
		}
	}
}

// taken notes that this node holds, and tells the holder before it, which waits for that word after a hand-over.
func (s *Server) taken(t vip.Tenure, gone vip.Deadline) {
	now := s.change(t)
	s.address.metrics.taken.Inc()
	if gone != 0 {
		now.without = now.at.Add(-vip.Now().Sub(gone))
	}
	s.address.own.Store(&fsm.Holder{Node: s.config.Name, Term: t.Term})
	s.address.note(now)
	if from := s.address.before.Load(); t.Planned && from.Previous != "" {
		s.background.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), preparedFor)
			defer cancel()
			s.tellPrevious(ctx, from.Previous)
		})
	}
}

// lost notes that this node ceased to hold in its term.
func (s *Server) lost(t vip.Tenure, why string) {
	s.address.metrics.lost.Inc()
	now := s.change(t)
	now.lost, now.reason = true, why
	s.address.own.Store(&fsm.Holder{Previous: s.config.Name, Since: s.node.GroupTime(), Term: t.Term})
	s.address.note(now)
}

// announceAddresses tells the links again who holds the addresses, if this node does.
func (s *Server) announceAddresses(ctx context.Context) error {
	if s.address == nil {
		return nil
	}
	return s.address.Announce(ctx)
}

// onElected holds the addresses for as long as this node leads.
func (s *Server) onElected(ctx context.Context, from raftnode.Succession) {
	s.address.before.Store(&from)
	// A leader before may have found them in use, and never held. What has been held once has a holder for ever, also when it was lost: then nobody is asked,
	// or each take-over would wait for the answer.
	known := s.state.Operating().Holder
	fresh := from.Previous == "" || known == nil
	s.address.Lead(ctx, vip.Tenure{Term: from.Term, Fresh: fresh, Added: s.address.added(known), Planned: from.Planned})
	s.address.end(from.Term)
	s.balancer.CutAddresses(s.address.ips) // what is left of them here: no client can reach it any more
}

// added lists the addresses of this node that were not among those that were held last.
func (a *address) added(known *fsm.Holder) (list []netip.Addr) {
	if known == nil {
		return nil
	}
	for _, ip := range a.ips {
		if !slices.Contains(known.Addresses, ip.String()) {
			list = append(list, ip)
		}
	}
	return list
}

// serves is nil when this node can serve what clients send, whoever holds the addresses.
func (s *Server) serves() error {
	var errs []error
	// Without a leader the node goes on serving (known sessions, provisional ones), so that is no reason to leave the pool: only
	// a node that has not entered its group yet, or has just come back to it, must not get traffic.
	switch {
	case s.state.Group() == nil:
		errs = append(errs, s.balancer.Ready(), s.node.Ready())
	case !s.caughtUp.Load():
		errs = append(errs, errCatchingUp)
	default:
		errs = append(errs, s.balancer.Ready())
	}
	return errors.Join(append(errs, s.quarantined())...)
}

// mayHold is nil while this node may hold the addresses. It need not be ready for that: a holder that serves some listeners is better than none, and what
// keeps a listener from being bound may do so on every node.
func (s *Server) mayHold(a *address) error {
	if s.state.Group() == nil || !s.caughtUp.Load() || s.quarantined() != nil {
		return s.serves()
	}
	if err := s.balancer.Serving(); err != nil {
		return err
	}
	return a.reached(a.ips)
}

// addressReport is what a node tells the others of its part; nil without virtual addresses.
type addressReport struct {
	vip.Status
	// Connections are clients' to the addresses here.
	Connections int `json:"connections"`
	// Warnings say why clients may not find addresses where this node would hold them, or find them there for too long.
	Warnings []string `json:"warnings,omitempty"`
}

func (s *Server) addressReport() *addressReport {
	if s.address == nil {
		return nil
	}
	r := &addressReport{Status: s.address.Status()}
	r.Connections, _ = s.address.open(s.address.ips)
	r.Warnings = slices.Concat(s.address.fated, s.address.unfit.get(time.Now()))
	if err := s.node.NoLease(); err != nil && r.Eligible { // it must go on asking, and so is fit for the Manager
		r.Eligible, r.Reason = false, err.Error()
	}
	if !r.Eligible {
		return r
	}
	flaw := s.serves()
	switch goes := s.goes(); {
	case s.leaving.Load():
		flaw = errLeaving
	case goes != nil:
		flaw = goes
	}
	if flaw != nil {
		r.Eligible, r.Flawed, r.Reason = false, true, flaw.Error()
	}
	return r
}

// closeAddress drops the addresses for good.
func (s *Server) closeAddress() error {
	if s.address == nil {
		return nil
	}
	return s.address.Close()
}

// without counts those of some addresses that a node has not got; a nil one has none.
func (r *addressReport) without(ips []netip.Addr) (n int) {
	has := r.ips()
	for _, ip := range ips {
		if !slices.Contains(has, ip) {
			n++
		}
	}
	return n
}

// ips are the virtual addresses without prefix length and interface.
func (r *addressReport) ips() []netip.Addr {
	if r == nil {
		return nil
	}
	var list []netip.Addr
	for _, text := range r.Addresses {
		if a, err := vip.ParseAddress(text); err == nil { // a node of another version may say it otherwise
			list = append(list, a.IP())
		}
	}
	return list
}

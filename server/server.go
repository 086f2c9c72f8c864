package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/holdfast-lb/holdfast/admin"
	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/lb"
	"github.com/holdfast-lb/holdfast/lb/h1"
	"github.com/holdfast-lb/holdfast/raftnode"
	"github.com/holdfast-lb/holdfast/server/copies"
	"github.com/holdfast-lb/holdfast/server/discovery"
	"github.com/holdfast-lb/holdfast/server/tracing"
	"github.com/holdfast-lb/holdfast/storage"
)

const (
	// drainTime is how long requests that are under way may take to end when the node leaves.
	drainTime = 30 * time.Second
	// leaveTime is how long handing over leadership and closing the log may take.
	leaveTime = 10 * time.Second
)

// ErrRefused is in the reason for which Run ends when the group does not let the node in, and asking again will not help.
var ErrRefused = raftnode.ErrRefused

// Server is one node. New opens everything, Run serves, Close gives everything back; each is called once.
type Server struct {
	config    Config
	log       *slog.Logger
	access    *logFile
	traces    *tracing.Exporter // nil: nothing is traced
	dir       *storage.Dir
	state     *fsm.State
	node      *raftnode.Node
	balancer  *lb.Balancer
	api       *admin.API
	adminLn   net.Listener
	leaving   atomic.Bool
	caughtUp  atomic.Bool // see catchUp
	elsewhere *elsewhere
	jobs      *jobs
	skew      *prometheus.GaugeVec
	mark      *eventMark
	found     *discovery.Discovery         // nil without --discover
	register  atomic.Pointer[registerDuty] // nil while another node leads
	backups   *backupMaker
	copies    *copies.Copies
	address   *address // nil without virtual addresses
	names     *names   // nil without --dns-addr
	// clientAddrs are this node's in DNS answers.
	clientAddrs []netip.Addr
	peerPort    *boundPort // nil unless the peer port is one of a range
	*handing
	background sync.WaitGroup // of what outlives a call
	ended      chan struct{}  // closed when the node ends
	endOnce    sync.Once
	closing    sync.Once
	closed     error
}

// New opens the data directory, restores the state from it and binds the peer and admin addresses. Nothing is served before Run.
// Log lines go to logTo. After an error everything is closed again.
func New(c Config, logTo io.Writer) (_ *Server, err error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if c, err = c.withToken(); err != nil {
		return nil, err
	}
	base, err := newLogger(logTo, c)
	if err != nil {
		return nil, err
	}
	s := &Server{config: c, log: base.With("node", c.Name), state: fsm.New(), handing: newHanding(c, logTo), ended: make(chan struct{})}
	defer func() {
		if err != nil {
			_ = s.Close()
		}
	}()
	if s.access, err = openLog(c.AccessLog); err != nil {
		return nil, err
	}
	if s.dir, err = storage.Open(c.DataDir); err != nil {
		return nil, err
	}
	for _, warning := range s.dir.Warnings() {
		s.log.Warn("data directory", "warning", warning)
	}
	metrics := prometheus.NewRegistry()
	metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	metrics.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "holdfast_access_log_lost_total",
		Help: "Lines of the access log that its disk has not taken."}, func() float64 { return float64(s.access.Lost()) }))
	if c.LogLost != nil {
		metrics.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "holdfast_log_lost_total",
			Help: "Lines of the node's own log that nobody has taken."}, func() float64 { return float64(c.LogLost()) }))
	}
	s.jobs, s.skew = newJobs(metrics), newSkewGauge(metrics)
	s.backups = newBackupMaker(metrics, s.state, s.scheduledBackup)
	if err := s.openNode(base, metrics); err != nil {
		return nil, err
	}
	if err := s.openCopies(metrics); err != nil {
		return nil, err
	}
	s.mark = openEventMark(s.dir.Path(), s.state.LastEvent(), s.log)
	if err := s.openDiscovery(metrics); err != nil {
		return nil, err
	}
	if err := s.openTracing(metrics); err != nil {
		return nil, err
	}
	s.openBalancer(metrics)
	if s.clientAddrs, err = s.dnsAddresses(); err != nil {
		return nil, err
	}
	if err := s.openDNS(metrics); err != nil {
		return nil, err
	}
	if err := s.openAdmin(metrics); err != nil {
		return nil, err
	}
	return s, s.openAddress(metrics) // last: nothing fails after the guard has started
}

func (s *Server) openNode(logger *slog.Logger, metrics prometheus.Registerer) error {
	c, network, err := s.takePeerPort(peerNetwork{raftnode.TCP(), s.config.Sockets})
	if err != nil {
		return err
	}
	advertise, err := c.advertise(net.InterfaceAddrs)
	if err != nil {
		return err
	}
	var discovered func() []string
	if c.Discover != "" {
		discovered = func() []string { return s.found.Peers() }
	}
	s.node, err = raftnode.Open(raftnode.Options{
		Name: c.Name, Group: c.Group, Zone: c.Zone, AdminAddr: c.AdminAddr, PeerAddr: c.PeerAddr, Advertise: advertise, Timing: c.Timing, MaxJoinSkew: c.MaxJoinSkew,
		Join: c.Join, Discovered: discovered, JoinToken: c.JoinToken, Bootstrap: c.Bootstrap, BootstrapExpect: c.BootstrapExpect, ReadOnly: c.ReadOnly, Steady: c.steady,
		Dir: s.dir, TLSDir: c.TLSDir, State: s.state, Logger: logger, Version: c.Version, Registerer: metrics, Describe: s.describe,
		Network: network, Heartbeat: s.takeHeartbeat, Asked: s.answer, Copied: s.copied, Logged: func(event uint64) { s.mark.raise(event) },
	})
	if err != nil {
		return err
	}
	s.elsewhere = newElsewhere(c.Name, s.node)
	s.node.OnLead(s.onLead)
	s.node.OnLead(s.runWorkflows)
	return nil
}

func (s *Server) openBalancer(metrics prometheus.Registerer) {
	o := lb.Options{
		View: groupView{s.state, s.node}, Recorder: s.node, Changed: s.node.Changed, InContact: func() bool { return s.node.Leader() != "" }, OutOfService: s.node.StateInDoubt, Node: s.config.Name, Zone: s.config.Zone, BindAddress: s.config.BindAddress,
		Elsewhere: s.elsewhere.may, Unapplied: s.node.Unapplied, Logger: s.log, Registerer: metrics, Inherited: s.inheritClients, InheritedPackets: s.inheritPackets, InheritedHTTP3: s.inheritHTTP3, KeptOpen: s.keptOpen,
		Private: privateTo(s.config.AdminAddr),
		Ended:   s.noteEnded,
		Tracing: s.traces.Tracing(),
	}
	if addrs, err := s.config.virtualAddresses(); err == nil { // New has checked them
		for _, a := range addrs {
			o.Virtual = append(o.Virtual, a.IP())
		}
	}
	if s.access != nil {
		o.AccessLog = s.access
	}
	h1.MakeRoom()
	s.balancer = lb.New(o)
}

// groupView is the state with the group's time as the node knows it: the state's own stands still while nothing is written.
type groupView struct {
	*fsm.State
	node *raftnode.Node
}

func (v groupView) Now() time.Time { return v.node.GroupTime() }

func (s *Server) openAdmin(metrics prometheus.Gatherer) (err error) {
	s.api, err = admin.New(admin.Options{
		Node: adminNode{s}, State: s.state, Sessions: sessionNames{s}, Copies: adminCopies{s}, JoinToken: s.joinToken, Backup: s.backup, Restore: s.restore, Follow: s.follow, UpgradeBinary: s.upgradeBinary, Gatherer: metrics, Logger: s.log, Now: s.node.GroupTime,
	})
	if err != nil {
		return fmt.Errorf("admin API: %w", err)
	}
	if s.adminLn, err = s.listenAdmin(); err != nil {
		return fmt.Errorf("bind admin address: %w (another address: --admin-addr)", err)
	}
	return nil
}

// serveAdmin answers on the admin listener from this server's turn on until it yields. What connects before waits in the socket's queue, or is answered by the one before.
func (s *Server) serveAdmin() error {
	yielded := sync.OnceFunc(func() { close(s.yielded) })
	defer yielded()
	select {
	case <-s.turn:
	case <-s.admin.Done():
		return nil
	}
	if s.before != nil { // whose last answers may have had more than this one knew when it began to serve
		look, cancel := context.WithTimeout(s.admin, turnLook)
		_ = s.node.Sync(look) // without a leader nobody has told more
		cancel()
	}
	return admin.ServeInTurn(s.admin, s.adminLn, s.api, s.log, yielded)
}

// turnLook is how long a server whose turn it is looks for what the group has: callers wait for it, some for no longer than a second.
const turnLook = 250 * time.Millisecond

// AdminAddr is the address that the admin API is bound to.
func (s *Server) AdminAddr() net.Addr { return s.adminLn.Addr() }

// Run serves until ctx ends, then leaves: not ready, leadership handed over, requests finished, everything stopped. It returns nil after
// that, and otherwise the reason for which the node could not go on.
func (s *Server) Run(ctx context.Context) error {
	s.run = ctx
	// Each part has a context of its own, because they end one after the other.
	defer s.endAdmin()
	balancerCtx, endBalancer := context.WithCancel(context.WithoutCancel(ctx))
	defer endBalancer()
	var parts sync.WaitGroup
	failed := make(chan error, 4)
	start := func(what string, run func() error) {
		parts.Go(func() {
			if err := run(); err != nil {
				failed <- fmt.Errorf("%s: %w", what, err)
			}
		})
	}
	if s.before == nil {
		s.takeTurn()
	}
	start("admin API", s.serveAdmin)
	start("data plane", func() error {
		s.catchUp(balancerCtx)
		return s.balancer.Run(balancerCtx)
	})
	discoverCtx, endDiscovery := context.WithCancel(context.WithoutCancel(ctx))
	defer endDiscovery()
	if s.found != nil {
		start("discovery", func() error { return s.found.Run(discoverCtx) })
	}
	dnsCtx, endDNS := context.WithCancel(context.WithoutCancel(ctx))
	defer endDNS()
	if s.names != nil {
		start("DNS", func() error { return s.runDNS(dnsCtx) })
	}
	start("group member", func() error { return s.node.Run(ctx) })
	helping, endHelp := context.WithCancel(ctx)
	defer endHelp()
	parts.Go(func() { s.copies.Run(helping) })
	parts.Go(func() { s.elsewhere.watch(helping) })
	if s.address != nil {
		parts.Go(func() { s.lateReceipts(helping) })
	}
	if s.config.Heir != nil {
		parts.Go(func() { s.announce(helping) })
		parts.Go(func() { s.awaitTurn(helping) })
	}
	if s.stream != nil {
		parts.Go(func() { s.accompany(helping, s.stream) })
	}
	s.log.Info("node started", "version", s.config.Version, "peer", s.node.Addr(), "admin", s.adminLn.Addr())

	var reason error
	handed := false
	select {
	case <-ctx.Done():
		if handed = s.noMoreUpgrades(); !handed {
			s.finishTakeover()
		}
	case reason = <-s.handed:
		handed = reason == nil
	case reason = <-failed:
		if errors.Is(reason, ErrResync) {
			s.log.Info("the node begins anew", "reason", reason)
		} else {
			s.log.Error("the node cannot go on", "reason", reason)
			s.balancer.Outcast() // it hears of nothing any more
		}
		s.noMoreUpgrades()
	}
	if handed {
		s.endAdmin() // whoever asked for the upgrade gets the answer
		endHelp()
		endDNS()
		s.stayBehind()
	} else {
		s.leave()
	}
	endBalancer()
	s.endAdmin()
	endDiscovery()
	endDNS()
	endHelp()
	parts.Wait()
	s.log.Info("node stopped")
	return s.untilNextEnds(reason)
}

// leave goes in the order that costs clients least: whoever asks for readiness learns of it first; leadership and virtual addresses move while
// requests still finish; what they have to record goes to the new leader; then the member itself stops.
func (s *Server) leave() {
	s.leaving.Store(true)
	drainTime, leaveTime := s.leaveTimes()
	s.backups.stop() // another node makes it
	end := time.Now().Add(drainTime)
	s.moveOn(end)
	drain, cancelDrain := context.WithDeadline(context.Background(), end)
	defer cancelDrain()
	if err := s.balancer.Shutdown(drain); err != nil {
		s.log.Warn("requests were cut off", "after", drainTime, "error", err)
	}
	if err := s.closeAddress(); err != nil {
		s.log.Error("virtual address", "error", err)
	}
	stop, cancelStop := context.WithTimeout(context.Background(), leaveTime)
	defer cancelStop()
	if err := s.node.Stop(stop); err != nil {
		s.log.Warn("group member did not stop in time", "error", err)
	}
}

// moveOn has another node lead before this one goes, and hold the addresses if this one does.
func (s *Server) moveOn(end time.Time) {
	if s.node.Info().Role != "leader" {
		return
	}
	ctx, cancel := context.WithDeadline(context.Background(), end.Add(leaveTime))
	defer cancel()
	err := s.handOver(ctx, "", time.Until(end))
	for errors.Is(err, errHandingOver) { // one of the leader's duty or of an operator
		select {
		case <-time.After(retryFirst):
			err = s.handOver(ctx, "", time.Until(end))
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	if err != nil && !errors.Is(err, errNotLeading) {
		s.log.Warn("nobody takes over from this node", "error", err)
		ctx, cancel := context.WithTimeout(context.Background(), leaveTime)
		defer cancel()
		if err := s.node.TransferLeadership(ctx); err != nil {
			s.log.Warn("leadership was not handed over", "error", err)
		}
	}
}

// Reload reopens the access log, so that a moved file is let go, and reads the node's certificate again.
func (s *Server) Reload() {
	if next := s.next.Load(); next != nil {
		next.Reload()
		return
	}
	if err := s.access.Reopen(); err != nil {
		s.log.Error("access log was not reopened, the old file stays in use", "error", err)
	} else {
		s.log.Info("access log reopened")
	}
	if err := s.node.ReloadCredentials(); err != nil {
		s.log.Error("the node's certificate was not read again, the old one stays in use", "error", err)
	}
}

// Close gives back what New opened. After Run there is little left to do; it can also be called instead of Run.
func (s *Server) Close() error {
	s.closing.Do(func() {
		var errs []error
		s.endOnce.Do(func() { close(s.ended) })
		s.endUpgrades()
		errs = append(errs, s.closeAddress())
		if s.backups != nil {
			s.backups.close()
		}
		if s.node != nil {
			_, leaveTime := s.leaveTimes()
			ctx, cancel := context.WithTimeout(context.Background(), leaveTime)
			defer cancel()
			errs = append(errs, s.node.Stop(ctx))
		}
		errs = append(errs, s.peerPort.close())
		s.closeTracing()
		if s.found != nil {
			s.found.Close()
		}
		if s.names != nil {
			errs = append(errs, s.names.Close())
		}
		if s.adminLn != nil {
			if err := s.adminLn.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
				errs = append(errs, err)
			}
		}
		if s.dir != nil {
			errs = append(errs, s.closeDir())
		}
		errs = append(errs, s.access.Close())
		s.background.Wait()
		s.closed = errors.Join(errs...)
	})
	return s.closed
}

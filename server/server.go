package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/holdfast-lb/holdfast/admin"
	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/lb"
	"github.com/holdfast-lb/holdfast/raftnode"
	"github.com/holdfast-lb/holdfast/server/discovery"
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
	config   Config
	log      *slog.Logger
	access   *logFile
	dir      *storage.Dir
	state    *fsm.State
	node     *raftnode.Node
	balancer *lb.Balancer
	api      *admin.API
	adminLn  net.Listener
	leaving  atomic.Bool
	caughtUp atomic.Bool // see catchUp
	jobs     *jobs
	skew     *prometheus.GaugeVec
	mark     *eventMark
	found    *discovery.Discovery         // nil without --discover
	register atomic.Pointer[registerDuty] // nil while another node leads
	closing  sync.Once
	closed   error
}

// New opens the data directory, restores the state from it and binds the peer and admin addresses. Nothing is served before Run.
// Log lines go to logTo. After an error everything is closed again.
func New(c Config, logTo io.Writer) (_ *Server, err error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	base, err := newLogger(logTo, c)
	if err != nil {
		return nil, err
	}
	s := &Server{config: c, log: base.With("node", c.Name), state: fsm.New()}
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
	s.jobs, s.skew = newJobs(metrics), newSkewGauge(metrics)
	if err := s.openNode(base, metrics); err != nil {
		return nil, err
	}
	s.mark = openEventMark(s.dir.Path(), s.state.LastEvent(), s.log)
	if err := s.openDiscovery(metrics); err != nil {
		return nil, err
	}
	s.openBalancer(metrics)
	return s, s.openAdmin(metrics)
}

func (s *Server) openNode(logger *slog.Logger, metrics prometheus.Registerer) error {
	c := s.config
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
		Join: c.Join, Discovered: discovered, JoinToken: c.JoinToken, Bootstrap: c.Bootstrap, BootstrapExpect: c.BootstrapExpect,
		Dir: s.dir, TLSDir: c.TLSDir, State: s.state, Logger: logger, Version: c.Version, Registerer: metrics, Describe: s.describe,
		Heartbeat: s.takeHeartbeat, Logged: func(event uint64) { s.mark.raise(event) },
	})
	if err != nil {
		return err
	}
	s.node.OnLead(s.onLead)
	s.node.OnLead(s.runWorkflows)
	return nil
}

func (s *Server) openBalancer(metrics prometheus.Registerer) {
	o := lb.Options{
		View: groupView{s.state, s.node}, Recorder: s.node, Changed: s.node.Changed, Node: s.config.Name, Zone: s.config.Zone, BindAddress: s.config.BindAddress,
		Logger: s.log, Registerer: metrics,
	}
	if s.access != nil {
		o.AccessLog = s.access
	}
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
		Node: adminNode{s}, State: s.state, Sessions: sessionNames{s}, JoinToken: s.joinToken, Gatherer: metrics, Logger: s.log, Now: s.node.GroupTime,
	})
	if err != nil {
		return fmt.Errorf("admin API: %w", err)
	}
	if s.adminLn, err = net.Listen("tcp", s.config.AdminAddr); err != nil {
		return fmt.Errorf("bind admin address: %w (another address: --admin-addr)", err)
	}
	return nil
}

// AdminAddr is the address that the admin API is bound to.
func (s *Server) AdminAddr() net.Addr { return s.adminLn.Addr() }

// Run serves until ctx ends, then leaves: not ready, leadership handed over, requests finished, everything stopped. It returns nil after
// that, and otherwise the reason for which the node could not go on.
func (s *Server) Run(ctx context.Context) error {
	// Each part has a context of its own, because they end one after the other.
	adminCtx, endAdmin := context.WithCancel(context.WithoutCancel(ctx))
	defer endAdmin()
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
	start("admin API", func() error { return admin.Serve(adminCtx, s.adminLn, s.api, s.log) })
	start("data plane", func() error {
		s.catchUp(balancerCtx)
		return s.balancer.Run(balancerCtx)
	})
	discoverCtx, endDiscovery := context.WithCancel(context.WithoutCancel(ctx))
	defer endDiscovery()
	if s.found != nil {
		start("discovery", func() error { return s.found.Run(discoverCtx) })
	}
	start("group member", func() error { return s.node.Run(ctx) })
	s.log.Info("node started", "version", s.config.Version, "peer", s.node.Addr(), "admin", s.adminLn.Addr())

	var reason error
	select {
	case <-ctx.Done():
	case reason = <-failed:
		s.log.Error("the node cannot go on", "reason", reason)
	}
	s.leave()
	endBalancer()
	endAdmin()
	endDiscovery()
	parts.Wait()
	s.log.Info("node stopped")
	return reason
}

// leave goes in the order that costs clients least: whoever asks for readiness learns of it first; the leadership moves while
// requests still finish; what they have to record goes to the new leader; then the member itself stops.
func (s *Server) leave() {
	s.leaving.Store(true)
	ctx, cancel := context.WithTimeout(context.Background(), leaveTime)
	defer cancel()
	if err := s.node.TransferLeadership(ctx); err != nil {
		s.log.Warn("leadership was not handed over", "error", err)
	}
	drain, cancelDrain := context.WithTimeout(context.Background(), drainTime)
	defer cancelDrain()
	if err := s.balancer.Shutdown(drain); err != nil {
		s.log.Warn("requests were cut off", "after", drainTime, "error", err)
	}
	stop, cancelStop := context.WithTimeout(context.Background(), leaveTime)
	defer cancelStop()
	if err := s.node.Stop(stop); err != nil {
		s.log.Warn("group member did not stop in time", "error", err)
	}
}

// Reload reopens the access log, so that a moved file is let go.
func (s *Server) Reload() {
	if err := s.access.Reopen(); err != nil {
		s.log.Error("access log was not reopened, the old file stays in use", "error", err)
		return
	}
	s.log.Info("access log reopened")
}

// Close gives back what New opened. After Run there is little left to do; it can also be called instead of Run.
func (s *Server) Close() error {
	s.closing.Do(func() {
		var errs []error
		if s.node != nil {
			ctx, cancel := context.WithTimeout(context.Background(), leaveTime)
			defer cancel()
			errs = append(errs, s.node.Stop(ctx))
		}
		if s.found != nil {
			s.found.Close()
		}
		if s.adminLn != nil {
			if err := s.adminLn.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
				errs = append(errs, err)
			}
		}
		if s.dir != nil {
			errs = append(errs, s.dir.Close())
		}
		errs = append(errs, s.access.Close())
		s.closed = errors.Join(errs...)
	})
	return s.closed
}

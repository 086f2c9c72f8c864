package dns

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// Server answers for a zone. New binds it, Run serves until its context ends or Close is called.
type Server struct {
	options  Options
	metrics  *metrics
	limit    *limiter
	cookies  *cookies
	noise    *quiet
	packets  *net.UDPConn
	listener *net.TCPListener
	conns    *connTable

	zone    atomic.Pointer[zone]
	compile sync.Mutex

	closed  chan struct{}
	closing sync.Once
	running atomic.Bool
}

// New checks the options and binds UDP and TCP. The server answers once Run is called.
func New(o Options) (*Server, error) {
	o, err := o.complete()
	if err != nil {
		return nil, err
	}
	s := &Server{options: o, limit: newLimiter(o.RateLimit, o.Now()), cookies: newCookies(),
		noise: &quiet{log: o.Logger}, closed: make(chan struct{})}
	if s.packets, s.listener, err = o.sockets(); err != nil {
		return nil, err
	}
	if s.metrics, err = newMetrics(o.Registerer); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	s.conns = newConnTable(maxConns, maxConnsOfNetwork)
	return s, nil
}

// Addr is the address that the server is bound to, by UDP and TCP.
func (s *Server) Addr() net.Addr { return s.packets.LocalAddr() }

// Sockets are those that the server answers on; they stay its own.
func (s *Server) Sockets() (*net.UDPConn, *net.TCPListener) { return s.packets, s.listener }

// sockets gives those that were open before, else new ones.
func (o Options) sockets() (*net.UDPConn, *net.TCPListener, error) {
	if o.Inherited == nil {
		return bind(o.Addr)
	}
	u, l := o.Inherited()
	if u == nil || l == nil {
		return bind(o.Addr)
	}
	if err := receiveDestination(u, u.LocalAddr().(*net.UDPAddr).IP); err != nil {
		return nil, nil, errors.Join(err, u.Close(), l.Close())
	}
	return u, l, nil
}

// bind takes one port for both. When any port will do, the one that TCP got may be taken by UDP: then another is tried.
func bind(addr string) (*net.UDPConn, *net.TCPListener, error) {
	var all error
	for range 10 {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			return nil, nil, fmt.Errorf("dns address %s: %w (port 53 needs root or CAP_NET_BIND_SERVICE, and no resolver of this machine on it)", addr, err)
		}
		at := l.Addr().(*net.TCPAddr)
		u, err := net.ListenUDP("udp", &net.UDPAddr{IP: at.IP, Port: at.Port, Zone: at.Zone})
		if err == nil {
			err = receiveDestination(u, at.IP)
		}
		if err == nil {
			return u, l.(*net.TCPListener), nil
		}
		all = errors.Join(all, err, l.Close())
		if u != nil {
			_ = u.Close()
		}
		if _, port, _ := net.SplitHostPort(addr); port != "0" {
			break
		}
	}
	return nil, nil, fmt.Errorf("dns address %s: %w", addr, all)
}

// receiveDestination has a socket that is bound to every address say to which one a packet came: the answer has to leave from that one, also when it is a
// virtual address.
func receiveDestination(u *net.UDPConn, bound net.IP) error {
	if !bound.IsUnspecified() {
		return nil
	}
	err6 := ipv6.NewPacketConn(u).SetControlMessage(ipv6.FlagDst, true)
	err4 := ipv4.NewPacketConn(u).SetControlMessage(ipv4.FlagDst, true)
	if err6 != nil && err4 != nil {
		return fmt.Errorf("learn to which address a packet came: %w", err4)
	}
	return nil
}

// Run serves until ctx ends or Close is called; then all sockets are closed and nothing is left running. It can be called once.
func (s *Server) Run(ctx context.Context) error {
	if s.running.Swap(true) {
		return errors.New("the DNS server has been run before")
	}
	stop := context.AfterFunc(ctx, func() { _ = s.Close() })
	defer stop()
	s.options.Logger.Info("DNS answers", "zone", s.options.Zone, "address", s.Addr().String())
	var wg sync.WaitGroup
	for range udpWorkers() {
		wg.Go(s.serveUDP)
	}
	wg.Go(s.serveTCP)
	wg.Wait()
	return nil
}

// Close ends Run, if it runs, and closes the sockets. It may be called more than once.
func (s *Server) Close() error {
	var err error
	s.closing.Do(func() {
		close(s.closed)
		err = errors.Join(s.packets.Close(), s.listener.Close())
		if s.conns != nil {
			s.conns.closeAll()
		}
	})
	return err
}

// wait rests for d after a failure, or until the server is closed; false then.
func (s *Server) wait(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-s.closed:
		return false
	case <-t.C:
		return true
	}
}

// current gives the records of the view as it is now.
func (s *Server) current() *zone {
	v := s.options.View()
	if z := s.zone.Load(); z != nil && z.view.equal(v) {
		return z
	}
	z := compile(v, s.options.Zone, s.options.TTL)
	s.compile.Lock()
	defer s.compile.Unlock()
	var before []string
	if old := s.zone.Load(); old != nil {
		before = old.skipped
	}
	for _, what := range z.skipped {
		if !slices.Contains(before, what) {
			s.options.Logger.Warn("DNS: " + what)
		}
	}
	s.zone.Store(z)
	return z
}

// quiet writes at most one line in ten seconds: what strangers send must not fill the log.
type quiet struct {
	log  *slog.Logger
	next atomic.Int64 // nanoseconds of Unix time
}

func (q *quiet) fail(text string, args ...any) {
	now := time.Now().UnixNano()
	if next := q.next.Load(); now >= next && q.next.CompareAndSwap(next, now+int64(10*time.Second)) {
		q.log.Error(text, args...)
	}
}

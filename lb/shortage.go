package lb

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sys/unix"

	"github.com/holdfast-lb/holdfast/internal/mutant"
)

// A node may be short of what every connection takes: file descriptors, memory of the kernel, local ports. That is its own fault. It says nothing about the instance that it was
// about to ask, so that no instance is taken out of service for it and no session moves: the request gets an answer of Holdfast's own, and the node says that it is not ready, so
// that clients, and the virtual address, go where there is enough. Some descriptors are out of clients' reach, so that the node goes on with its group and its operators.

const (
	// shortFor is how long a node counts as short after the last sign of it, shortPatience how long that must last before it is not ready any more.
	shortFor, shortPatience = 3 * time.Second, time.Second
	// reserveShare of the descriptors that the process may have are not for clients, but reserveLeast at least and reserveMost at most.
	reserveShare, reserveLeast, reserveMost = 8, 32, 512
)

// shortError says that a request could not be handed over because this node is short of something.
type shortError struct{ err error }

func (e *shortError) Error() string {
	return "this node itself is short of " + lackOf(e.err).what() + ": " + e.err.Error()
}
func (e *shortError) Unwrap() error { return e.err }

// lack is what a node is short of, as metrics name it; "" for nothing.
type lack string

const (
	lackFiles  lack = "files"
	lackMemory lack = "memory"
	lackPorts  lack = "ports"
)

var lacks = []struct {
	errno syscall.Errno
	lack  lack
}{{syscall.EMFILE, lackFiles}, {syscall.ENFILE, lackFiles}, {syscall.ENOBUFS, lackMemory}, {syscall.ENOMEM, lackMemory}, {syscall.EADDRNOTAVAIL, lackPorts}}

// lackOf tells what was missing when a connection could not be made for the reason of err.
func lackOf(err error) lack {
	var name *net.DNSError // it keeps the words of what it is about, and not the error
	named := errors.As(err, &name)
	for _, l := range lacks {
		if errors.Is(err, l.errno) || named && strings.HasSuffix(name.Err, l.errno.Error()) {
			return l.lack
		}
	}
	return ""
}

// what names it for people.
func (l lack) what() string {
	switch l {
	case lackFiles:
		return "file descriptors"
	case lackMemory:
		return "memory for sockets"
	}
	return "local ports"
}

// remedy is what to do about it.
func (l lack) remedy() string {
	switch l {
	case lackFiles:
		return "raise the limit of open files (LimitNOFILE of the service, ulimit -n), or bound the connections (maxConnections of listeners)"
	case lackMemory:
		return "give the machine more memory, or raise net.ipv4.tcp_mem"
	}
	return "widen net.ipv4.ip_local_port_range, give instances more listeners, or have them keep connections open"
}

// ownFault reports whether connecting to the listener failed for want of something on this machine. That there is no address to connect from is the lack of a port only where
// connections have been made before; else this machine has no way to the instance at all, such as without IPv6.
func (e *endpoint) ownFault(err error) bool {
	l := lackOf(err)
	if mutant.On(mutant.OwnFaultBlamed) {
		return false
	}
	return l != "" && (l != lackPorts || e.reached.Load())
}

// noteReached notes that there is a way to the listener.
func (e *endpoint) noteReached() {
	if !e.reached.Load() { // requests share the line of memory
		e.reached.Store(true)
	}
}

// shortage knows whether this node is short of something.
type shortage struct {
	log   *slog.Logger
	total *prometheus.CounterVec
	wake  chan struct{}

	mu          sync.Mutex
	first, last time.Time // signs of it, zero while it is not short
	lack        lack      // that of the last one
	n           int       // signs so far
}

func newShortage(log *slog.Logger) *shortage {
	return &shortage{log: log, wake: make(chan struct{}, 1), total: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "holdfast_node_shortages_total",
		Help: "Times that this node could not make or take a connection because it was itself short of something: files (descriptors), memory, ports."}, []string{"of"})}
}

// note takes in that a connection could not be had; nothing happens when that is not this node's own fault.
func (s *shortage) note(err error) {
	l := lackOf(err)
	if l == "" {
		return
	}
	s.total.WithLabelValues(string(l)).Inc()
	now := time.Now()
	s.mu.Lock()
	news := s.first.IsZero() || s.lack != l
	if s.first.IsZero() {
		s.first = now
	}
	s.last, s.lack = now, l
	s.n++
	s.mu.Unlock()
	if news {
		s.log.Warn("this node itself is short of "+l.what()+": it cannot make or take connections; no instance is blamed for that, and no session moves", "error", err, "remedy", l.remedy())
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// look ends the shortage if nothing has been a sign of it for shortFor. It tells since when there is one, zero for none, and how long the end is away.
func (s *shortage) look(now time.Time) (since time.Time, l lack, left time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.first.IsZero() {
		return time.Time{}, "", 0
	}
	if left = s.last.Add(shortFor).Sub(now); left > 0 {
		return s.first, s.lack, left
	}
	s.log.Info("this node has enough again of what it was short of", "of", s.lack.what(), "lasted", s.last.Sub(s.first).Round(time.Millisecond))
	s.first, s.last, s.lack = time.Time{}, time.Time{}, ""
	return time.Time{}, "", 0
}

// ready is nil unless the node has been short of something for shortPatience.
func (s *shortage) ready(now time.Time) error {
	since, l, _ := s.look(now)
	if since.IsZero() || now.Sub(since) < shortPatience {
		return nil
	}
	return fmt.Errorf("this node is short of %s since %s: %s", l.what(), since.UTC().Format(time.RFC3339), l.remedy())
}

// run says when a shortage is over, until ctx ends.
func (s *shortage) run(ctx context.Context) {
	for {
		select {
		case <-s.wake:
		case <-ctx.Done():
			return
		}
		for {
			since, _, left := s.look(time.Now())
			if since.IsZero() {
				break
			}
			wait := time.NewTimer(left)
			select {
			case <-wait.C:
			case <-ctx.Done():
				wait.Stop()
				return
			}
		}
	}
}

// filesForClients is from which descriptor on no more connections of clients are accepted. The kernel gives the lowest that is unused, so its number is how many are open.
func filesForClients() int {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil {
		return 1 << 30
	}
	most := int(min(uint64(limit.Cur), 1<<30))
	return most - min(max(most/reserveShare, reserveLeast), reserveMost)
}

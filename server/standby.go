package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/holdfast-lb/holdfast/admin/client"
	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/storage/archive"
)

// StandbyConfig is what a standby is told.
type StandbyConfig struct {
	// From are admin addresses of the group's nodes; one that can be reached is enough.
	From []string
	// Token is an access token with the role admin; empty on a node's own machine.
	Token string
	// Archive is the directory that follows the group. It is made when it is not there.
	Archive string
	// Every is how often a whole state is taken, Keep how many of them stay. A moment since the oldest of them can be promoted.
	Every time.Duration
	Keep  int
	// Addr, when not empty, is where /metrics, /healthz and /readyz are served, HOST:PORT.
	Addr string
	// LogLevel and LogFormat are those of a node.
	LogLevel, LogFormat string
	Version             string
}

// StandbyDefaults gives the settings that a standby has without any flag.
func StandbyDefaults() StandbyConfig {
	return StandbyConfig{Every: time.Hour, Keep: 25, LogLevel: "info", LogFormat: "text"}
}

// Validate says what is wrong with the settings.
func (c StandbyConfig) Validate() error {
	switch {
	case len(c.From) == 0:
		return errors.New("name the admin addresses of the group's nodes: --from HOST:PORT,HOST:PORT,HOST:PORT")
	case c.Archive == "":
		return errors.New("name the directory of the archive: --archive DIR")
	case c.Every < time.Second:
		return fmt.Errorf("--snapshot-every %v: want at least 1s", c.Every)
	case c.Keep < 1:
		return fmt.Errorf("--keep %d: at least 1 state must stay", c.Keep)
	}
	return nil
}

const (
	// standbyRetry and standbyRetryMax bound the pause after a failure; it doubles.
	standbyRetry    = 100 * time.Millisecond
	standbyRetryMax = 2 * time.Second
	// tailLimit is how much log may lie behind the newest whole state: it bounds the time of a promotion.
	tailLimit = 64 << 20
	// baseRest is the shortest time between two whole states.
	baseRest = time.Minute
)

// Standby follows a group into a directory. It has no vote, and the group does not wait for it.
type Standby struct {
	config StandbyConfig
	log    *slog.Logger
	client *client.Client
	trail  *archive.Trail
	met    *standbyMetrics
	ln     net.Listener

	mu     sync.Mutex
	status StandbyStatus

	// Of the goroutine that follows.
	based  time.Time // when the newest whole state was taken
	tail   int64     // bytes of log since then
	taking chan taken
}

// taken is how the taking of a whole state ended.
type taken struct {
	header archive.Header
	err    error
}

// NewStandby takes the archive. The standby must be closed.
func NewStandby(c StandbyConfig, out io.Writer) (*Standby, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	log, err := newLogger(out, Config{LogLevel: c.LogLevel, LogFormat: c.LogFormat})
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(c.Archive, 0o700); err != nil {
		return nil, fmt.Errorf("archive: %w", err)
	}
	s := &Standby{config: c, log: log, taking: make(chan taken, 1)}
	if s.client, err = client.New(client.Options{URLs: c.From, Token: c.Token, Rounds: 1, UserAgent: "holdfast-standby/" + c.Version}); err != nil {
		return nil, err
	}
	if s.trail, err = archive.OpenTrail(c.Archive); err != nil {
		s.client.Close()
		return nil, err
	}
	s.begin()
	if s.based, err = newestState(c.Archive); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	s.tellDamage()
	if c.Addr != "" {
		if s.ln, err = net.Listen("tcp", c.Addr); err != nil {
			return nil, errors.Join(fmt.Errorf("bind admin address: %w (another address: --admin-addr)", err), s.Close())
		}
	}
	return s, nil
}

// begin sets status and metrics up.
func (s *Standby) begin() {
	s.status = StandbyStatus{PID: os.Getpid(), From: s.config.From, Started: time.Now().UTC()}
	if old, err := ReadStandbyStatus(s.config.Archive); err == nil {
		s.status.Heard, s.status.Silent = old.Heard, old.Silent
	}
	s.note(func(st *StandbyStatus) {
		if at, ok := s.trail.Position(); ok {
			st.reached(at)
		}
	})
	s.met = newStandbyMetrics(s)
}

// tellDamage says what was damaged in the archive, and has a whole state taken soon: behind that nobody needs what was damaged.
func (s *Standby) tellDamage() {
	at, _ := s.trail.Position()
	for _, err := range s.trail.Mended() {
		s.log.Error("the archive was damaged: the log is fetched anew from before the damage", "damage", err, "goodUpTo", at.Index)
	}
	for _, err := range s.trail.Passed() {
		s.log.Warn("the archive is damaged before its newest whole state: going back to an earlier moment may not be possible", "damage", err)
	}
	all := slices.Concat(s.trail.Mended(), s.trail.Passed())
	if len(all) == 0 {
		return
	}
	s.based = time.Time{}
	s.note(func(st *StandbyStatus) {
		for _, err := range all {
			st.Damage = append(st.Damage, err.Error())
		}
	})
}

// Close lets the archive go.
func (s *Standby) Close() error {
	if s.ln != nil {
		_ = s.ln.Close()
	}
	s.client.Close()
	return s.trail.Close()
}

// Addr is where metrics are served, nil for nowhere.
func (s *Standby) Addr() net.Addr {
	if s.ln == nil {
		return nil
	}
	return s.ln.Addr()
}

// Run follows until ctx ends (nil), or until the archive cannot be written.
func (s *Standby) Run(ctx context.Context) error {
	var parts sync.WaitGroup
	defer parts.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if s.ln != nil {
		srv := &http.Server{Handler: s.handler(), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: 30 * time.Second}
		parts.Go(func() { _ = srv.Serve(s.ln) })
		defer srv.Close()
	}
	s.log.Info("standby started", "archive", s.config.Archive, "from", s.config.From)
	pause := standbyRetry
	for ctx.Err() == nil {
		began := time.Now()
		err := s.follow(ctx)
		var broken trailError
		if errors.As(err, &broken) {
			s.fail(err)
			return err
		}
		if ctx.Err() != nil {
			break
		}
		s.fail(err)
		if time.Since(began) > standbyRetryMax {
			pause = standbyRetry
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
		pause = min(2*pause, standbyRetryMax)
	}
	s.finish()
	s.log.Info("standby stopped")
	return nil
}

// finish waits for a state that is being taken.
func (s *Standby) finish() {
	if s.status.Taking {
		<-s.taking
		s.note(func(st *StandbyStatus) { st.Taking = false })
	}
	s.note(func(st *StandbyStatus) { st.Following, st.PID = false, 0 })
}

// fail notes why the group is not followed, and says so once for each reason.
func (s *Standby) fail(err error) {
	text := "the node has ended the stream"
	if err != nil {
		text = err.Error()
	}
	said := false
	s.note(func(st *StandbyStatus) {
		said = st.Error == text
		if st.Following {
			st.Silent = time.Now().UTC()
		}
		st.Following, st.Error = false, text
	})
	if !said {
		s.log.Warn("the group is not followed", "reason", text)
	}
}

// trailError is one after which the archive must not be written.
type trailError struct{ error }

func (t trailError) Unwrap() error { return t.error }

// follow takes a whole state if need be, and the log behind it until it breaks off.
func (s *Standby) follow(ctx context.Context) error {
	at, ok := s.trail.Position()
	if !ok {
		return s.rebase(ctx)
	}
	stream, err := s.client.Follow(ctx, client.FollowFrom{Group: at.GroupID, Epoch: at.Epoch, Line: at.Line, Index: at.Index, Term: at.Term})
	var p *client.Problem
	if errors.As(err, &p) && p.Code == wire.CodeSnapshotNeeded {
		s.log.Info("a whole state is needed", "reason", p.Detail)
		return s.rebase(ctx)
	}
	if err != nil {
		return err
	}
	defer stream.Close()
	return s.take(ctx, stream, at)
}

// take takes what a node sends.
func (s *Standby) take(ctx context.Context, stream *client.Stream, at archive.Position) error {
	r, err := archive.NewSegmentReader(stream)
	if err != nil {
		return fmt.Errorf("follow %s: %w", stream.Node, err)
	}
	if h := r.Head(); h.GroupID != at.GroupID || h.Epoch != at.Epoch || h.After != at.Index {
		return fmt.Errorf("follow %s: it sends the log of group %s, epoch %d, behind entry %d", stream.Node, h.GroupID, h.Epoch, h.After)
	}
	s.log.Info("the group is followed", "node", stream.Node, "epoch", at.Epoch, "index", at.Index)
	for {
		rec, err := r.Next()
		if err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, archive.ErrTorn) {
				err = errors.New("the node has ended the stream")
			}
			return fmt.Errorf("follow %s: %w", stream.Node, err)
		}
		if rec.Entry != nil {
			s.tail += int64(len(rec.Entry.Data)) + 64
			err = s.trail.Append(*rec.Entry)
		} else {
			err = s.marked(ctx, *rec.Mark, stream.Node)
		}
		if err != nil {
			return trailError{fmt.Errorf("the archive cannot be written: %w", err)}
		}
	}
}

// marked makes durable what has come, and looks whether it is time for a whole state.
func (s *Standby) marked(ctx context.Context, m archive.Mark, node string) error {
	if err := s.trail.Mark(m); err != nil {
		return err
	}
	now := time.Now().UTC()
	s.note(func(st *StandbyStatus) {
		at, _ := s.trail.Position()
		st.reached(at)
		st.Following, st.Error, st.Node, st.Heard = true, "", node, now
		if !m.Proven.IsZero() {
			st.ProvenHere = now
		}
	})
	select {
	case t := <-s.taking:
		s.note(func(st *StandbyStatus) { st.Taking = false })
		s.tookBase(t)
	default:
	}
	if s.status.Taking || time.Since(s.based) < min(baseRest, s.config.Every) || time.Since(s.based) < s.config.Every && s.tail < tailLimit {
		return nil
	}
	s.note(func(st *StandbyStatus) { st.Taking = true })
	at, _ := s.trail.Position()
	go func() {
		h, err := s.takeBase(ctx, at)
		s.taking <- taken{h, err}
	}()
	return nil
}

func (s *Standby) handler() http.Handler {
	mux := http.NewServeMux()
	registry := prometheus.NewRegistry()
	registry.MustRegister(s.met)
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if st := s.Status(); !st.Following {
			http.Error(w, "the group is not followed: "+st.Error, http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, "ok\n")
	})
	return mux
}

package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/storage/archive"
	"github.com/holdfast-lb/holdfast/storage/depot"
)

// backupSync is how long a node waits until its state holds what was acknowledged before a backup.
const backupSync = 30 * time.Second

// The states of a backup, as the node that makes it says.
const (
	backupRuns    = "runs"
	backupEnded   = "ended"
	backupUnknown = "unknown" // it was never begun in this process
)

// backupOutcome is what a node says of the backup that it makes.
type backupOutcome struct {
	State string `json:"state"`
	// Failure is why it came to nothing; else the others are those of the archive.
	Failure string `json:"failure,omitempty"`
	Name    string `json:"name,omitempty"`
	Index   uint64 `json:"index,omitempty"`
	Bytes   int64  `json:"bytes,omitempty"`
}

// backupMaker makes the backups that the leader asks this node for, one at a time.
type backupMaker struct {
	// work makes one and removes older ones.
	work func(context.Context) (backupOutcome, error)
	ctx  context.Context //nolint:containedctx // that of the node: a backup outlives the question that began it
	stop context.CancelFunc

	results  *prometheus.CounterVec
	duration prometheus.Gauge
	bytes    prometheus.Gauge

	mu      sync.Mutex
	id      string // of the newest one
	outcome backupOutcome
	closed  bool
	running sync.WaitGroup
}

func newBackupMaker(reg prometheus.Registerer, state *fsm.State, work func(context.Context) (backupOutcome, error)) *backupMaker {
	m := &backupMaker{
		work: work,
		results: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "holdfast_backups_total",
			Help: "Backups of the group's schedule that this node has made, by how they ended: ok or failed."}, []string{"result"}),
		duration: prometheus.NewGauge(prometheus.GaugeOpts{Name: "holdfast_backup_duration_seconds", Help: "How long this node's last scheduled backup took that is whole."}),
		bytes:    prometheus.NewGauge(prometheus.GaugeOpts{Name: "holdfast_backup_size_bytes", Help: "Size of this node's last scheduled backup that is whole."}),
	}
	m.ctx, m.stop = context.WithCancel(context.Background())
	last := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "holdfast_backup_last_success_timestamp_seconds",
		Help: "Group's time at which the newest scheduled backup of the group was begun that is whole, as seconds since 1970; 0: there is none."},
		func() float64 {
			if b := state.Operating().Backups; b != nil && b.Good != nil {
				return float64(b.Good.At.UnixMilli()) / 1000
			}
			return 0
		})
	reg.MustRegister(m.results, m.duration, m.bytes, last)
	for _, result := range []string{"ok", "failed"} {
		m.results.WithLabelValues(result) // a counter that appears with its first failure raises no alarm
	}
	return m
}

// begin begins a backup unless it has begun already, and says how it is.
func (m *backupMaker) begin(id string) (backupOutcome, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case id == "":
		return backupOutcome{}, errors.New("a backup without an id")
	case m.id == id:
		return m.outcome, nil
	case m.outcome.State == backupRuns:
		return backupOutcome{}, errors.New("this node is still making another backup")
	case m.closed || m.ctx.Err() != nil:
		return backupOutcome{}, errLeaving
	}
	m.id, m.outcome = id, backupOutcome{State: backupRuns}
	m.running.Go(func() { m.run() })
	return m.outcome, nil
}

func (m *backupMaker) run() {
	start := time.Now()
	outcome, err := m.work(m.ctx)
	outcome.State = backupEnded
	if err != nil {
		outcome = backupOutcome{State: backupEnded, Failure: clip(strings.ReplaceAll(err.Error(), "\n", "; "), maxFailure)}
		m.results.WithLabelValues("failed").Inc()
	} else {
		m.results.WithLabelValues("ok").Inc()
		m.duration.Set(time.Since(start).Seconds())
		m.bytes.Set(float64(outcome.Bytes))
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.outcome = outcome
}

// state says how a backup is.
func (m *backupMaker) state(id string) backupOutcome {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.id != id || id == "" {
		return backupOutcome{State: backupUnknown}
	}
	return m.outcome
}

// close ends what runs and waits for it.
func (m *backupMaker) close() {
	m.stop()
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	m.running.Wait()
}

// backupAsked is this node's answer to the leader.
func (s *Server) backupAsked(from string, what asked) (backupOutcome, error) {
	switch leader := s.node.Info().Leader; {
	case s.config.BackupTo == "":
		return backupOutcome{}, errors.New("this node runs without --backup-to")
	case leader != from:
		return backupOutcome{}, fmt.Errorf("node %q does not lead, as far as this node knows: %q does", from, leader)
	case what.Do == askBackupState:
		return s.backups.state(what.ID), nil
	case s.leaving.Load():
		return backupOutcome{}, errLeaving
	}
	return s.backups.begin(what.ID)
}

// scheduledBackup makes one backup with the settings of this node.
func (s *Server) scheduledBackup(ctx context.Context) (backupOutcome, error) {
	synced, cancel := context.WithTimeout(ctx, backupSync)
	defer cancel()
	if err := s.node.Sync(synced); err != nil {
		return backupOutcome{}, fmt.Errorf("catch up with the group: %w", err)
	}
	if err := s.founded(synced); err != nil {
		return backupOutcome{}, err
	}
	image, err := s.imageWith(ctx, wire.ValuesWhole)
	if err != nil {
		return backupOutcome{}, err
	}
	defer image.State.Close()
	h := headerOf(image, s.config.Name, s.config.Version, time.Now())
	h.Scheduled = true
	write := func(w io.Writer) error { return writeArchive(stoppable{ctx, w}, h, image.State) }
	o := backupOutcome{Index: h.Index}
	var removed []string
	var pruned error
	if depot.IsAddress(s.config.BackupTo) {
		o.Name, o.Bytes, removed, pruned, err = s.backupToBucket(ctx, write)
	} else {
		o.Name, o.Bytes, removed, pruned, err = s.backupToDir(h, write)
	}
	if err != nil {
		return o, err
	}
	if pruned != nil { // the backup is as good as ever
		s.log.Warn("older backups of the schedule could not be removed", "error", pruned)
	}
	s.log.Info("scheduled backup made", "name", o.Name, "index", o.Index, "bytes", o.Bytes, "removed", len(removed))
	return o, nil
}

// founded waits until the group has a state: its first leader leads before that.
func (s *Server) founded(ctx context.Context) error {
	for {
		more := s.node.NextApplied()
		if s.state.Group() != nil {
			return nil
		}
		select {
		case <-more:
		case <-ctx.Done():
			return fmt.Errorf("the group has no state yet: %w", context.Cause(ctx))
		}
	}
}

func (s *Server) backupToBucket(ctx context.Context, write func(io.Writer) error) (name string, n int64, removed []string, pruned, err error) {
	b, err := s.config.openDepot()
	if err != nil {
		return "", 0, nil, nil, err
	}
	defer b.Close()
	stored, err := b.Put(ctx, write)
	if err != nil {
		return "", 0, nil, nil, err
	}
	if s.config.BackupKeep > 0 {
		removed, pruned = b.Prune(ctx, stored.Header, s.config.BackupKeep)
	}
	return stored.Address, stored.Size, removed, pruned, nil
}

func (s *Server) backupToDir(h archive.Header, write func(io.Writer) error) (name string, n int64, removed []string, pruned, err error) {
	f, err := archive.Create(s.config.BackupTo)
	if err != nil {
		return "", 0, nil, nil, err
	}
	defer f.Discard()
	if err := write(f); err != nil {
		return "", 0, nil, nil, err
	}
	if n, err = f.Seek(0, io.SeekCurrent); err != nil {
		return "", 0, nil, nil, fmt.Errorf("write archive: %w", err)
	}
	name = filepath.Join(s.config.BackupTo, h.Name())
	if err := f.Commit(name, false); err != nil {
		return "", 0, nil, nil, err
	}
	if s.config.BackupKeep > 0 {
		removed, pruned = archive.Prune(s.config.BackupTo, h, s.config.BackupKeep)
	}
	return name, n, removed, pruned, nil
}

// stoppable writes until ctx ends.
type stoppable struct {
	ctx context.Context //nolint:containedctx // a writer has no other way
	w   io.Writer
}

func (s stoppable) Write(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	return s.w.Write(p)
}

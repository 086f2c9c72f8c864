package server

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-lb/holdfast/storage/archive"
)

// standbyFile is what a standby says about itself, in its archive: it outlives the process, and a promotion reads whom it followed.
const standbyFile = "standby.json"

// StandbyStatus is how far a standby is.
type StandbyStatus struct {
	Group   string `json:"group,omitempty"`
	GroupID string `json:"groupId,omitempty"`
	Epoch   uint32 `json:"epoch,omitempty"`
	// Index is the last log entry in the archive, GroupTime the replicated time there, Base the newest whole state.
	Index     uint64    `json:"index,omitempty"`
	GroupTime time.Time `json:"groupTime,omitzero"`
	Base      uint64    `json:"base,omitempty"`
	// Proven, by the clock of ProvenBy: all that was acknowledged before is in the archive. ProvenHere is when that was heard, by this machine's clock.
	Proven     time.Time `json:"proven,omitzero"`
	ProvenBy   string    `json:"provenBy,omitempty"`
	ProvenHere time.Time `json:"provenHere,omitzero"`
	// Following: Node (an admin address) is followed now. Heard is when something came from the group last, Silent when it was lost last. By this machine's clock.
	Following bool      `json:"following"`
	Node      string    `json:"node,omitempty"`
	Heard     time.Time `json:"heard,omitzero"`
	Silent    time.Time `json:"silent,omitzero"`
	Error     string    `json:"error,omitempty"`
	// Damage is what was damaged in the archive when the standby was started, and what became of it.
	Damage []string `json:"damage,omitempty"`
	// From are the admin addresses of the group. PID is 0 when no standby runs.
	From    []string  `json:"from"`
	PID     int       `json:"pid,omitempty"`
	Started time.Time `json:"started,omitzero"`
	Written time.Time `json:"written"`

	Taking bool `json:"-"` // a whole state
}

func (st *StandbyStatus) reached(at archive.Position) {
	st.Group, st.GroupID, st.Epoch, st.Index = at.GroupName, at.GroupID, at.Epoch, at.Index
	if !at.Mark.GroupTime.IsZero() {
		st.GroupTime = at.Mark.GroupTime
	}
	if !at.Mark.Proven.IsZero() {
		st.Proven, st.ProvenBy = at.Mark.Proven, at.Mark.Node
	}
}

// Lag is for how long nothing has been proven to be in the archive; negative: it never was.
func (st *StandbyStatus) Lag(now time.Time) time.Duration {
	if st.ProvenHere.IsZero() {
		return -1
	}
	return max(0, now.Sub(st.ProvenHere))
}

// ReadStandbyStatus reads what the standby of an archive says, or said last.
func ReadStandbyStatus(dir string) (StandbyStatus, error) {
	var st StandbyStatus
	b, err := os.ReadFile(filepath.Join(dir, standbyFile))
	if err != nil {
		return st, err
	}
	if err := json.Unmarshal(b, &st); err != nil {
		return st, fmt.Errorf("%s: %w", filepath.Join(dir, standbyFile), err)
	}
	return st, nil
}

// Status is how far the standby is.
func (s *Standby) Status() StandbyStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status
}

// note changes the status, and writes it down each second and when it matters.
func (s *Standby) note(change func(*StandbyStatus)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.status
	change(&s.status)
	now := time.Now().UTC()
	st := &s.status
	if now.Sub(st.Written) < time.Second && before.Following == st.Following && before.Error == st.Error && before.PID == st.PID && len(before.Damage) == len(st.Damage) && before.Silent.Equal(st.Silent) {
		return
	}
	st.Written = now
	b, err := json.MarshalIndent(st, "", "  ")
	if err == nil {
		err = writeWhole(filepath.Join(s.config.Archive, standbyFile), append(b, '\n'))
	}
	if err != nil {
		s.log.Warn("the status cannot be written", "error", err)
	}
}

// writeWhole has readers see the old file or the new one.
func writeWhole(path string, b []byte) error {
	if err := os.WriteFile(path+".new", b, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// standbyMetrics are those of a standby, which has a registry of its own.
type standbyMetrics struct {
	bases *prometheus.CounterVec
	list  []prometheus.Collector
}

func newStandbyMetrics(s *Standby) *standbyMetrics {
	gauge := func(name, help string, value func(StandbyStatus) float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return value(s.Status()) })
	}
	m := &standbyMetrics{bases: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "holdfast_standby_states_total", Help: "Whole states that were taken, by result."}, []string{"result"})}
	m.list = []prometheus.Collector{m.bases,
		gauge("holdfast_standby_following", "1 while a node of the group is followed.", func(st StandbyStatus) float64 {
			if st.Following {
				return 1
			}
			return 0
		}),
		gauge("holdfast_standby_damage", "How many pieces of damage were in the archive when the standby was started.", func(st StandbyStatus) float64 { return float64(len(st.Damage)) }),
		gauge("holdfast_standby_index", "The last log entry in the archive.", func(st StandbyStatus) float64 { return float64(st.Index) }),
		gauge("holdfast_standby_lag_seconds", "For how long nothing has been proven to be in the archive; -1 when it never was.", func(st StandbyStatus) float64 {
			lag := st.Lag(time.Now())
			if lag < 0 {
				return -1
			}
			return lag.Seconds()
		})}
	return m
}

// Describe implements prometheus.Collector.
func (m *standbyMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, c := range m.list {
		c.Describe(ch)
	}
}

// Collect implements prometheus.Collector.
func (m *standbyMetrics) Collect(ch chan<- prometheus.Metric) {
	for _, c := range m.list {
		c.Collect(ch)
	}
}

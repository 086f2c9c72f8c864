package server

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// job is what a node tells of one duty that it does as the leader.
type job struct {
	Duty string `json:"duty"`
	// Since is when the node began with it, Last when it last looked whether something is due.
	Since time.Time `json:"since"`
	Last  time.Time `json:"last,omitzero"`
	Runs  uint64    `json:"runs"`
	// Error is that of the last run that failed, Failed when it was.
	Error  string    `json:"error,omitempty"`
	Failed time.Time `json:"failed,omitzero"`
}

// jobs are the duties of the term in which this node leads; empty while another one does.
type jobs struct {
	runs, errors *prometheus.CounterVec

	mu   sync.Mutex
	list []job
}

func newJobs(reg prometheus.Registerer) *jobs {
	j := &jobs{
		runs: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "holdfast_duty_runs_total",
			Help: "How often this node, as the leader, looked whether something of a duty is due."}, []string{"duty"}),
		errors: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "holdfast_duty_errors_total",
			Help: "How often a duty of the leader failed; it is tried again."}, []string{"duty"}),
	}
	reg.MustRegister(j.runs, j.errors)
	return j
}

// begin starts the list of a new term.
func (j *jobs) begin(duties []duty) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.list = nil
	for _, d := range duties {
		j.list = append(j.list, job{Duty: d.name(), Since: time.Now().UTC()})
	}
	slices.SortFunc(j.list, func(a, b job) int { return strings.Compare(a.Duty, b.Duty) })
}

// end forgets the list with the term.
func (j *jobs) end() {
	j.mu.Lock()
	j.list = nil
	j.mu.Unlock()
}

// note counts one run.
func (j *jobs) note(duty string, err error) {
	j.runs.WithLabelValues(duty).Inc()
	if err != nil {
		j.errors.WithLabelValues(duty).Inc()
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	for i := range j.list {
		if e := &j.list[i]; e.Duty == duty {
			e.Last = time.Now().UTC()
			e.Runs++
			if err != nil {
				e.Error, e.Failed = err.Error(), e.Last
			}
		}
	}
}

// snapshot gives the list by duty; the slice is the caller's.
func (j *jobs) snapshot() []job {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.list)
}

package server

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	skewEvery = 10 * time.Second
	// maxSkew is the difference between two nodes' clocks from which on it is worth a warning.
	maxSkew = 250 * time.Millisecond
	// skewRemind is how often the warning is repeated while the difference lasts.
	skewRemind = 10 * time.Minute
)

// skewDuty watches the clocks of the other nodes. Nothing depends on them (deadlines are replicated time, the leader's), but whoever leads next brings
// its own clock along.
type skewDuty struct {
	*term
	gauge  *prometheus.GaugeVec
	warned map[string]time.Time
}

// newSkewGauge makes the metric, which outlives terms.
func newSkewGauge(reg prometheus.Registerer) *prometheus.GaugeVec {
	g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "holdfast_clock_skew_seconds",
		Help: "A node's clock minus the leader's, as the leader measures it."}, []string{"node"})
	reg.MustRegister(g)
	return g
}

func (*skewDuty) name() string { return "clock-skew" }

func (d *skewDuty) look(ctx context.Context) (time.Duration, error) {
	reports, at := d.reports.get(ctx, skewEvery/2)
	d.gauge.Reset()
	for _, r := range reports {
		if r.self || !r.reachable {
			continue
		}
		d.gauge.WithLabelValues(r.node).Set(r.skew.Seconds())
		if r.skew.Abs()-r.rtt/2 <= maxSkew {
			delete(d.warned, r.node)
		} else if last, known := d.warned[r.node]; !known || at.Sub(last) >= skewRemind {
			if d.warned == nil {
				d.warned = make(map[string]time.Time)
			}
			d.warned[r.node] = at
			d.log.Warn("the clock of another node differs: synchronise the clocks of all nodes (NTP)",
				"other", r.node, slog.Duration("difference", r.skew), slog.Duration("limit", maxSkew))
		}
	}
	return max(skewEvery-time.Since(at), skewEvery/10), nil
}

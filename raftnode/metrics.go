package raftnode

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are registered once a node; labels have a fixed set of values.
type metrics struct {
	commits       *prometheus.CounterVec
	batch         prometheus.Histogram
	forward       prometheus.Histogram
	resent        prometheus.Counter
	leaderChanges prometheus.Counter
	refused       *prometheus.CounterVec
	calls         *prometheus.CounterVec
}

func newMetrics(n *Node, reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		commits: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "holdfast_raft_commits_total",
			Help: "Entries that this node committed as the leader, by kind (sessions, rare)."}, []string{"kind"}),
		batch: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "holdfast_raft_batch_operations",
			Help: "Session operations in one committed entry.", Buckets: prometheus.ExponentialBuckets(1, 2, 13)}),
		forward: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "holdfast_raft_forward_seconds",
			Help: "Time from sending a batch to the leader until its results are here.", Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14)}),
		resent: prometheus.NewCounter(prometheus.CounterOpts{Name: "holdfast_raft_resent_total",
			Help: "Session operations that were sent again after a failed attempt."}),
		leaderChanges: prometheus.NewCounter(prometheus.CounterOpts{Name: "holdfast_raft_leader_changes_total",
			Help: "Changes of the leader that this node has seen."}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "holdfast_peer_refused_total",
			Help: "Connections to the peer port that were refused, by reason."}, []string{"reason"}),
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "holdfast_peer_calls_total",
			Help: "Requests of other nodes, by outcome (ok, failed)."}, []string{"outcome"}),
	}
	gauges := []prometheus.Collector{
		gauge("holdfast_raft_term", "Current Raft term.", func() float64 { return float64(n.currentTerm()) }),
		gauge("holdfast_raft_applied_index", "Index of the last applied entry.", func() float64 { return float64(n.state.Applied()) }),
		gauge("holdfast_raft_leader", "1 while this node leads the group.", func() float64 {
			if n.lead.Load() != nil {
				return 1
			}
			return 0
		}),
		gauge("holdfast_raft_quorum", "1 while a leader is known, or was until a moment ago.", func() float64 {
			if n.Quorum() {
				return 1
			}
			return 0
		}),
	}
	all := append(gauges, m.commits, m.batch, m.forward, m.resent, m.leaderChanges, m.refused, m.calls)
	for i, c := range all {
		if err := reg.Register(c); err != nil {
			for _, done := range all[:i] {
				reg.Unregister(done)
			}
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	return m, nil
}

func gauge(name, help string, f func() float64) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, f)
}

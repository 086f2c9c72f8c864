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
	challenges    *prometheus.CounterVec
	diskWrite     prometheus.Histogram
	diskStalls    prometheus.Counter
	audits        *prometheus.CounterVec
	auditTime     prometheus.Histogram
	quarantines   *prometheus.CounterVec
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
		challenges: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "holdfast_raft_challenges_total",
			Help: "Leaders that seemed gone to this node, by cause (dead, silent) and outcome (stood, alive, unconfirmed, overtaken)."}, []string{"cause", "outcome"}),
		diskWrite: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "holdfast_disk_write_seconds",
			Help: "Time of one durable write of log entries or of a vote.", Buckets: prometheus.ExponentialBuckets(0.0002, 2, 17)}),
		diskStalls: prometheus.NewCounter(prometheus.CounterOpts{Name: "holdfast_disk_stalls_total",
			Help: "How often a write of this node took longer than a sound disk does, so that it does not lead until the write has ended, unless the others' disks are no better."}),
		audits: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "holdfast_audits_total",
			Help: "Checkpoints at which this node compared its state with the others', by verdict (equal, diverged, differs, open)."}, []string{"verdict"}),
		auditTime: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "holdfast_audit_seconds",
			Help: "Time from seeing a checkpoint to the verdict.", Buckets: prometheus.ExponentialBuckets(0.0005, 2, 13)}),
		quarantines: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "holdfast_quarantines_total",
			Help: "How often this node has taken itself out of service, by cause (diverged, disk-full, stuck, differs)."}, []string{"cause"}),
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
		gauge("holdfast_disk_full", "1 while less is free below the data directory than should be.", func() float64 {
			if n.disk.space.short.Load() != nil {
				return 1
			}
			return 0
		}),
		gauge("holdfast_store_bytes", "What session data and keys of modules count in the group's store.", func() float64 {
			_, total := n.state.StoreUse()
			return float64(total)
		}),
		gauge("holdfast_store_values", "Values in the group's store.", func() float64 {
			list, _ := n.state.StoreUse()
			values := 0
			for _, u := range list {
				values += u.Sessions + u.Keys
			}
			return float64(values)
		}),
		gauge("holdfast_raft_log_bytes", "Size of the file of the log.", func() float64 {
			size, _, _ := n.opt.Dir.LogFile() // 0 when it is closed
			return float64(size)
		}),
		gauge("holdfast_raft_log_free_bytes", "How much of it is free for new entries.", func() float64 {
			_, free, _ := n.opt.Dir.LogFile()
			return float64(free)
		}),
		gauge("holdfast_raft_quorum", "1 while a leader is known, or was until a moment ago.", func() float64 {
			if n.Quorum() {
				return 1
			}
			return 0
		}),
	}
	for _, cause := range causes {
		gauges = append(gauges, prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "holdfast_quarantined", Help: "1 while this node is out of service, by cause (diverged, disk-full, stuck, differs).",
			ConstLabels: prometheus.Labels{"cause": string(cause)}}, func() float64 { return n.audit.confined.gaugeOf(cause) }))
	}
	all := append(gauges, m.audits, m.auditTime, m.quarantines, m.commits, m.batch, m.forward, m.resent, m.leaderChanges, m.refused, m.calls, m.challenges, m.diskWrite, m.diskStalls)
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

package lb

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// streamMetrics counts what goes through listeners of protocol tcp and udp. Their connections count among the requests as well.
type streamMetrics struct {
	bytes *prometheus.CounterVec
	lost  prometheus.Counter // datagrams
}

func newStreamMetrics(r prometheus.Registerer) (streamMetrics, error) {
	m := streamMetrics{
		bytes: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "holdfast_stream_bytes_total",
			Help: "Bytes of connections of tcp listeners, and flows of udp listeners, that have ended, by direction: received (from clients), sent (to them)."}, []string{"cluster", "direction"}),
		lost: prometheus.NewCounter(prometheus.CounterOpts{Name: "holdfast_datagrams_lost_total",
			Help: "Datagrams that were dropped because too many of their flow waited until it was certain where they go."}),
	}
	if err := r.Register(m.lost); err != nil {
		return m, err
	}
	return m, r.Register(m.bytes)
}

// stream accounts for a stream that has ended: it is one request, with the status that nginx's stream module would give it.
func (m *metrics) stream(x *exchange, took time.Duration) {
	counters := m.nobody
	if x.counted != nil {
		counters = x.counted.counters
	}
	counters.count(x.status, x.assigned, took)
	if x.mod != nil && !counters.retired.Load() {
		m.streams.bytes.WithLabelValues(x.mod.cluster.name, "received").Add(float64(x.received))
		m.streams.bytes.WithLabelValues(x.mod.cluster.name, "sent").Add(float64(x.sent))
	}
}

func (m *streamMetrics) forgetCluster(cluster string) {
	m.bytes.DeletePartialMatch(prometheus.Labels{"cluster": cluster})
}

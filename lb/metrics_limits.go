package lb

import "github.com/prometheus/client_golang/prometheus"

// limitMetrics counts what the bounds have refused.
type limitMetrics struct{ refused *prometheus.CounterVec }

func newLimitMetrics(r prometheus.Registerer) (limitMetrics, error) {
	m := limitMetrics{prometheus.NewCounterVec(prometheus.CounterOpts{Name: "holdfast_limited_total",
		Help: "Requests and connections that a bound of the configuration has refused, by bound: rate, connections, client rate, client connections."}, []string{"bound"})}
	return m, r.Register(m.refused)
}

func (m *limitMetrics) refuse(bound string, mine bool, wait int64) error {
	m.refused.WithLabelValues(bound).Inc()
	return &limitError{bound, mine, retryAfter(wait)}
}

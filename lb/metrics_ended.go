package lb

import "github.com/prometheus/client_golang/prometheus"

func newEndedMetric(r prometheus.Registerer) (*prometheus.CounterVec, error) {
	m := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "holdfast_in_flight_ended_total",
		Help: "Requests, streams and flows that were ended because their instance had been stopped for longer than its hardTimeout."}, []string{"cluster", "instance"})
	return m, r.Register(m)
}

package lb

import "github.com/prometheus/client_golang/prometheus"

// compressionMetrics count what compression does.
type compressionMetrics struct {
	responses [codings]prometheus.Counter
	in, out   [codings]prometheus.Counter
	busy      prometheus.Counter
}

func newCompressionMetrics(r prometheus.Registerer) (compressionMetrics, error) {
	responses := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "holdfast_compressed_responses_total",
		Help: "Responses that were compressed, by encoding."}, []string{"encoding"})
	bytes := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "holdfast_compression_bytes_total",
		Help: "Bytes of the bodies of compressed responses, by encoding: in (as the instance has sent them) and out (as the client got them)."}, []string{"encoding", "side"})
	m := compressionMetrics{busy: prometheus.NewCounter(prometheus.CounterOpts{Name: "holdfast_compression_skipped_total",
		Help: "Responses that left as they were because as many were being compressed as may be."})}
	for c := codingNone + 1; c < codings; c++ {
		name := codingNames[c]
		m.responses[c], m.in[c], m.out[c] = responses.WithLabelValues(name), bytes.WithLabelValues(name, "in"), bytes.WithLabelValues(name, "out")
	}
	for _, c := range []prometheus.Collector{responses, bytes, m.busy} {
		if err := r.Register(c); err != nil {
			return m, err
		}
	}
	return m, nil
}

func (m *compressionMetrics) count(c coding, in, out int64) {
	m.responses[c].Inc()
	m.in[c].Add(float64(in))
	m.out[c].Add(float64(out))
}

package lb

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// http3Metrics count what HTTP/3 alone knows.
type http3Metrics struct{ retries, foreign, passed prometheus.Counter }

func newHTTP3Metrics(b *Balancer, r prometheus.Registerer) (http3Metrics, error) {
	m := http3Metrics{
		retries: prometheus.NewCounter(prometheus.CounterOpts{Name: "holdfast_http3_retries_total",
			Help: "Clients of HTTP/3 that had to prove their address first, because many handshakes were under way (Retry)."}),
		foreign: prometheus.NewCounter(prometheus.CounterOpts{Name: "holdfast_http3_foreign_datagrams_total",
			Help: "Datagrams for connections of HTTP/3 that another node has, which were dropped."}),
		passed: prometheus.NewCounter(prometheus.CounterOpts{Name: "holdfast_http3_passed_datagrams_total",
			Help: "Datagrams for connections of HTTP/3 that the process before has still, which were passed on to it."}),
	}
	return m, errors.Join(r.Register(m.retries), r.Register(m.foreign), r.Register(m.passed), r.Register(&http3Collector{b}))
}

// http3Refused counts what a client of HTTP/3 was refused, or cut off, for.
func (m *metrics) http3Refused(reason string) {
	m.violations.WithLabelValues("HTTP/3: " + reason).Inc()
}

// http3Collector reads the listeners that are to speak HTTP/3 off what is in force.
type http3Collector struct{ b *Balancer }

var (
	http3ListeningDesc   = prometheus.NewDesc("holdfast_http3_listening", "1 when the listener has its port of UDP, and tells clients of HTTP/3.", []string{"listener"}, nil)
	http3ConnectionsDesc = prometheus.NewDesc("holdfast_http3_connections", "Connections of HTTP/3 that are open on the listener.", []string{"listener"}, nil)
)

// Describe implements prometheus.Collector.
func (c *http3Collector) Describe(ch chan<- *prometheus.Desc) {
	ch <- http3ListeningDesc
	ch <- http3ConnectionsDesc
}

// Collect implements prometheus.Collector.
func (c *http3Collector) Collect(ch chan<- prometheus.Metric) {
	c.b.mu.Lock()
	defer c.b.mu.Unlock()
	for _, f := range c.b.fronts {
		h := f.http3
		if h == nil {
			continue
		}
		listening := 0.0
		if h.serves() {
			listening = 1
		}
		c.b.conns.mu.Lock()
		open := h.open
		c.b.conns.mu.Unlock()
		ch <- prometheus.MustNewConstMetric(http3ListeningDesc, prometheus.GaugeValue, listening, f.name())
		ch <- prometheus.MustNewConstMetric(http3ConnectionsDesc, prometheus.GaugeValue, float64(open), f.name())
	}
}

// shaking is how many handshakes are under way.
func (h *http3Front) shaking() int64 {
	if h == nil {
		return 0
	}
	return h.shakes.all.Load() + h.unproven.Load()
}

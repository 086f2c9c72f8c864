package lb

import "github.com/prometheus/client_golang/prometheus"

// frontCollector reads the group's listeners off what is in force when it is asked: UCD-13, each class of clients may have a listener of its own.
type frontCollector struct{ b *Balancer }

var (
	frontRequestsDesc    = prometheus.NewDesc("holdfast_listener_requests_total", "Requests that came in by the listener.", []string{"listener"}, nil)
	frontConnectionsDesc = prometheus.NewDesc("holdfast_listener_connections", "Connections of clients that are open on the listener, without upgraded ones.", []string{"listener"}, nil)
)

// Describe implements prometheus.Collector.
func (c *frontCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- frontRequestsDesc
	ch <- frontConnectionsDesc
}

// Collect implements prometheus.Collector.
func (c *frontCollector) Collect(ch chan<- prometheus.Metric) {
	c.b.mu.Lock()
	defer c.b.mu.Unlock()
	for _, f := range c.b.fronts {
		c.b.conns.mu.Lock()
		open, answered := f.open, f.answered.Load()
		if f.http3 != nil {
			open, answered = open+f.http3.open, answered+f.http3.answered.Load()
		}
		c.b.conns.mu.Unlock()
		answered += f.answeredBefore
		ch <- prometheus.MustNewConstMetric(frontRequestsDesc, prometheus.CounterValue, float64(answered), f.name())
		ch <- prometheus.MustNewConstMetric(frontConnectionsDesc, prometheus.GaugeValue, float64(open), f.name())
	}
}

// came counts a request that net/http has had.
func (x *exchange) came() {
	if f := frontOf(x.r.Context()); f != nil {
		f.answered.Add(1)
	}
}

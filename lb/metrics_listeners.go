package lb

import "github.com/prometheus/client_golang/prometheus"

// listenerCollector reads the listeners of the instances off the routing when it is asked, so that a new one is there as soon as it is in force and one that is
// gone is not. There are as many as the configuration has listener URLs.
type listenerCollector struct{ b *Balancer }

var liDesc = prometheus.NewDesc("holdfast_instance_listener_up", "1 when the listener URL of the instance is available.", []string{"cluster", "instance", "listener"}, nil)

// Describe implements prometheus.Collector.
func (c *listenerCollector) Describe(ch chan<- *prometheus.Desc) { ch <- liDesc }

// Collect implements prometheus.Collector.
func (c *listenerCollector) Collect(ch chan<- prometheus.Metric) {
	for _, cl := range c.b.routing.Load().clusters {
		for _, in := range cl.instances {
			for _, e := range *in.state.endpoints.Load() {
				up := 0.0
				if e.up() {
					up = 1
				}
				ch <- prometheus.MustNewConstMetric(liDesc, prometheus.GaugeValue, up, cl.name, in.name, e.url)
			}
		}
	}
}

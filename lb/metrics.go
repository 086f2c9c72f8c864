package lb

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/lb/wire"
)

// metrics are what the data plane counts. Labels are names of the configuration and small fixed sets, so their number is bounded.
type metrics struct {
	requests        *prometheus.CounterVec
	requestSeconds  *prometheus.HistogramVec
	sessions        *prometheus.CounterVec
	retries         *prometheus.CounterVec
	requestRetries  *prometheus.CounterVec
	commitSeconds   prometheus.Histogram
	cookiesRejected prometheus.Counter
	strays          prometheus.Counter
	violations      *prometheus.CounterVec
	engines         *prometheus.CounterVec
	byLoop, byNet   prometheus.Counter // of engines
	nobody          *instanceCounters  // requests that reached no instance
	limits          limitMetrics
	tls             tlsMetrics
	streams         streamMetrics
	ended           *prometheus.CounterVec
	compression     compressionMetrics
	http3           http3Metrics
	decisions
}

func newMetrics(b *Balancer, r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "holdfast_requests_total",
			Help: "Requests by the instance that answered, the class of the status code, and whether the session was known."},
			[]string{"cluster", "instance", "code", "assigned"}),
		requestSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "holdfast_request_seconds",
			Help: "Time from the request's head to the end of the response.", Buckets: prometheus.ExponentialBuckets(0.0005, 2.5, 12)},
			[]string{"cluster"}),
		sessions: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "holdfast_session_records_total",
			Help: "Session records by outcome: assigned, moved, exists, full, other, provisional, refused."}, []string{"cluster", "outcome"}),
		retries: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "holdfast_connect_retries_total",
			Help: "Requests that another instance got because the chosen one did not accept them."}, []string{"cluster"}),
		requestRetries: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "holdfast_request_retries_total",
			Help: "Requests that were sent again, to whichever instance, by why: connect, reset, timeout, status."}, []string{"cluster", "why"}),
		commitSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "holdfast_session_record_seconds",
			Help: "Time until the group had recorded a session.", Buckets: prometheus.ExponentialBuckets(0.0005, 2, 13)}),
		cookiesRejected: prometheus.NewCounter(prometheus.CounterOpts{Name: "holdfast_requests_with_rejected_cookie_total",
			Help: "Requests with a cookie that was forged, damaged, or made for another module."}),
		strays: prometheus.NewCounter(prometheus.CounterOpts{Name: "holdfast_requests_with_unknown_session_refused_total",
			Help: "Requests with a session id that this node does not know, refused without a quorum because the rest of the group may know it."}),
		violations: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "holdfast_protocol_violations_total",
			Help: "Requests that were refused because they break HTTP or a limit, and connections of HTTP/2 that were cut off."}, []string{"reason"}),
		engines: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "holdfast_engine_requests_total",
			Help: "Requests by the engine that answered: loop (assigned ones, on event loops) or net (everything else, on net/http)."}, []string{"engine"}),
	}
	m.byLoop, m.byNet = m.engines.WithLabelValues("loop"), m.engines.WithLabelValues("net")
	m.nobody = &instanceCounters{metrics: m}
	lost := prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "holdfast_access_log_skipped_total",
		Help: "Lines of the access log that were given up because those before them had not been taken."}, func() float64 { return float64(b.access.lost.Load()) })
	for _, c := range []prometheus.Collector{lost, m.requests, m.requestSeconds, m.sessions, m.retries, m.requestRetries, m.commitSeconds,
		m.cookiesRejected, m.strays, m.violations, m.engines, b.short.total, b.keeping.missed, &instanceCollector{b}, &listenerCollector{b}, &frontCollector{b}} {
		if err := r.Register(c); err != nil {
			return nil, err
		}
	}
	var err error
	if m.decisions, err = newDecisions(r); err != nil {
		return nil, err
	}
	if m.tls, err = newTLSMetrics(b, r); err != nil {
		return nil, err
	}
	if m.streams, err = newStreamMetrics(r); err != nil {
		return nil, err
	}
	if m.ended, err = newEndedMetric(r); err != nil {
		return nil, err
	}
	if m.compression, err = newCompressionMetrics(r); err != nil {
		return nil, err
	}
	if m.http3, err = newHTTP3Metrics(b, r); err != nil {
		return nil, err
	}
	m.limits, err = newLimitMetrics(r)
	return m, err
}

// Violation counts a request that the wire guard refused. It makes metrics a wire.Stats.
func (m *metrics) Violation(e *wire.Error) { m.violations.WithLabelValues(e.Reason).Inc() }

func (m *metrics) recorded(cluster string, kind fsm.OpKind, code fsm.Code) {
	outcome := "other"
	switch {
	case code == fsm.CodeExists || code == fsm.CodeMismatch:
		outcome = "exists"
	case code == fsm.CodeFull:
		outcome = "full"
	case code == fsm.CodeOK && kind == fsm.OpAssign:
		outcome = "assigned"
	case code == fsm.CodeOK && isMove(kind):
		outcome = "moved"
	}
	m.sessions.WithLabelValues(cluster, outcome).Inc()
}

func (m *metrics) request(x *exchange, took time.Duration) {
	counters := m.nobody
	if x.counted != nil {
		counters = x.counted.counters
	}
	counters.count(x.status, x.assigned, took)
	m.byNet.Inc()
}

// instanceCounters keeps the counters of one instance at hand: looking labels up costs more than counting.
type instanceCounters struct {
	metrics           *metrics
	cluster, instance string
	cells             [6][2]atomic.Pointer[prometheus.Counter]
	seconds           atomic.Pointer[prometheus.Observer]
	retired           atomic.Bool // the instance has been removed: what still ends makes no new counter
}

// retire lets go of the counters, which are removed.
func (c *instanceCounters) retire() {
	c.retired.Store(true)
	c.seconds.Store(nil)
	for class := range c.cells {
		for known := range c.cells[class] {
			c.cells[class][known].Store(nil)
		}
	}
}

var codeClasses = [6]string{"none", "1xx", "2xx", "3xx", "4xx", "5xx"}

// count takes in one request that the instance had.
func (c *instanceCounters) count(status int, assigned bool, took time.Duration) {
	if c.retired.Load() {
		return
	}
	c.inc(status, assigned)
	seconds := c.seconds.Load()
	if seconds == nil {
		made := c.metrics.requestSeconds.WithLabelValues(c.cluster)
		seconds = &made
		c.seconds.Store(seconds)
	}
	(*seconds).Observe(took.Seconds())
}

func (c *instanceCounters) inc(status int, assigned bool) {
	class, known, label := status/100, 0, "false"
	if class < 0 || class > 5 {
		class = 0
	}
	if assigned {
		known, label = 1, "true"
	}
	cell := &c.cells[class][known]
	counter := cell.Load()
	if counter == nil {
		made := c.metrics.requests.WithLabelValues(c.cluster, c.instance, codeClasses[class], label)
		counter = &made
		cell.Store(counter)
	}
	(*counter).Inc()
}

// forget removes the counters of a removed instance.
func (m *metrics) forget(cluster, instance string) {
	m.requests.DeletePartialMatch(prometheus.Labels{"cluster": cluster, "instance": instance})
	m.ended.DeleteLabelValues(cluster, instance)
}

// forgetCluster removes what is counted by cluster alone.
func (m *metrics) forgetCluster(cluster string) {
	m.decisions.forgetCluster(cluster)
	m.streams.forgetCluster(cluster)
	m.requestSeconds.DeleteLabelValues(cluster)
	m.retries.DeleteLabelValues(cluster)
	m.requestRetries.DeletePartialMatch(prometheus.Labels{"cluster": cluster})
	m.sessions.DeletePartialMatch(prometheus.Labels{"cluster": cluster})
}

// instanceCollector reads gauges off the instances when it is asked.
type instanceCollector struct{ b *Balancer }

var (
	upDesc = prometheus.NewDesc("holdfast_instance_up", "1 when some listener of the instance is available.", []string{"cluster", "instance"}, nil)
	enDesc = prometheus.NewDesc("holdfast_instance_enabled", "1 when the instance is enabled.", []string{"cluster", "instance"}, nil)
	inDesc = prometheus.NewDesc("holdfast_requests_in_flight", "Requests that the instance is working on, upgraded connections included.", []string{"cluster", "instance"}, nil)
	waDesc = prometheus.NewDesc("holdfast_connections_waiting", "Requests that wait for a connection of the instance (maxConnections).", []string{"cluster", "instance"}, nil)
	peDesc = prometheus.NewDesc("holdfast_pending_assignments", "Assignments of this node that no majority has recorded yet.", nil, nil)
)

// Describe implements prometheus.Collector.
func (c *instanceCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{upDesc, enDesc, inDesc, waDesc, peDesc} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *instanceCollector) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	bit := map[bool]float64{true: 1}
	for _, s := range c.b.Instances() {
		gauge(upDesc, bit[s.Health != "down"], s.Cluster, s.Instance)
		gauge(enDesc, bit[s.Enabled], s.Cluster, s.Instance)
		gauge(inDesc, float64(s.InFlight), s.Cluster, s.Instance)
		gauge(waDesc, float64(s.Waiting), s.Cluster, s.Instance)
	}
	gauge(peDesc, float64(c.b.pending.count.Load()))
}

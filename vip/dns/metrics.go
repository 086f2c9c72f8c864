package dns

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	wire "github.com/miekg/dns"
)

// transport is the way that a query came.
type transport int

const (
	udp transport = iota
	tcp
)

func (t transport) String() string { return [...]string{"udp", "tcp"}[t] }

// metrics have labels with small fixed sets of values, made once, so that counting costs no look-up of labels.
type metrics struct {
	queries   [2]map[int]prometheus.Counter // by rcode
	ignored   [2]prometheus.Counter
	slipped   prometheus.Counter
	dropped   prometheus.Counter
	truncated prometheus.Counter
	conns     prometheus.Gauge
	refused   prometheus.Counter
}

// rcodes are all that this server gives.
var rcodes = []int{wire.RcodeSuccess, wire.RcodeFormatError, wire.RcodeServerFailure, wire.RcodeNameError, wire.RcodeNotImplemented, wire.RcodeRefused, wire.RcodeBadVers}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	queries := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "holdfast_dns_queries_total",
		Help: "Messages to the DNS server, by transport and by the rcode of the answer; ignored: what is no query."}, []string{"transport", "rcode"})
	limited := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "holdfast_dns_rate_limited_total",
		Help: "Queries by UDP beyond the limit of their network, by what they got: truncated (come again by TCP) or nothing."}, []string{"answer"})
	m := &metrics{
		slipped: limited.WithLabelValues("truncated"),
		dropped: limited.WithLabelValues("nothing"),
		truncated: prometheus.NewCounter(prometheus.CounterOpts{Name: "holdfast_dns_truncated_total",
			Help: "Answers by UDP that were too long for the client and say that it should ask by TCP."}),
		conns: prometheus.NewGauge(prometheus.GaugeOpts{Name: "holdfast_dns_tcp_connections",
			Help: "Open TCP connections of DNS clients."}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{Name: "holdfast_dns_tcp_closed_total",
			Help: "TCP connections that were closed because there were too many."}),
	}
	for _, t := range []transport{udp, tcp} {
		m.queries[t] = map[int]prometheus.Counter{}
		for _, rcode := range rcodes {
			name := wire.RcodeToString[rcode]
			if rcode == wire.RcodeBadVers {
				name = "BADVERS" // the number is BADSIG's too, which is another field
			}
			m.queries[t][rcode] = queries.WithLabelValues(t.String(), name)
		}
		m.ignored[t] = queries.WithLabelValues(t.String(), "ignored")
	}
	if reg == nil {
		return m, nil
	}
	all := []prometheus.Collector{queries, limited, m.truncated, m.conns, m.refused}
	for i, c := range all {
		if err := reg.Register(c); err != nil {
			for _, done := range all[:i] {
				reg.Unregister(done)
			}
			return nil, fmt.Errorf("register metrics of the DNS server: %w", err)
		}
	}
	return m, nil
}

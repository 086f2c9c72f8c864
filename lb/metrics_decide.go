package lb

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-lb/holdfast/fsm"
)

// decisions are what is counted about where requests go. Labels are clusters and small fixed sets.
type decisions struct {
	failovers        *prometheus.CounterVec
	failoversRefused *prometheus.CounterVec
	sessionsLost     *prometheus.CounterVec
	unrecognised     *prometheus.CounterVec
	forsaken         *prometheus.CounterVec
	waits            *prometheus.CounterVec
}

func newDecisions(r prometheus.Registerer) (decisions, error) {
	vec := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	d := decisions{
		failovers: vec("holdfast_failovers_total", "Sessions that went to another instance of their cluster, by why: "+
			"unavailable, handover, quiesced, removed, failback.", "cluster", "reason"),
		failoversRefused: vec("holdfast_failovers_refused_total", "Requests refused because their session could not go elsewhere: "+
			"version (failoverSameVersion), session (onSessionLost: refuse).", "cluster", "reason"),
		sessionsLost: vec("holdfast_sessions_lost_total", "Sessions that began anew because what the application kept in them was gone.", "cluster"),
		unrecognised: vec("holdfast_sessions_unrecognised_total", "Unassigned requests with a session id that is unknown or a cookie that is not authentic.", "cluster"),
		forsaken:     vec("holdfast_session_cookies_without_affinity_total", "Responses with a well-known session cookie in clusters with affinity none.", "cluster"),
		waits: vec("holdfast_connection_waits_total", "Requests that waited for a connection of their instance (maxConnections), by outcome: "+
			"served, timeout, gone.", "cluster", "outcome"),
	}
	for _, c := range []prometheus.Collector{d.failovers, d.failoversRefused, d.sessionsLost, d.unrecognised, d.forsaken, d.waits} {
		if err := r.Register(c); err != nil {
			return decisions{}, err
		}
	}
	return d, nil
}

var failoverLabels = map[fsm.Reason]string{
	fsm.ReasonUnavailable: "unavailable", fsm.ReasonHandover: "handover", fsm.ReasonQuiesced: "quiesced",
	fsm.ReasonRemoved: "removed", fsm.ReasonPolicy: "failback",
}

func (d *decisions) failover(cluster string, reason fsm.Reason) {
	d.failovers.WithLabelValues(cluster, failoverLabels[reason]).Inc()
}

// waited counts a request that waited for a connection.
func (d *decisions) waited(cluster string, err error) {
	outcome := "served"
	if errors.Is(err, errBusy) {
		outcome = "timeout"
	} else if err != nil {
		outcome = "gone"
	}
	d.waits.WithLabelValues(cluster, outcome).Inc()
}

func (d *decisions) forgetCluster(cluster string) {
	for _, vec := range []*prometheus.CounterVec{d.failovers, d.failoversRefused, d.sessionsLost, d.unrecognised, d.forsaken, d.waits} {
		vec.DeletePartialMatch(prometheus.Labels{"cluster": cluster})
	}
}

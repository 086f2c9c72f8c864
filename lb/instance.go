package lb

import (
	"strings"
	"sync/atomic"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
)

// instance is one instance as one Operating sees it. It is immutable; what lives on between changes is in state.
type instance struct {
	id      fsm.InstanceID
	name    string
	enabled bool
	phase   fsm.Phase
	weight  int
	route   string
	version string
	backup  bool
	host    string // of its first listener URL
	near    bool   // to this node, by the cluster's locality
	// verdict is the group's, "" for none.
	verdict     fsm.HealthState
	maxSessions int           // 0: no bound
	bounded     bool          // it has a bound on connections
	share       int           // how many of them this node may use
	hard        time.Duration // hardTimeout; 0: none
	failoverTo  string
	cluster     *clusterState
	state       *instanceState
}

// instanceState is the long-lived part of an instance, found again by cluster and name, whatever its addresses.
type instanceState struct {
	cluster, name string
	created       time.Time
	endpoints     atomic.Pointer[[]*endpoint]
	turn          atomic.Uint32
	slots
	roster   roster
	hard     hardStop     // guarded by Balancer.mu
	opening  atomic.Int64 // unassigned requests in flight: sessions that may be on record soon
	latency  latency
	warm     warmup
	counters *instanceCounters
}

// up reports whether some listener of the instance is available.
func (s *instanceState) up() bool {
	for _, e := range *s.endpoints.Load() {
		if e.up() {
			return true
		}
	}
	return false
}

// endpoint picks among the available listeners in turn; those of the client's scheme come before all others. nil means that
// none is available.
func (s *instanceState) endpoint(scheme string) *endpoint {
	list := *s.endpoints.Load()
	if len(list) == 1 {
		if list[0].up() {
			return list[0]
		}
		return nil
	}
	turn := s.turn.Add(1)
	if e := nthUp(list, turn, func(e *endpoint) bool { return e.scheme == scheme }); e != nil {
		return e
	}
	return nthUp(list, turn, func(*endpoint) bool { return true })
}

// nthUp gives the listener whose turn it is among the available ones that fit.
func nthUp(list []*endpoint, turn uint32, fits func(*endpoint) bool) *endpoint {
	up := 0
	for _, e := range list {
		if e.up() && fits(e) {
			up++
		}
	}
	if up == 0 {
		return nil
	}
	nth := int(turn % uint32(up))
	var last *endpoint
	for _, e := range list {
		if e.up() && fits(e) {
			if last = e; nth == 0 {
				break
			}
			nth--
		}
	}
	return last // not nil unless all went down since they were counted
}

// InstanceStatus is what a node sees of an instance. Admin state and health are separate axes.
type InstanceStatus struct {
	Cluster  string `json:"cluster"`
	Instance string `json:"instance"`
	Enabled  bool   `json:"enabled"`
	// Health is "up", "down", or "partial" when only some listeners are available.
	Health string `json:"health"`
	// Reason says for each unavailable listener why it is.
	Reason   string `json:"reason,omitempty"`
	InFlight int64  `json:"inFlight"`
	// Waiting counts the requests that wait for a connection (maxConnections).
	Waiting int64 `json:"waiting,omitempty"`
	// Yielded counts, since the node has the instance, the requests that went to a far one instead because none was free here (locality).
	Yielded int64 `json:"yielded,omitempty"`
	// Suspect: checks, or requests a moment ago, have failed, but not yet as many in a row as take the instance out.
	Suspect bool `json:"suspect,omitempty"`
	// Agent is what the instance's agents have said of unassigned requests: "drain", "50%", "drain, 50%"; with "no answer" or "no word
	// that is known" when what they said last holds. Empty while they leave it all of them.
	Agent string `json:"agent,omitempty"`
	// Withheld is the part of its share that the instance does not get by their word, from 0 to 1; 1 with "drain".
	Withheld float64 `json:"withheld,omitempty"`
	// Since is when Health took its value.
	Since time.Time `json:"since"`
	// Unproven: Health is down by what was found before this node was in contact with its group again; that is being found again.
	Unproven bool `json:"unproven,omitempty"`
	// Certificate is the one of its https listeners that ends first, nil when none was seen.
	Certificate *InstanceCertificate `json:"certificate,omitempty"`
	// AnsweredAgo is how long ago the latest check began that found a listener in order, in ms and at least 1; 0 when none has yet.
	AnsweredAgo int64 `json:"answeredAgo,omitempty"`
}

// ModuleStatus is what a node has in flight for a module.
type ModuleStatus struct {
	Cluster     string `json:"cluster"`
	Host        string `json:"host,omitempty"`
	ContextRoot string `json:"contextRoot"`
	InFlight    int64  `json:"inFlight"`
}

func (in *instance) status(contact contactState) InstanceStatus {
	s := InstanceStatus{
		Cluster: in.state.cluster, Instance: in.name, Enabled: in.enabled,
		InFlight: in.state.inFlight.Load(), Waiting: in.state.waiting.Load(), Yielded: in.state.yielded.Load(), Since: in.state.created,
	}
	s.Agent, s.Withheld = in.state.agentWord()
	s.Certificate = in.state.shown()
	list := *in.state.endpoints.Load()
	var reasons []string
	var answered time.Time
	for _, e := range list {
		up, since, reason := e.health.verdict()
		failed, found := e.health.attempts()
		if found.After(answered) {
			answered = found
		}
		s.Unproven = s.Unproven || !up && contact.outdates(failed.begun)
		s.Suspect = s.Suspect || e.prober.suspect()
		if since.After(s.Since) {
			s.Since = since
		}
		if !up {
			reasons = append(reasons, e.url+": "+reason)
		}
	}
	switch {
	case len(list) == 0 || len(reasons) == len(list):
		s.Health = "down"
	case len(reasons) > 0:
		s.Health = "partial"
	default:
		s.Health = "up"
	}
	s.Unproven = s.Unproven && s.Health == "down"
	if !answered.IsZero() {
		s.AnsweredAgo = max(time.Since(answered).Milliseconds(), 1)
	}
	s.Reason = strings.Join(reasons, "; ")
	s.Since = byClock(s.Since, time.Since(s.Since), time.Now())
	return s
}

// clockJump is how far a clock has to have jumped for byClock to mind it; less is what clocks are set by all the time.
const clockJump = 100 * time.Millisecond

// byClock gives a time that was some while ago by the clock as it is now. Others compare it with the time of now (the leader, with this node's clock), and if the clock has jumped back
// since, what has long been so would be yet to come for them.
func byClock(at time.Time, ago time.Duration, now time.Time) time.Time {
	if jumped := now.Round(0).Sub(at.Round(0)) - ago; jumped.Abs() > clockJump { // Round: by the clock, not by the time that passes
		return now.Add(-ago)
	}
	return at
}

package lb

import (
	"hash/fnv"
	"time"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// recoveryInterval is how often an unavailable listener is probed at least unless retryInterval says otherwise, so that it comes back
// quickly.
const recoveryInterval = time.Second

// healthSettings is how the listeners of a cluster's instances are checked, and what requests may say about them.
type healthSettings struct {
	kind      string // http, tcp, grpc, agent, none
	path      string
	service   string // of grpc
	agentPort int    // 0: no agent
	interval  time.Duration
	retry     time.Duration // interval while unavailable
	timeout   time.Duration
	recover   bool // only what is unavailable is checked
	rise      int
	fall      int
	expect    string
	healthy   config.StatusSet
	passive   passiveSettings
	sendProxy int // the version of the PROXY protocol by which a check says that it is nobody's connection; 0: none

	passedTLS  bool   // clients' TLS is passed on to the instances, see look
	serverName string // that they ask for; "": none is known
}

// passiveSettings is what takes a listener out of service when requests meet it.
type passiveSettings struct {
	connect, timeout, reset, status bool
	fails                           int // of timeout, reset and status in a row
}

func newHealthSettings(c config.Health) healthSettings {
	s := healthSettings{
		kind: c.Type, path: c.Path, service: c.GRPCService, agentPort: c.AgentPort, rise: max(c.Rise, 1), fall: max(c.Fall, 1),
		expect: c.Expect, interval: time.Duration(c.Interval), retry: time.Duration(c.RetryInterval), timeout: time.Duration(c.Timeout),
		recover: c.Mode == "recover-only", passive: newPassiveSettings(c),
	}
	if s.kind == "" {
		s.kind = "http"
	}
	if s.path == "" {
		s.path = "/"
	}
	if s.expect == "" {
		s.expect = "100-500"
	}
	if s.interval <= 0 {
		s.interval = 30 * time.Second
	}
	if s.retry <= 0 {
		s.retry = min(s.interval, recoveryInterval)
	}
	if s.timeout <= 0 {
		s.timeout = 10 * time.Second
	}
	// The configuration was validated; should it have slipped through all the same, nothing counts as healthy, and the reason
	// names the setting.
	s.healthy, _ = config.ParseExpect(s.expect)
	return s
}

// newPassiveSettings reads health.passive; a list that was not given means connect, an empty one nothing.
func newPassiveSettings(c config.Health) passiveSettings {
	p := passiveSettings{connect: c.Passive == nil, fails: max(c.PassiveFails, 1)}
	for _, what := range c.Passive {
		switch what {
		case "connect":
			p.connect = true
		case "timeout":
			p.timeout = true
		case "reset":
			p.reset = true
		case "5xx":
			p.status = true
		}
	}
	return p
}

// period is the time from the start of one probe to the start of the next.
func (s *healthSettings) period(up bool) time.Duration {
	if up {
		return s.interval
	}
	return s.retry
}

// idle reports whether there is nothing to check: only a request can change the verdict.
func (s *healthSettings) idle(up bool) bool {
	return up && (s.recover || s.kind == "none" && s.agentPort == 0)
}

// maxPhase bounds how much of the first interval a phase takes away.
const maxPhase = 0.9

// probePhase is the part by which the first interval of a listener's checks on a node is shorter, from 0 to maxPhase. It spreads the
// checks of listeners and nodes that all began at once, and is the same after every start.
func probePhase(node, url string) float64 {
	h := fnv.New64a()
	h.Write([]byte(node + "\x00" + url))
	x := h.Sum64() // its upper bits hardly depend on the last bytes: mix them
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	return maxPhase * float64(x>>11) / (1 << 53)
}

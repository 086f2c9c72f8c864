package lb

import (
	"time"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// recoveryInterval is how often an unavailable listener is probed at least, so that it comes back quickly.
const recoveryInterval = time.Second

// healthSettings is how the listeners of a cluster's instances are checked.
type healthSettings struct {
	kind     string // http, tcp, none
	path     string
	interval time.Duration
	timeout  time.Duration
	rise     int
	fall     int
	expect   string
	healthy  config.StatusSet
}

func newHealthSettings(c config.Health) healthSettings {
	s := healthSettings{
		kind: c.Type, path: c.Path, rise: max(c.Rise, 1), fall: max(c.Fall, 1), expect: c.Expect,
		interval: time.Duration(c.Interval), timeout: time.Duration(c.Timeout),
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
	if s.timeout <= 0 {
		s.timeout = 10 * time.Second
	}
	// The configuration was validated; should it have slipped through all the same, nothing counts as healthy, and the reason
	// names the setting.
	s.healthy, _ = config.ParseExpect(s.expect)
	return s
}

// period is the time from the start of one probe to the start of the next.
func (s healthSettings) period(up bool) time.Duration {
	if up {
		return s.interval
	}
	return min(s.interval, recoveryInterval)
}

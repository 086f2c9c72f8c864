package lb

import (
	"fmt"
	"strconv"
	"strings"
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
	healthy  statusSet
}

func newHealthSettings(c config.Health) healthSettings {
	s := healthSettings{
		kind: c.Type, path: c.Path, rise: max(c.Rise, 1), fall: max(c.Fall, 1), expect: c.Expect,
		interval: time.Duration(c.Interval), timeout: time.Duration(c.Timeout),
	}
	if s.kind == "" {
		s.kind = "http"
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
	healthy, err := parseStatusSet(s.expect)
	if err != nil { // the configuration was validated; this is its default
		healthy = statusSet{{100, 500}}
	}
	s.healthy = healthy
	return s
}

// period is the time from the start of one probe to the start of the next.
func (s healthSettings) period(up bool) time.Duration {
	if up {
		return s.interval
	}
	return min(s.interval, recoveryInterval)
}

// statusSet is a set of status codes; both ends of a range count.
type statusSet [][2]int

// parseStatusSet reads "100-500" or "200,204,300-399".
func parseStatusSet(s string) (statusSet, error) {
	var set statusSet
	for part := range strings.SplitSeq(s, ",") {
		low, high, found := strings.Cut(strings.TrimSpace(part), "-")
		if !found {
			high = low
		}
		from, err1 := strconv.Atoi(strings.TrimSpace(low))
		to, err2 := strconv.Atoi(strings.TrimSpace(high))
		if err1 != nil || err2 != nil || from > to || from < 100 || to > 999 {
			return nil, fmt.Errorf("health expect: %q is not a status code or a range of them", part)
		}
		set = append(set, [2]int{from, to})
	}
	return set, nil
}

func (s statusSet) has(status int) bool {
	for _, r := range s {
		if status >= r[0] && status <= r[1] {
			return true
		}
	}
	return false
}

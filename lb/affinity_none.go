package lb

import (
	"net/http"
	"slices"
	"time"
)

// noAffinity treats every request as unassigned.
type noAffinity struct{}

func (noAffinity) find(*inquiry, *module) bool  { return false }
func (noAffinity) guess(*inquiry, *module) bool { return false }
func (noAffinity) open(*exchange) error         { return nil }

// settle has nothing to record, but sees when an application keeps sessions that nothing leads back to it.
func (noAffinity) settle(x *exchange, response http.Header) error {
	if lines := response["Set-Cookie"]; len(lines) > 0 {
		x.noteForsaken(lines, x.start)
	}
	return nil
}

// sessionCookies are the names that common application servers give to the cookie of a session which they keep in memory.
var sessionCookies = []string{"JSESSIONID", "PHPSESSID", "ASP.NET_SessionId", ".AspNetCore.Session", "connect.sid"}

// noteForsaken counts a response with a session cookie in a cluster without affinity, and says so once an hour.
func (q *inquiry) noteForsaken(setCookies []string, now time.Time) {
	for _, line := range setCookies {
		name, _, ok := setCookie(line, now)
		if !ok || !slices.Contains(sessionCookies, name) {
			continue
		}
		q.b.metrics.forsaken.WithLabelValues(q.mod.cluster.name).Inc()
		if q.mod.state.forsaken.due(now) {
			q.b.log.Warn("an application sets a session cookie, but its cluster has affinity none: the requests of a session go to any instance; "+
				"set affinity to insert or learn unless the instances share their sessions",
				"cluster", q.mod.cluster.name, "host", q.mod.host, "contextRoot", q.mod.root, "cookie", name)
		}
		return
	}
}

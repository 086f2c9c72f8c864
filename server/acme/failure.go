package acme

import (
	"errors"
	"net/http"
	"regexp"
	"strings"
	"time"

	acmelib "github.com/mholt/acmez/v3/acme"
)

// Pauses between attempts. Authorities let 5 validations of a host fail in an hour, so a first failure is tried again soon, and later ones ever later.
const (
	firstPause = time.Minute
	lastPause  = 6 * time.Hour
	// limitPause is that of an authority that says that there were too many requests, and not for how long.
	limitPause = time.Hour
	// longestPause bounds what an authority may ask for: its clock may be wrong.
	longestPause = 14 * 24 * time.Hour
)

// retryAfter is how authorities say in words when the next attempt is possible.
var retryAfter = regexp.MustCompile(`(?i)retry[ -]after:? (\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d)`)

// Pause is how long to wait before the next attempt, after failures of them in a row, the last of which ended with err. What the authority says of its limits counts.
func Pause(err error, failures int, now time.Time) time.Duration {
	pause := firstPause
	for range failures - 1 {
		if pause = min(2*pause, lastPause); pause == lastPause {
			break
		}
	}
	if !limited(err) {
		return pause
	}
	if m := retryAfter.FindStringSubmatch(err.Error()); m != nil {
		if at, bad := time.Parse(time.DateTime, strings.Replace(m[1], "T", " ", 1)); bad == nil {
			return min(max(at.Sub(now)+time.Second, pause), longestPause)
		}
	}
	return max(pause, limitPause)
}

// limited reports whether an authority has had too many requests.
func limited(err error) bool {
	p, ok := errors.AsType[acmelib.Problem](err)
	return ok && (p.Type == acmelib.ProblemTypeRateLimited || p.Status == http.StatusTooManyRequests || p.Status == http.StatusServiceUnavailable)
}

// maxReason is the length of a reason in bytes: what an authority sends may be a whole page.
const maxReason = 1000

// Reason is an error in one line of words. What comes from the authority is made harmless.
func Reason(err error) string {
	text := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '\uFFFD' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(err.Error(), " "))
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > maxReason {
		text = strings.ToValidUTF8(text[:maxReason], "") + " ..."
	}
	if text == "" {
		return "unknown"
	}
	return text
}

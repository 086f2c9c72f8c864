package lb

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestNewSessionPerRequestIsNoticed: an application whose session ids are never found again is warned of once an hour.
func TestNewSessionPerRequestIsNoticed(t *testing.T) { // TC-16
	a := newApp(t, "i1", nil)
	r := newRig(t, learnConf(of(a)...))
	for i := range stormLimit + 20 {
		send(t, r, "/", fmt.Sprintf("Cookie: JSESSIONID=never-seen-%d", i))
	}
	if got := metric(t, r, "holdfast_sessions_unrecognised_total", "cluster=c1"); got != stormLimit+20 {
		t.Errorf("%v counted", got)
	}
	if n := strings.Count(r.logs.String(), "are not recognised"); n != 1 {
		t.Errorf("%d warnings", n)
	}
	if strings.Contains(r.logs.String(), "never-seen") {
		t.Error("an id is in the log")
	}
}

func TestForgedCookiesAreUnrecognised(t *testing.T) {
	a := newApp(t, "i1", nil)
	r := newRig(t, conf(of(a)...))
	send(t, r, "/", "Cookie: HOLDFAST=forged")
	newClient(t).get(r.url("/"))
	if got := metric(t, r, "holdfast_sessions_unrecognised_total"); got != 1 {
		t.Errorf("%v counted", got)
	}
}

func TestStorm(t *testing.T) {
	var s storm
	at := time.Unix(60_000_000, 0)
	told := 0
	minute := func(n int) {
		for range n {
			if s.note(at) {
				told++
			}
		}
		at = at.Add(time.Minute)
	}
	minute(stormLimit)
	minute(stormLimit)
	if told != 0 {
		t.Fatal("at the limit")
	}
	minute(stormLimit + 1)
	minute(10 * stormLimit)
	if told != 1 {
		t.Fatalf("told %d times", told)
	}
	at = at.Add(time.Hour)
	minute(2 * stormLimit)
	if told != 2 {
		t.Fatalf("told %d times", told)
	}
}

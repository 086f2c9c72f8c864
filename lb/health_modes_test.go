package lb

import (
	"fmt"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

func TestRecoverOnlyChecksOnlyTheUnavailable(t *testing.T) { // SUN-89
	runScript(t, config.Health{Type: "http", Mode: "recover-only", Rise: 2, RetryInterval: config.Duration(5 * time.Second)}, func(s *probeScript) {
		s.answer("sick")
		s.pass(time.Hour)
		if len(s.probes()) != 0 {
			t.Fatal("an available listener was probed")
		}
		s.p.health.refused("refused", time.Now())
		s.p.poke()
		s.pass(7 * time.Second)
		s.answer("")
		s.pass(time.Hour)
		wantList(t, "probes", s.probes(), []time.Duration{time.Hour + 5*time.Second, time.Hour + 10*time.Second, time.Hour + 15*time.Second})
		wantList(t, "changes", s.verdicts(), []string{"1h0m15s up=true "})
	})
}

func TestRetryInterval(t *testing.T) {
	for _, c := range []struct{ interval, retry, want time.Duration }{
		{30 * time.Second, 0, time.Second}, {200 * time.Millisecond, 0, 200 * time.Millisecond},
		{30 * time.Second, time.Minute, time.Minute}, {10 * time.Second, 2 * time.Second, 2 * time.Second},
	} {
		s := newHealthSettings(config.Health{Interval: config.Duration(c.interval), RetryInterval: config.Duration(c.retry)})
		if got := s.period(false); got != c.want || s.period(true) != c.interval {
			t.Errorf("%+v: %v", c, got)
		}
	}
	runScript(t, config.Health{Type: "http", RetryInterval: config.Duration(4 * time.Second)}, func(s *probeScript) {
		s.answer("bad")
		s.pass(9 * time.Second)
		wantList(t, "probes", s.probes(), []time.Duration{0, 4 * time.Second, 8 * time.Second})
	})
}

func TestHealthDefaults(t *testing.T) { // SUN-11..13: 100-500, 30 s, 10 s
	s := newHealthSettings(config.Health{})
	if s.kind != "http" || s.path != "/" || s.interval != 30*time.Second || s.timeout != 10*time.Second || s.expect != "100-500" ||
		s.rise != 1 || s.fall != 1 || s.recover || s.passive != (passiveSettings{connect: true, fails: 1}) {
		t.Errorf("%+v", s)
	}
	none := newHealthSettings(config.Health{Passive: []string{}, PassiveFails: 3}).passive
	all := newHealthSettings(config.Health{Passive: []string{"connect", "timeout", "reset", "5xx"}}).passive
	if none != (passiveSettings{fails: 3}) || all != (passiveSettings{true, true, true, true, 1}) {
		t.Errorf("%+v %+v", none, all)
	}
}

func TestSuspectBeforeFailed(t *testing.T) { // TC-32
	runScript(t, config.Health{Interval: config.Duration(time.Second), Fall: 3, Type: "http"}, func(s *probeScript) {
		suspect := func(when string, want bool) {
			t.Helper()
			if got := s.p.suspect(); got != want {
				t.Errorf("%s: suspect %v", when, got)
			}
		}
		s.pass(500 * time.Millisecond)
		suspect("well", false)
		s.answer("bad")
		s.pass(time.Second)
		suspect("after one of three", true)
		s.answer("")
		s.pass(time.Second)
		suspect("recovered", false)
		s.answer("bad")
		s.pass(2 * time.Second)
		suspect("after two of three", true)
		if !s.p.health.up() {
			t.Error("failed too early")
		}
		s.pass(time.Second)
		suspect("failed", false)
		if s.p.health.up() {
			t.Error("not failed after three")
		}
	})
}

// TestSuspicionByRequestsEnds: a suspect instance gets no request that could clear it, and its checks were good all the time. So what a request met is held
// against it for a while only; the row goes on.
func TestSuspicionByRequestsEnds(t *testing.T) { // TC-32, WAS-14
	for _, mode := range []string{"active", "recover-only"} {
		h := config.Health{Type: "http", Mode: mode, Interval: config.Duration(30 * time.Second), RetryInterval: config.Duration(2 * time.Second)}
		runScript(t, h, func(s *probeScript) {
			s.pass(10 * time.Second)
			bad := func() bool { return s.p.health.bad("answered 500", 3, time.Now(), time.Now()) }
			for _, nth := range []string{"first", "second"} {
				if bad() || !s.p.suspect() {
					t.Errorf("%s, after the %s of three: not suspect", mode, nth)
				}
				s.pass(1900 * time.Millisecond)
				if !s.p.suspect() {
					t.Errorf("%s: the suspicion after the %s ended early", mode, nth)
				}
				s.pass(200 * time.Millisecond)
				if s.p.suspect() {
					t.Errorf("%s: still suspect though nothing has failed since the %s", mode, nth)
				}
			}
			if !bad() || s.p.suspect() {
				t.Errorf("%s: the third in a row does not take it out", mode)
			}
		})
	}
}

func TestPhaseShortensTheFirstIntervalOnly(t *testing.T) {
	runScript(t, config.Health{Interval: config.Duration(10 * time.Second), Type: "http"}, func(s *probeScript) {
		s.pass(25 * time.Second)
		wantList(t, "without", s.probes(), []time.Duration{0, 10 * time.Second, 20 * time.Second})
	})
	runPhase(t, 0.75, config.Health{Interval: config.Duration(10 * time.Second), Type: "http"}, func(s *probeScript) {
		s.pass(25 * time.Second)
		wantList(t, "with", s.probes(), []time.Duration{0, 2500 * time.Millisecond, 12500 * time.Millisecond, 22500 * time.Millisecond})
	})
}

func TestPhasesSpreadListenersAndNodes(t *testing.T) {
	const parts = 9
	var seen [parts]int
	for node := range 3 {
		for i := range 300 {
			p := probePhase(fmt.Sprintf("node%d", node), fmt.Sprintf("http://10.0.0.%d:8080", i))
			if p < 0 || p >= maxPhase {
				t.Fatal(p)
			}
			seen[int(p/maxPhase*parts)]++
		}
	}
	for i, n := range seen { // 100 expected in each
		if n < 60 || n > 140 {
			t.Errorf("part %d has %d of 900", i, n)
		}
	}
	if a, b := probePhase("n1", "http://h"), probePhase("n2", "http://h"); a == b || a != probePhase("n1", "http://h") {
		t.Error("not by node, or not the same each time")
	}
}

func TestPassiveFailuresInARow(t *testing.T) {
	at := time.Now()
	h := newHealth(at)
	later := func(d time.Duration) time.Time { return at.Add(d) }
	bad := func() bool { return h.bad("broken", 3, later(1), later(9)) }
	suspect := func() bool { return h.suspect(later(9), time.Second) }
	if bad() {
		t.Fatal("down after one of three")
	}
	if bad() || !suspect() {
		t.Fatal("two of three")
	}
	h.good()
	if suspect() {
		t.Fatal("a good response does not end the row")
	}
	if bad() {
		t.Fatal("the first of a new row")
	}
	if bad() {
		t.Fatal("the second of a new row")
	}
	if !bad() {
		t.Fatal("still up after three in a row")
	}
	if up, since, reason := h.verdict(); up || reason != "broken" || !since.Equal(later(9)) {
		t.Fatal(up, since, reason)
	}
	if h.bad("x", 1, later(10), later(11)) {
		t.Error("down twice")
	}
	h.note(true, "", 1, 1, later(12), later(20))
	if !h.up() || suspect() {
		t.Fatal("does not come back clean")
	}
	if h.bad("old", 1, later(15), later(30)) {
		t.Error("a request that was sent before it came back takes it out")
	}
	if !h.bad("new", 1, later(21), later(31)) {
		t.Error("a new one does not")
	}
}

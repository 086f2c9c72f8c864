package lb

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// probeScript is a prober in virtual time whose probes end as told.
type probeScript struct {
	p       *prober
	answers atomic.Pointer[string] // "" healthy
	takes   atomic.Int64
	begun   time.Time

	mu      sync.Mutex
	starts  []time.Duration
	changes []string
	begin   func() // the first probe, once what it is to find is set
}

func (s *probeScript) probes() []time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.starts)
}

func (s *probeScript) verdicts() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.changes)
}

func runScript(t *testing.T, s config.Health, test func(*probeScript)) {
	runPhase(t, 0, s, test)
}

func runPhase(t *testing.T, phase float64, s config.Health, test func(*probeScript)) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		sc := &probeScript{begun: time.Now()}
		sc.answer("")
		check := func(ctx context.Context, h *healthSettings) error {
			sc.mu.Lock()
			sc.starts = append(sc.starts, time.Since(sc.begun))
			sc.mu.Unlock()
			select {
			case <-time.After(time.Duration(sc.takes.Load())):
				if reason := *sc.answers.Load(); reason != "" {
					return errors.New(reason)
				}
				return nil
			case <-ctx.Done():
				return errors.New("timeout")
			}
		}
		sc.p = newProber(newHealth(time.Now()), newHealthSettings(s), check, func(up bool, reason string) {
			sc.mu.Lock()
			defer sc.mu.Unlock()
			sc.changes = append(sc.changes, fmt.Sprintf("%v up=%v %s", time.Since(sc.begun), up, reason))
		})
		sc.p.phase = phase
		done := make(chan struct{})
		began := make(chan struct{})
		sc.begin = sync.OnceFunc(func() { close(began) })
		go func() { <-began; sc.p.run(ctx); close(done) }()
		test(sc)
		sc.begin()
		cancel()
		<-done
	})
}

func (s *probeScript) answer(reason string) { s.answers.Store(&reason) }

func (s *probeScript) pass(d time.Duration) {
	s.begin()
	<-time.After(d) // virtual time
	synctest.Wait()
}

func wantList[T comparable](t *testing.T, what string, got, want []T) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func TestProbesAtOnceThenByInterval(t *testing.T) {
	runScript(t, config.Health{Interval: config.Duration(30 * time.Second), Type: "http"}, func(s *probeScript) {
		s.pass(100 * time.Second)
		wantList(t, "probes", s.probes(), []time.Duration{0, 30 * time.Second, 60 * time.Second, 90 * time.Second})
	})
}

func TestDownIsProbedEverySecond(t *testing.T) {
	runScript(t, config.Health{Interval: config.Duration(30 * time.Second), Type: "http"}, func(s *probeScript) {
		s.answer("refused")
		s.pass(2500 * time.Millisecond)
		s.answer("")
		s.pass(time.Second)
		wantList(t, "probes", s.probes(), []time.Duration{0, time.Second, 2 * time.Second, 3 * time.Second})
		wantList(t, "changes", s.verdicts(), []string{"0s up=false refused", "3s up=true "})
		s.pass(30 * time.Second)
		if len(s.probes()) != 5 || s.probes()[4] != 33*time.Second {
			t.Errorf("back to the interval: %v", s.probes())
		}
	})
}

func TestRiseAndFall(t *testing.T) {
	runScript(t, config.Health{Interval: config.Duration(time.Second), Rise: 2, Fall: 3, Type: "http"}, func(s *probeScript) {
		s.pass(500 * time.Millisecond)
		s.answer("bad") // probes at 1, 2: not enough
		s.pass(2 * time.Second)
		s.answer("")
		s.pass(time.Second)
		s.answer("bad") // 4, 5, 6
		s.pass(3 * time.Second)
		s.answer("") // 7, 8
		s.pass(2 * time.Second)
		wantList(t, "changes", s.verdicts(), []string{"6s up=false bad", "8s up=true "})
	})
}

func TestTimeoutLongerThanIntervalOneProbeInFlight(t *testing.T) { // SUN-15
	runScript(t, config.Health{Interval: config.Duration(10 * time.Second), Timeout: config.Duration(20 * time.Second), Type: "http"}, func(s *probeScript) {
		s.takes.Store(int64(15 * time.Second))
		s.pass(65 * time.Second)
		wantList(t, "probes", s.probes(), []time.Duration{0, 20 * time.Second, 40 * time.Second, 60 * time.Second})
		if len(s.verdicts()) != 0 {
			t.Error(s.verdicts())
		}
	})
}

func TestSlowerThanTimeoutIsUnavailable(t *testing.T) { // SUN-13
	runScript(t, config.Health{Interval: config.Duration(30 * time.Second), Timeout: config.Duration(10 * time.Second), Type: "http"}, func(s *probeScript) {
		s.takes.Store(int64(time.Hour))
		s.pass(11 * time.Second)
		wantList(t, "changes", s.verdicts(), []string{"10s up=false timeout"})
	})
}

func TestRefusedRequestTakesDownAtOnce(t *testing.T) {
	runScript(t, config.Health{Interval: config.Duration(30 * time.Second), Fall: 5, Type: "http"}, func(s *probeScript) {
		s.pass(5 * time.Second)
		if !s.p.health.refused("refused", time.Now()) || s.p.health.up() {
			t.Fatal("still up")
		}
		if s.p.health.refused("refused", time.Now()) {
			t.Error("down twice")
		}
		s.p.poke()
		s.pass(1500 * time.Millisecond)
		wantList(t, "probes", s.probes(), []time.Duration{0, 6 * time.Second})
		wantList(t, "changes", s.verdicts(), []string{"6s up=true "})
	})
}

func TestProbeThatSetOutBeforeTheRefusalDoesNotCount(t *testing.T) {
	runScript(t, config.Health{Interval: config.Duration(30 * time.Second), Type: "http"}, func(s *probeScript) {
		s.takes.Store(int64(3 * time.Second))
		s.pass(time.Second)
		s.p.health.refused("refused", time.Now())
		s.p.poke()
		s.pass(2500 * time.Millisecond)
		if s.p.health.up() {
			t.Error("an old probe raised it")
		}
		s.pass(4 * time.Second)
		if !s.p.health.up() {
			t.Error("does not come back")
		}
	})
}

func TestTypeNoneProbesOnlyWhatWasRefused(t *testing.T) {
	runScript(t, config.Health{Type: "none"}, func(s *probeScript) {
		s.pass(time.Hour)
		if len(s.probes()) != 0 {
			t.Fatal("probed")
		}
		s.p.health.refused("refused", time.Now())
		s.p.poke()
		s.pass(1500 * time.Millisecond)
		if len(s.probes()) != 1 || !s.p.health.up() {
			t.Error("does not come back")
		}
	})
}

func TestNewSettingsKeepTheVerdict(t *testing.T) {
	runScript(t, config.Health{Interval: config.Duration(30 * time.Second), Type: "http"}, func(s *probeScript) {
		s.answer("bad")
		s.pass(time.Millisecond)
		s.p.use(newHealthSettings(config.Health{Interval: config.Duration(2 * time.Second), Type: "http"}))
		s.pass(500 * time.Millisecond)
		if s.p.health.up() {
			t.Error("new settings reset the verdict")
		}
		s.answer("")
		s.pass(4 * time.Second)
		wantList(t, "probes", s.probes(), []time.Duration{0, time.Second, 3 * time.Second})
	})
}

func TestCheckListener(t *testing.T) {
	var status atomic.Int64
	var asked atomic.Value
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Store(r.RequestURI)
		if r.URL.Path == "/hang" {
			<-r.Context().Done()
			return
		}
		w.WriteHeader(int(status.Load()))
	}))
	defer srv.Close()
	e, err := newEndpoint(srv.URL, false)
	if err != nil {
		t.Fatal(err)
	}
	check := func(h config.Health) string {
		s := newHealthSettings(h)
		ctx, cancel := context.WithTimeout(t.Context(), s.timeout)
		defer cancel()
		return explain(&s, e.checkListener(ctx, &s))
	}
	for code, healthy := range map[int]bool{200: true, 302: true, 404: true, 500: true, 501: false, 503: false} {
		status.Store(int64(code))
		if got := check(config.Health{Path: "/", Expect: "100-500", Type: "http"}); (got == "") != healthy {
			t.Errorf("%d: %q", code, got)
		}
	}
	status.Store(204) // SUN-09: the path is appended to the listener URL
	if got := check(config.Health{Path: "/fortune?x=1", Expect: "204", Type: "http"}); got != "" || asked.Load() != "/fortune?x=1" {
		t.Errorf("%q, asked for %v", got, asked.Load())
	}
	if got := check(config.Health{Path: "/hang", Timeout: config.Duration(50 * time.Millisecond), Type: "http"}); !strings.Contains(got, "no answer") {
		t.Errorf("hanging: %q", got)
	}
	if got := check(config.Health{Type: "tcp"}); got != "" {
		t.Errorf("tcp: %q", got)
	}
	srv.Close()
	for _, kind := range []string{"http", "tcp", "none"} {
		if check(config.Health{Type: kind}) == "" {
			t.Errorf("%s: a closed port is healthy", kind)
		}
	}
	for _, bad := range []string{"", "x", "ftp://h", "http://", "http://[::1", ":80"} {
		if _, err := newEndpoint(bad, false); err == nil {
			t.Errorf("listener URL %q is taken", bad)
		}
	}
}

func TestActiveCheckTakesOutAndBringsBack(t *testing.T) {
	var sick atomic.Bool
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if sick.Load() && r.URL.Path == "/health" {
			w.WriteHeader(503)
			return
		}
		fmt.Fprint(w, "i1")
	}))
	defer srv.Close()
	b := newApp(t, "i2", nil)
	cc := conf(inst("i1", srv.URL), inst("i2", b.URL))
	cc.Clusters[0].Health.Interval, cc.Clusters[0].Health.Path = config.Duration(10*time.Millisecond), "/health"
	r := newRig(t, cc)
	on := sessionsOn(t, r, 2)
	sick.Store(true)
	r.wait("i1 down", func() bool { return r.status("c1", "i1").Health == "down" })
	if got := on["i1"][0].get(r.url("/")); got.body != "i2" {
		t.Fatal("not failed over")
	}
	if !strings.Contains(r.status("c1", "i1").Reason, "503") || metric(t, r, "holdfast_instance_up", "instance=i1") != 0 {
		t.Error("no reason, or the metric is wrong")
	}
	sick.Store(false)
	r.wait("i1 up", func() bool { return r.status("c1", "i1").Health == "up" })
	if got := on["i1"][0].get(r.url("/")); got.body != "i2" {
		t.Fatal("the session went back")
	}
}

func TestSeveralListenersOfAnInstance(t *testing.T) { // SUN-21
	a, b := newApp(t, "one", nil), newApp(t, "two", nil)
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead.Close()
	cc := conf(inst("i1", a.URL, b.URL, "http://"+dead.Addr().String(), "https://"+dead.Addr().String()))
	cc.Clusters[0].Health.Type = "none"
	r := newRig(t, cc)
	cl := newClient(t)
	for range 20 {
		if got := cl.get(r.url("/")); got.StatusCode != 200 {
			t.Fatal(got.StatusCode)
		}
	}
	if a.count() < 8 || b.count() < 8 {
		t.Errorf("not in turn: %d %d", a.count(), b.count())
	}
	if s := r.status("c1", "i1"); s.Health != "partial" {
		t.Errorf("%+v", s)
	}
}

package lb

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

// mute is an instance whose host answers nothing for a while: neither checks nor requests.
type mute struct {
	*switchable
	silent atomic.Bool
	checks atomic.Int64
}

func newMute(t *testing.T, name string) *mute {
	m := &mute{switchable: &switchable{}}
	m.behave(echo(name))
	m.origin = newOrigin(t, func(c *net.TCPConn, r *http.Request, nth int64) bool {
		check := r.UserAgent() == healthUserAgent
		if check {
			m.checks.Add(1)
		}
		switch {
		case m.silent.Load():
			io.Copy(io.Discard, c) // until Holdfast gives up
			return false
		case check:
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			return false
		}
		return (*m.how.Load())(c, r, nth)
	})
	return m
}

// muteRig has two instances that are checked every 10 ms; what has failed is not checked again for an hour by itself.
func muteRig(t *testing.T, o Options) (*rig, *mute, *mute) {
	a, b := newMute(t, "i1"), newMute(t, "i2")
	cc := bare(inst("i1", a.url), inst("i2", b.url))
	cc.Clusters[0].Affinity.Type = "insert"
	cc.Clusters[0].Health = config.Health{Type: "http", Interval: config.Duration(10 * time.Millisecond), Timeout: config.Duration(2500 * time.Millisecond), RetryInterval: config.Duration(time.Hour)}
	return newRigOn(t, newFakeGroup(cc), o), a, b
}

func (r *rig) isDown(instance string) func() bool {
	return func() bool { return r.status("c1", instance).Health == "down" }
}

// allStay asks for each session once and fails the test unless it is where it was.
func allStay(t *testing.T, r *rig, on map[string][]*client) {
	t.Helper()
	for name, list := range on {
		for _, cl := range list {
			if got := cl.get(r.url("/")); got.body != name {
				t.Errorf("a session of %q: %d %q", name, got.StatusCode, got.body)
			}
		}
	}
	if n := len(r.g.moves()); n != 0 {
		t.Errorf("%d sessions were moved from instances that are up", n)
	}
}

// TestWhatACutOffNodeFoundMovesNoSession: a node found an instance unavailable while it had no contact with its group, and is back. The instance has been up
// all the time.
func TestWhatACutOffNodeFoundMovesNoSession(t *testing.T) {
	r, a, _ := muteRig(t, Options{})
	on := sessionsOn(t, r, 6)
	a.silent.Store(true)
	r.node.setCut(true)
	r.wait("i1 is unavailable from here", r.isDown("i1"))
	a.silent.Store(false)
	r.node.setCut(false)
	allStay(t, r, on)
	if r.isDown("i1")() {
		t.Error("it is not in service again")
	}
}

// TestCheckThatHangsSinceTheCutIsGivenUp: the check of what is out of service, which began in the cut, may hang for much longer than that.
func TestCheckThatHangsSinceTheCutIsGivenUp(t *testing.T) {
	r, a, _ := muteRig(t, Options{})
	on := sessionsOn(t, r, 6)
	a.silent.Store(true)
	r.node.setCut(true)
	r.wait("i1 is unavailable from here", r.isDown("i1"))
	slow := clone(r.g.rev.Config)
	slow.Clusters[0].Health.RetryInterval, slow.Clusters[0].Health.Timeout = config.Duration(10*time.Millisecond), config.Duration(time.Hour)
	checks := a.checks.Load()
	r.apply(slow)
	r.wait("a check of i1 hangs", func() bool { return a.checks.Load() > checks })
	a.silent.Store(false)
	r.node.setCut(false)
	r.wait("i1 is back", func() bool { return !r.isDown("i1")() })
	allStay(t, r, on)
}

// TestNoInstanceAnsweredMovesNoSession: the group was there all the time, but of the instances the node heard nothing.
func TestNoInstanceAnsweredMovesNoSession(t *testing.T) {
	r, a, b := muteRig(t, Options{})
	on := sessionsOn(t, r, 6)
	a.silent.Store(true)
	b.silent.Store(true)
	r.wait("both are unavailable from here", func() bool { return r.isDown("i1")() && r.isDown("i2")() && r.b.contact.look().deaf })
	if got := on["i1:"][0].get(r.url("/")); got.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("%d while nothing can be reached", got.StatusCode)
	}
	a.silent.Store(false)
	b.silent.Store(false)
	first := (*r.b.routing.Load().clusters["c1"].instances[0].state.endpoints.Load())[0]
	first.prober.anew(time.Now()) // the others follow from that it answers
	r.wait("one is back", func() bool { return !r.isDown("i1")() })
	allStay(t, r, on)
}

// TestOneNodesFaultStillMovesSessions: the way to one instance is broken from this node alone, which is in contact with everything else: its clients are
// served by another instance.
func TestOneNodesFaultStillMovesSessions(t *testing.T) {
	r, a, _ := muteRig(t, Options{})
	on := sessionsOn(t, r, 4)
	a.silent.Store(true)
	r.wait("i1 is unavailable from here", r.isDown("i1"))
	for _, cl := range on["i1:"] {
		if got := cl.get(r.url("/")); got.body != "i2:" {
			t.Errorf("%d %q", got.StatusCode, got.body)
		}
	}
	if n := len(r.g.moves()); n != len(on["i1:"]) {
		t.Errorf("%d moves of %d sessions", n, len(on["i1:"]))
	}
}

// TestInstanceThatDiedInTheCutIsLeft: what is found again after the cut counts.
func TestInstanceThatDiedInTheCutIsLeft(t *testing.T) {
	r, a, _ := muteRig(t, Options{})
	on := sessionsOn(t, r, 4)
	a.silent.Store(true)
	r.node.setCut(true)
	r.wait("i1 is unavailable from here", r.isDown("i1"))
	r.node.setCut(false)
	for _, cl := range on["i1:"] {
		if got := cl.get(r.url("/")); got.body != "i2:" {
			t.Errorf("%d %q", got.StatusCode, got.body)
		}
	}
}

// TestRequestOfTheCutIsNoSign: a request that began to connect in the cut fails after it, and neither takes the listener out nor moves its session.
func TestRequestOfTheCutIsNoSign(t *testing.T) {
	var contact atomic.Bool
	contact.Store(true)
	r, a, _ := muteRig(t, Options{InContact: contact.Load})
	cl := sessionsOn(t, r, 2)["i1:"][0]
	in := r.b.routing.Load().clusters["c1"].instances[0]
	e := (*in.state.endpoints.Load())[0]
	sent := time.Now()
	contact.Store(false)
	r.b.contact.look()
	contact.Store(true)
	x := exchangeOf(r.b, newRequest(t, r.url("/")))
	x.mod, x.in = r.b.routing.Load().match("h", "/").modules[0], in
	timeout := &connectError{&net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}}
	if why := x.noteResult(e, sent, nil, timeout); why != whyConnect || !e.up() {
		t.Errorf("%q, up %v", why, e.up())
	}
	r.wait("one that began after it counts", func() bool { // a check may find it well before this looks
		return x.noteResult(e, time.Now(), nil, timeout) == whyConnect && !e.up()
	})
	e.prober.anew(time.Now())
	r.wait("in service again", e.up)
	checks := a.checks.Load()
	x.noteResult(e, sent, nil, timeout)
	r.wait("checked in its place", func() bool { return a.checks.Load() > checks })
	if got := cl.get(r.url("/")); got.body != "i1:" || len(r.g.moves()) != 0 {
		t.Errorf("%q, %d moves", got.body, len(r.g.moves()))
	}
}

func newRequest(t *testing.T, url string) *http.Request {
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestUncertainSessionIsNotMoved: the group can be asked by nobody, and the instance is silent. 503 tells the client to come again; the session stays.
func TestUncertainSessionIsNotMoved(t *testing.T) {
	var contact atomic.Bool
	contact.Store(true)
	r, a, _ := muteRig(t, Options{InContact: contact.Load})
	cl := sessionsOn(t, r, 2)["i1:"][0]
	a.silent.Store(true)
	r.wait("i1 is unavailable from here", r.isDown("i1"))
	contact.Store(false) // an election, or the beginning of a cut: Quorum still hopes
	if got := cl.get(r.url("/")); got.StatusCode != http.StatusServiceUnavailable || got.Header.Get("Retry-After") == "" || len(r.g.moves()) != 0 {
		t.Errorf("%d, %d moves", got.StatusCode, len(r.g.moves()))
	}
	a.silent.Store(false)
	contact.Store(true)
	if got := cl.get(r.url("/")); got.body != "i1:" {
		t.Errorf("%d %q", got.StatusCode, got.body)
	}
}

// TestLateCheckIsRepeated: a check that began before contact was regained fails after that. The listener is up all the time.
func TestLateCheckIsRepeated(t *testing.T) {
	runScript(t, config.Health{Type: "http", Interval: config.Duration(30 * time.Second), Timeout: config.Duration(10 * time.Second)}, func(s *probeScript) {
		s.pass(25 * time.Second)
		here := &atomic.Bool{}
		here.Store(true)
		s.p.contact = &contact{group: here.Load}
		s.p.contact.look()
		s.takes.Store(int64(time.Hour))
		s.pass(6 * time.Second) // a check began at 30 s
		here.Store(false)
		s.p.contact.look()
		s.pass(2 * time.Second)
		here.Store(true)
		s.p.contact.look()
		s.takes.Store(0)
		s.pass(10 * time.Second)
		wantList(t, "probes", s.probes(), []time.Duration{0, 30 * time.Second, 40 * time.Second})
		wantList(t, "changes", s.verdicts(), nil)
		s.takes.Store(int64(time.Hour))
		s.pass(40 * time.Second)
		if s.p.health.up() {
			t.Error("one that begins later does not count")
		}
	})
}

// TestWhatWasTakenOutInTheCutNeedsNoRise: one good check is enough where the bad ones prove nothing.
func TestWhatWasTakenOutInTheCutNeedsNoRise(t *testing.T) {
	runScript(t, config.Health{Type: "http", Rise: 3, Interval: config.Duration(30 * time.Second), RetryInterval: config.Duration(10 * time.Second)}, func(s *probeScript) {
		s.pass(time.Second)
		here := &atomic.Bool{}
		s.p.contact = &contact{group: here.Load, regained: s.p.anew}
		s.answer("silence")
		s.pass(30 * time.Second)
		s.answer("")
		here.Store(true)
		s.p.contact.look()
		s.pass(time.Second)
		wantList(t, "changes", s.verdicts(), []string{"30s up=false silence", "31s up=true "})
	})
}

// TestProve: whoever waits for a check gets one that began late enough, and nobody waits for a prober that has ended.
func TestProve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var checks atomic.Int64
		check := func(ctx context.Context, _ *healthSettings) error {
			checks.Add(1)
			select {
			case <-time.After(5 * time.Second):
				return errors.New("late")
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		p := newProber(newHealth(time.Now()), newHealthSettings(config.Health{Type: "http"}), check, func(bool, string) {})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { p.run(ctx); close(done) }()
		<-time.After(2 * time.Second)
		begun := time.Now()
		for range 10 { // all wait for the same
			go func() { _ = p.prove(t.Context(), begun) }()
		}
		if err := p.prove(t.Context(), begun); err != nil || time.Since(begun) != 5*time.Second || checks.Load() != 2 {
			t.Errorf("%v after %v, %d checks: want the hanging one given up and one more", err, time.Since(begun), checks.Load())
		}
		if err := p.prove(t.Context(), begun); err != nil || time.Since(begun) != 5*time.Second {
			t.Errorf("%v after %v: it is known already", err, time.Since(begun))
		}
		short, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		if err := p.prove(short, time.Now()); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		waiting := make(chan error)
		go func() { waiting <- p.prove(t.Context(), time.Now().Add(time.Hour)) }()
		synctest.Wait()
		cancel()
		<-done
		if err := <-waiting; err != nil {
			t.Error(err)
		}
	})
}

func TestWhatIsSilence(t *testing.T) {
	dial := func(errno syscall.Errno) error {
		return &connectError{&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", errno)}}
	}
	for _, err := range []error{context.DeadlineExceeded, dial(syscall.EHOSTUNREACH), dial(syscall.ENETUNREACH), dial(syscall.ENETDOWN), dial(syscall.ETIMEDOUT),
		&agentError{os.ErrDeadlineExceeded}, &connectError{&net.DNSError{Err: "server misbehaving"}}} {
		if !isSilent(err) {
			t.Errorf("%v: somebody has answered", err)
		}
	}
	for _, err := range []error{dial(syscall.ECONNREFUSED), dial(syscall.ECONNRESET), io.EOF, errors.New("health check answered 503"), &agentError{errors.New("down")}} {
		if isSilent(err) {
			t.Errorf("%v: nobody has answered", err)
		}
	}
}

// TestWhatProvesThatAnInstanceCannotBeReached: since is when contact began, asked when the group last answered.
func TestWhatProvesThatAnInstanceCannotBeReached(t *testing.T) {
	since := time.Now()
	asked := since.Add(time.Minute)
	at := func(begun, took time.Duration, silent bool) failedAttempt {
		return failedAttempt{since.Add(begun), since.Add(begun + took), silent}
	}
	for name, c := range map[string]struct {
		failed failedAttempt
		want   bool
	}{
		"none":                           {failedAttempt{}, false},
		"refused in the cut":             {at(-time.Second, 0, false), false},
		"refused":                        {at(time.Second, 0, false), true},
		"silent since the cut":           {at(-time.Second, 10*time.Second, true), false},
		"silent for long":                {at(time.Second, 5*time.Second, true), true},
		"at once, before the group said": {at(time.Second, time.Millisecond, true), false},
		"at once, after the group said":  {at(time.Minute, time.Millisecond, true), true},
	} {
		if got := c.failed.proves(since, asked); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestVerdictOfTheGroupNeedsNoProof: what a majority has found is not found again.
func TestVerdictOfTheGroupNeedsNoProof(t *testing.T) {
	r, a, _ := muteRig(t, Options{})
	cl := sessionsOn(t, r, 2)["i1:"][0]
	a.silent.Store(true)
	r.node.setCut(true)
	r.wait("i1 is unavailable from here", r.isDown("i1"))
	r.verdict(states{1: fsm.HealthFailed})
	r.node.setCut(false)
	if got := cl.get(r.url("/")); got.body != "i2:" {
		t.Errorf("%d %q", got.StatusCode, got.body)
	}
}

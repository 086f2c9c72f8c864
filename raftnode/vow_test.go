package raftnode

import (
	"context"
	"encoding/binary"
	"errors"
	"math"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// TestLeaseBy: no word lets a leader hold for longer than its own profile, or for longer than the voter keeps it, with the leader's reserves.
func TestLeaseBy(t *testing.T) {
	for _, tc := range []struct {
		leader, voter string
		want          time.Duration
	}{
		{"lan", "lan", 320 * time.Millisecond}, {"lan", "wan", 320 * time.Millisecond}, {"lan", "fast", 0},
		{"fast", "fast", 60 * time.Millisecond}, {"fast", "lan", 60 * time.Millisecond}, {"fast", "wan", 60 * time.Millisecond},
		{"wan", "wan", 750 * time.Millisecond}, {"wan", "lan", 0}, {"wan", "fast", 0}, // by lan 150 ms, asked for every 100
	} {
		if got := timings[tc.leader].leaseBy(timings[tc.voter].heartbeat); got != tc.want {
			t.Errorf("%s by the word of %s: %v, want %v", tc.leader, tc.voter, got, tc.want)
		}
	}
	lan := timings["lan"]
	for takeover, want := range map[time.Duration]time.Duration{
		-1: 0, 0: 0, 1: 0, 120 * time.Millisecond: 0, 121 * time.Millisecond: 41 * time.Millisecond, 399 * time.Millisecond: 319 * time.Millisecond,
		math.MaxInt64: lan.lease,
	} {
		if got := lan.leaseBy(takeover); got != want {
			t.Errorf("%v: %v, want %v", takeover, got, want)
		}
	}
}

func TestVowsOnTheWire(t *testing.T) {
	v := vow{3 * time.Millisecond, 400 * time.Millisecond}
	for _, more := range []int{0, 1, 100} { // of a later version
		if got, err := decodeVow(append(v.encode(), make([]byte, more)...)); err != nil || got != v {
			t.Errorf("%d bytes more: %+v, %v", more, got, err)
		}
	}
	raw := func(age, takeover uint64) []byte {
		return binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, age), takeover)
	}
	for name, b := range map[string][]byte{
		"nothing": nil, "an old answer": encodeAge(1), "cut": v.encode()[:15], "takes over at once": raw(0, 0), "a negative take-over": raw(0, 1<<63), "all ones": raw(0, math.MaxUint64),
		"a negative age": raw(1<<63, 400e6), "older than the word": raw(400e6, 400e6), "a huge age": raw(math.MaxInt64, 400e6), "both are huge": raw(math.MaxInt64, math.MaxInt64),
	} {
		if got, err := decodeVow(b); !errors.Is(err, errFrame) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// said are the answers that a test has a node give, by kind; its own where there are none.
type said [256]atomic.Pointer[handler]

func (s *said) set(kind callKind, h handler) { s[kind].Store(&h) }

// vowing is a group whose nodes answer questions for the lease as the test says: the followers are those of the list. ask gives for how long the leader may hold.
func vowing(t *testing.T) (leader *member, followers []*member, answers []*said, ask func() (time.Duration, error)) {
	t.Helper()
	g := expectGroup(t, 3)
	of := map[*member]*said{}
	for _, m := range g {
		s := new(said)
		of[m] = s
		for _, kind := range []callKind{callWord, callLease} {
			own := m.node.server.handlers[kind]
			m.node.server.handlers[kind] = func(ctx context.Context, from caller, b []byte) ([]byte, error) {
				if h := s[kind].Load(); h != nil {
					return (*h)(ctx, from, b)
				}
				return own(ctx, from, b)
			}
		}
	}
	for _, m := range g {
		m.run()
	}
	g.ready()
	leader, followers = g.leader(), g.followers()
	for _, m := range followers {
		answers = append(answers, of[m])
	}
	term := leader.node.lead.Load().term
	return leader, followers, answers, func() (time.Duration, error) {
		until, err := leader.node.Lease(ctxFor(t, time.Second), term)
		return time.Duration(until - now(t)), err
	}
}

func says(b []byte) handler {
	return func(context.Context, caller, []byte) ([]byte, error) { return b, nil }
}

// heard is what a follower says that has heard of its leader a millisecond ago.
func heard(takeover time.Duration) handler { return says(vow{time.Millisecond, takeover}.encode()) }

// TestLeaseByOthersProfiles: the leader is one of lan, with 320 ms, and 80 ms to let go.
func TestLeaseByOthersProfiles(t *testing.T) {
	const ms = time.Millisecond
	refuses := func(context.Context, caller, []byte) ([]byte, error) { return nil, retryLater("busy") }
	for name, tc := range map[string]struct {
		n2, n3    handler
		low, most time.Duration // 0: no lease
		apart     bool          // because of the profiles
	}{
		"longer ones":               {heard(time.Second), heard(time.Second), 250 * ms, 319 * ms, false},
		"for ever":                  {heard(math.MaxInt64), heard(math.MaxInt64), 250 * ms, 319 * ms, false},
		"shorter ones":              {heard(200 * ms), heard(200 * ms), 60 * ms, 119 * ms, false},
		"one is too short":          {heard(80 * ms), heard(400 * ms), 250 * ms, 319 * ms, false},
		"both are too short":        {heard(80 * ms), heard(80 * ms), 0, 0, true},
		"one, and the other is mum": {heard(80 * ms), refuses, 0, 0, true},
		"neither speaks":            {refuses, refuses, 0, 0, false},
		"hostile":                   {says(make([]byte, 16)), says([]byte(strings.Repeat("\xff", 16))), 0, 0, false},
		"one is hostile":            {says(vow{-1, math.MaxInt64}.encode()), heard(400 * ms), 250 * ms, 319 * ms, false},
		"heard of it too long ago":  {says(vow{150 * ms, 200 * ms}.encode()), says(vow{399 * ms, 400 * ms}.encode()), 0, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			leader, _, answers, ask := vowing(t)
			answers[0].set(callWord, tc.n2)
			answers[1].set(callWord, tc.n3)
			leader.node.unleased.note("", time.Now())
			var got time.Duration
			var err error
			for end := time.Now().Add(unleasedLasts + time.Second/2); time.Now().Before(end); <-time.After(20 * ms) {
				if got, err = ask(); err == nil && (tc.most == 0 || got >= tc.low) {
					break
				}
			}
			switch {
			case tc.most == 0 && (err == nil || tc.apart && !errors.Is(err, ErrNoQuorum)):
				t.Errorf("a lease of %v, %v", got, err)
			case tc.most > 0 && (err != nil || got < tc.low || got > tc.most):
				t.Errorf("a lease of %v, %v; want %v to %v", got, err, tc.low, tc.most)
			}
			if why := leader.node.NoLease(); tc.apart != (why != nil) || why != nil && (!strings.Contains(why.Error(), "(fast)") || !strings.Contains(why.Error(), leader.opt.Name+" (lan)")) {
				t.Errorf("the reason is %v", why)
			}
		})
	}
}

// TestLeaseOfMixedVersions: a leader asks those of versions before callWord as they were asked, and nobody twice each time; and the leader of such a version gets its answer.
func TestLeaseOfMixedVersions(t *testing.T) {
	leader, f, answers, ask := vowing(t)
	var unknown, old atomic.Int32
	for i, m := range f {
		answers[i].set(callWord, func(context.Context, caller, []byte) ([]byte, error) {
			unknown.Add(1)
			return nil, &failure{code: failUnsupported, text: "request of kind 41"}
		})
		answers[i].set(callLease, func(ctx context.Context, from caller, b []byte) ([]byte, error) {
			old.Add(1)
			return m.node.handleLease(ctx, from, b)
		})
	}
	good := 0
	within(t, 20*time.Second, "no lease by followers of the version before", func() bool {
		if d, err := ask(); err == nil && d <= timings["lan"].lease {
			good++
		}
		return good == 20
	})
	if n := unknown.Load(); n > 10 || old.Load() < 20 { // one for each connection, or some: an answer that comes after the other follower's is not waited for
		t.Errorf("the unknown question was asked %d times, the old one %d times", n, old.Load())
	}
	// They are upgraded, and have another profile then: their processes have new connections.
	for i, m := range f {
		answers[i].set(callWord, heard(80*time.Millisecond))
		leader.node.pool.drop(m.node.Addr(), m.opt.Name, errors.New("restarted"))
	}
	if d, err := ask(); err == nil {
		t.Errorf("a lease of %v by followers that take over after 80ms", d)
	}
	b, err := leader.node.pool.call(ctxFor(t, 10*time.Second), f[0].node.Addr(), f[0].opt.Name, callLease, encodeIndex(leader.node.currentTerm()))
	if age, derr := decodeAge(b, time.Hour); err != nil || derr != nil || age <= 0 {
		t.Errorf("the answer to a leader of the version before: % x, %v, %v", b, err, derr)
	}
}

// TestRestartWithAShorterProfileKeepsTheWord: what the process before has vouched for by a longer profile is kept, and so is that of one of a version that did not note it.
func TestRestartWithAShorterProfileKeepsTheWord(t *testing.T) {
	g := startGroup(t, 3)
	m := g.followers()[0]
	note := func() uint64 {
		v, _ := m.dir.Stable().GetUint64(keyTakeover)
		return v
	}
	restart := func(timing string, want time.Duration) {
		t.Helper()
		m.crash()
		m.opt.Timing = timing
		m.again()
		within(t, 20*time.Second, "raft does not start", func() bool { return m.node.raft.Load() != nil })
		if got := m.node.trans.vows; got != want {
			t.Errorf("restarted with %s, words may be out for %v, want %v", timing, got, want)
		}
	}
	noted := func(timing string) {
		t.Helper()
		within(t, 20*time.Second, "its take-over time is not noted", func() bool { return note() == uint64(timings[timing].heartbeat) })
	}
	noted("lan")
	restart("wan", timings["lan"].heartbeat) // and before it gives a word of its own
	if v := note(); v != uint64(time.Second) {
		t.Errorf("noted are %v", time.Duration(v))
	}
	restart("lan", timings["wan"].heartbeat)
	noted("lan")
	restart("lan", timings["lan"].heartbeat)
	if err := m.dir.Stable().SetUint64(keyTakeover, 1<<63); err != nil {
		t.Fatal(err)
	}
	restart("lan", longestTakeover())
}

// TestVouchedBeforeARestart: it neither asks for votes before that word is over, unless leadership was handed to it, nor whether it may.
func TestVouchedBeforeARestart(t *testing.T) {
	p := newPeerTransport(nil, timings["fast"], timings["wan"].heartbeat, func() *raft.Raft { return nil }, nil)
	p.started = p.started.Add(-timings["fast"].heartbeat)
	if err := p.RequestPreVote("n2", "127.0.0.1:1", &raft.RequestPreVoteRequest{Term: 2}, new(raft.RequestPreVoteResponse)); !errors.Is(err, errBound) {
		t.Errorf("whether it may stand: %v", err)
	}
	if err := p.RequestVote("n2", "127.0.0.1:1", &raft.RequestVoteRequest{Term: 2}, new(raft.RequestVoteResponse)); !errors.Is(err, errBound) {
		t.Errorf("for a vote: %v", err)
	}
	if !p.bound() {
		t.Error("it votes for others")
	}
}

// TestLeaderWithALongerProfile: nodes that really run two profiles. The leader with the longer one gets no lease, and says why; the one after it has its own.
func TestLeaderWithALongerProfile(t *testing.T) {
	profiles := []string{"wan", "lan", "lan"}
	g := expectGroup(t, 3, func(o *Options) { o.Timing, profiles = profiles[0], profiles[1:] })
	for _, m := range g {
		m.run()
	}
	g.ready()
	if l := g.leader(); l != g[0] {
		if err := l.node.TransferTo(ctxFor(t, 20*time.Second), "n1"); err != nil {
			t.Fatal(err)
		}
	}
	within(t, 20*time.Second, "the leader with the longer profile does not say that it has no lease", func() bool {
		if until, err := g[0].node.Lease(ctxFor(t, time.Second), g[0].node.currentTerm()); err == nil {
			t.Fatalf("a lease of %v", time.Duration(until-now(t)))
		}
		return g[0].node.NoLease() != nil
	})
	if err := g[0].node.TransferTo(ctxFor(t, 20*time.Second), "n2"); err != nil {
		t.Fatal(err)
	}
	within(t, 20*time.Second, "n2 does not lead", func() bool { return g[1].node.lead.Load() != nil })
	if until, most := g[1].lease(g[1].node.lead.Load().term), now(t)+int64(timings["lan"].lease); until > most {
		t.Errorf("%v more than its profile's lease", time.Duration(until-most))
	}
	if i := g[0].node.Info(); i.Timing != "wan" {
		t.Errorf("node n1 says that it runs %q", i.Timing)
	}
}

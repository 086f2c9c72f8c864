package guard

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-lb/holdfast/vip"
)

var (
	testAddresses = []vip.Address{
		{Prefix: netip.MustParsePrefix("10.0.0.100/24"), Interface: "eth0"},
		{Prefix: netip.MustParsePrefix("2001:db8::100/64"), Interface: "eth0"},
	}
	testHop = vip.Hop{Interface: "eth0", Addr: netip.MustParseAddr("10.0.0.2")}
)

// fakeMachine keeps what is done to it, with the time since the bubble's begin in whole milliseconds. Each call may take time, fail or panic.
type fakeMachine struct {
	mu     sync.Mutex
	begin  time.Time
	calls  []string
	takes  map[string]time.Duration
	fails  map[string]error
	panics string
	state
	check func(call string) // called with mu at the begin of each call
	late  func(call string) // and at its end
}

// state is what is on the machine: addresses, silence, relay.
type state struct{ on, silent, relaying bool }

// now gives the state, for tests; the machine's own functions have m.mu.
func (m *fakeMachine) now() state {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.state
}

// call notes a call and does with it what it has been told to.
func (m *fakeMachine) call(name, arg string, effect func()) error {
	m.mu.Lock()
	text := strings.TrimSpace(name + " " + arg)
	m.calls = append(m.calls, fmt.Sprintf("%d %s", time.Since(m.begin).Milliseconds(), text))
	if m.check != nil {
		m.check(text)
	}
	takes, err := m.takes[name], m.fails[name]
	if m.panics == name {
		m.panics = ""
		m.mu.Unlock()
		panic("the machine broke")
	}
	m.mu.Unlock()
	if takes > 0 {
		time.Sleep(takes)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err == nil || name == "add" { // some of them may have been added
		effect()
	}
	if m.late != nil {
		m.late(text)
	}
	return err
}

func (m *fakeMachine) Add(d time.Duration) error {
	return m.call("add", d.String(), func() { m.on = true })
}
func (m *fakeMachine) Remove() error { return m.call("remove", "", func() { m.on = false }) }
func (m *fakeMachine) Announce() error {
	return m.call("announce", "", func() {})
}
func (m *fakeMachine) Silence(on bool) error {
	return m.call("silence", fmt.Sprint(on), func() { m.silent = on })
}
func (m *fakeMachine) Relay(to []vip.Hop) error {
	return m.call("relay", fmt.Sprint(to != nil), func() { m.relaying = to != nil })
}
func (m *fakeMachine) Close() error { return nil }
func (m *fakeMachine) Hops() ([]vip.Hop, error) {
	return []vip.Hop{testHop}, m.call("hops", "", func() {})
}

func (m *fakeMachine) Probe(ctx context.Context, wait time.Duration) ([]vip.Claim, error) {
	select {
	case <-time.After(wait):
		return []vip.Claim{{Address: testAddresses[0], Hardware: "02:00:00:00:00:01"}}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (m *fakeMachine) Watch(context.Context, func(vip.Event)) error { return nil }

func (m *fakeMachine) set(f func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f()
}

// bubbleAlarm rings by the bubble's time.
type bubbleAlarm struct {
	timer *time.Timer
	ring  chan struct{}
}

func (a *bubbleAlarm) set(at vip.Deadline) error {
	if a.timer != nil {
		a.timer.Stop()
	}
	if at != 0 {
		a.timer = time.AfterFunc(at.Sub(bubbleNow()), func() {
			select {
			case a.ring <- struct{}{}:
			default:
			}
		})
	}
	return nil
}

func (a *bubbleAlarm) rings() <-chan struct{} { return a.ring }

func bubbleNow() vip.Deadline { return vip.Deadline(time.Now().UnixNano()) }

// bubble is a child without its process, in a bubble of synctest.
type bubble struct {
	t        *testing.T
	machine  *fakeMachine
	warden   *warden
	frames   chan frame
	events   chan vip.Event
	released time.Duration // since begin; -1: not yet
	ended    chan error

	mu      sync.Mutex
	lastID  uint32
	answers map[uint32]answer
	notes   []note
	logged  []string
}

// inBubble runs f beside a loop; when f returns the parent is gone.
func inBubble(t *testing.T, f func(b *bubble)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := &bubble{
			t: t, frames: make(chan frame), events: make(chan vip.Event), released: -1, ended: make(chan error, 1), answers: map[uint32]answer{},
			machine: &fakeMachine{begin: time.Now(), takes: map[string]time.Duration{}, fails: map[string]error{}},
		}
		b.warden = &warden{
			machine: b.machine, now: bubbleNow, lifetime: DefaultKernelLease, errands: newErrands(),
			answer: func(id uint32, a answer) {
				b.mu.Lock()
				defer b.mu.Unlock()
				if _, twice := b.answers[id]; twice || id == 0 {
					t.Errorf("request %d is answered twice, or there is none", id)
				}
				b.answers[id] = a
			},
			note: func(n note) {
				b.mu.Lock()
				defer b.mu.Unlock()
				b.notes = append(b.notes, n)
			},
			logf: func(format string, args ...any) {
				b.mu.Lock()
				defer b.mu.Unlock()
				b.logged = append(b.logged, fmt.Sprintf(format, args...))
			},
		}
		l := &loop{
			warden: b.warden, alarm: &bubbleAlarm{ring: make(chan struct{}, 1)}, frames: b.frames, events: b.events,
			release: func() {
				if b.released < 0 {
					b.released = time.Since(b.machine.begin)
				}
			},
		}
		go func() { b.ended <- l.run() }()
		f(b)
		if b.frames != nil {
			if err := b.end(); !errors.Is(err, errParentGone) {
				t.Errorf("it ended with %v", err)
			}
		}
		if b.machine.now().on {
			t.Error("the addresses are left")
		}
		for id := uint32(1); id <= b.lastID; id++ {
			if _, ok := b.answers[id]; !ok {
				t.Errorf("request %d was never answered", id)
			}
		}
	})
}

// sleep lets virtual time go by.
func (b *bubble) sleep(d time.Duration) { time.Sleep(d) }

// end is the parent's end; it gives what the loop says to it.
func (b *bubble) end() error {
	close(b.frames)
	b.frames = nil
	return <-b.ended
}

// ask sends a request and gives its id; at has the answer, if there is one by now.
func (b *bubble) ask(k kind, body []byte) uint32 {
	b.lastID++
	b.frames <- frame{kind: k, id: b.lastID, body: body}
	return b.lastID
}

func (b *bubble) at(id uint32) (answer, bool) {
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	a, ok := b.answers[id]
	return a, ok
}

// in is the deadline that is d away.
func in(d time.Duration) []byte { return encodeTime(bubbleNow().After(d)) }

// do is a request that must be answered without an error, and without time going by.
func (b *bubble) do(k kind, body []byte) answer {
	b.t.Helper()
	a, ok := b.at(b.ask(k, body))
	if !ok || a.err != nil {
		b.t.Fatalf("request of kind %d: answered %t, %v", k, ok, a.err)
	}
	return a
}

// did gives the calls so far, without those named.
func (b *bubble) did(without ...string) []string {
	synctest.Wait()
	b.machine.mu.Lock()
	defer b.machine.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(b.machine.calls), func(c string) bool {
		_, what, _ := strings.Cut(c, " ")
		return slices.ContainsFunc(without, func(w string) bool { return strings.HasPrefix(what, w) })
	})
}

func (b *bubble) want(got []string, want ...string) {
	b.t.Helper()
	if !slices.Equal(got, want) {
		b.t.Errorf("got  %q\nwant %q", got, want)
	}
}

func (b *bubble) told() []note {
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.notes)
}

package guard

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/internal/calm"
	"github.com/holdfast-lb/holdfast/vip"
)

// lockedBuffer is a log that a test may read while it is written.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

type rig struct {
	*Guard
	t    testing.TB
	path string
	log  *lockedBuffer
}

func newRig(t testing.TB, change ...func(*Options)) *rig {
	t.Helper()
	r := &rig{t: t, path: filepath.Join(t.TempDir(), "diary"), log: &lockedBuffer{}}
	o := Options{
		Addresses: testAddresses, Open: openDiary(r.path), Command: []string{"/proc/self/exe", "guard-child", r.path},
		Logger: slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, f := range change {
		f(&o)
	}
	g, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	r.Guard = g
	t.Cleanup(func() {
		if err := g.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		if t.Failed() {
			t.Logf("diary: %v\nlog: %s", r.diary(), r.log)
		}
	})
	return r
}

func (r *rig) diary() []entry {
	entries, err := readDiary(r.path)
	if err != nil {
		r.t.Fatal(err)
	}
	return entries
}

func (r *rig) did(what string) bool {
	return slices.ContainsFunc(r.diary(), func(e entry) bool { return e.what == what })
}

func (r *rig) pid() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.child == nil {
		return 0
	}
	return r.child.cmd.Process.Pid
}

// event waits for one of some kinds.
func (r *rig) event(kinds ...vip.EventKind) vip.Event {
	r.t.Helper()
	timeout := time.After(10 * time.Second)
	for {
		select {
		case ev := <-r.Events():
			if slices.Contains(kinds, ev.Kind) {
				return ev
			}
		case <-timeout:
			r.t.Fatalf("no event of the kinds %d", kinds)
		}
	}
}

// TestGuardKeepsTheAddressesUntilTheDeadline: a real child, held and renewed, lets go at the deadline by itself.
func TestGuardKeepsTheAddressesUntilTheDeadline(t *testing.T) {
	calm.Try(t, mostStall, func(t testing.TB) {
		r := newRig(t)
		var last vip.Deadline
		for n := range 20 {
			last = vip.Now().After(80 * time.Millisecond)
			if err := r.Hold(t.Context(), last); err != nil {
				t.Error(err)
				return
			}
			if !holds(r.diary()) {
				t.Error("Hold returned before the addresses were there")
			}
			if n > 0 {
				continue
			}
			if ev := r.event(vip.EventConflict); ev.Claim.Address != testAddresses[0] || ev.Claim.Hardware == "" {
				t.Errorf("%+v", ev)
			}
		}
		r.event(vip.EventDropped)
		entries := r.diary()
		if holds(entries) {
			t.Error("they are still there")
			return
		}
		gone := entries[slices.IndexFunc(entries, func(e entry) bool { return e.what == "add" }):]
		at := gone[slices.IndexFunc(gone, func(e entry) bool { return e.what == "remove" })]
		if late := at.at.Sub(last); late < 0 || late > 25*time.Millisecond {
			t.Errorf("removed %v after the deadline", late)
		}
		if at.pid == os.Getpid() {
			t.Error("the parent removed them, not the child")
		}
	})
}

// TestGuardDoesWhatAKeeperDoes: each method once, against a real child.
func TestGuardDoesWhatAKeeperDoes(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	soon := func() vip.Deadline { return vip.Now().After(5 * time.Second) }
	if claims, err := r.Probe(ctx, time.Millisecond); err != nil || len(claims) != 1 || claims[0].Address != testAddresses[0] || claims[0].Hardware != "02:00:00:00:00:01" {
		t.Fatalf("probe: %v, %v", claims, err)
	}
	if err := r.Relay(ctx, []vip.Hop{testHop}); err == nil || !strings.Contains(err.Error(), "only who holds") {
		t.Fatalf("relay of nobody: %v", err)
	}
	if hops, err := r.Prepare(ctx, soon()); err != nil || !slices.Equal(hops, []vip.Hop{testHop}) {
		t.Fatalf("prepare: %v, %v", hops, err)
	}
	if err := r.Hold(ctx, soon()); err != nil {
		t.Fatal(err)
	}
	if err := r.Announce(ctx); err != nil || !r.did("announce") {
		t.Fatalf("announce: %v", err)
	}
	if err := r.Relay(ctx, []vip.Hop{testHop}); err != nil || !r.did("relay [{eth0 10.0.0.2}]") {
		t.Fatalf("relay: %v", err)
	}
	const linger = 2 * time.Second
	begin := time.Now()
	if err := r.Drop(ctx, linger); err != nil || holds(r.diary()) {
		t.Fatalf("drop: %v", err)
	}
	if r.did("relay []") {
		t.Error("the relay did not linger")
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if d := time.Since(begin); d < linger || !r.did("relay []") || !r.did("close") {
		t.Errorf("close came %v after the drop: %v", d, r.diary())
	}
	for range r.Events() { // it is closed
	}
	for what, err := range map[string]error{
		"hold": r.Hold(ctx, soon()), "drop": r.Drop(ctx, 0), "relay": r.Relay(ctx, nil), "announce": r.Announce(ctx), "close": r.Close(),
	} {
		if closed := errors.Is(err, ErrClosed); closed != (what != "close") {
			t.Errorf("%s after close: %v", what, err)
		}
	}
}

// TestGuardRefusesWhatItCannotKeep: what is wrong is said before anything is started.
func TestGuardRefusesWhatItCannotKeep(t *testing.T) {
	path := filepath.Join(t.TempDir(), "diary")
	good := func() Options {
		return Options{Addresses: testAddresses, Open: openDiary(path), Command: []string{"/proc/self/exe", "guard-child", path}}
	}
	for name, c := range map[string]struct {
		change func(*Options)
		want   string
	}{
		"no address":     {func(o *Options) { o.Addresses = nil }, "no virtual address"},
		"twice":          {func(o *Options) { o.Addresses = []vip.Address{testAddresses[0], testAddresses[0]} }, "named twice"},
		"not one":        {func(o *Options) { o.Addresses = []vip.Address{{}} }, "virtual address"},
		"half a second":  {func(o *Options) { o.KernelLease = 500 * time.Millisecond }, "whole seconds"},
		"an hour":        {func(o *Options) { o.KernelLease = time.Hour }, "whole seconds"},
		"no program":     {func(o *Options) { o.Command = []string{"/nowhere/holdfast"} }, "no such file"},
		"another one":    {func(o *Options) { o.Command = []string{"/bin/true"} }, "ended before it was ready"},
		"too many":       {func(o *Options) { o.Addresses = make([]vip.Address, maxAddresses+1) }, "more than"},
		"not this child": {func(o *Options) { o.Command = []string{"/bin/sh", "-c", "printf nonsense >&3"} }, "guard process"},
	} {
		t.Run(name, func(t *testing.T) {
			o := good()
			c.change(&o)
			if g, err := Start(o); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
				if g != nil {
					_ = g.Close()
				}
			}
		})
	}
	if err := os.WriteFile(path+".broken", []byte("CAP_NET_ADMIN is missing: setcap cap_net_admin+ep"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Start(good()); err == nil || !strings.Contains(err.Error(), "setcap cap_net_admin+ep") {
		t.Errorf("what the machine says does not arrive: %v", err)
	}
	if err := Main(openDiary(path)); !errors.Is(err, ErrByHand) {
		t.Errorf("by hand: %v", err)
	}
}

// TestGuardLeavesTheListenerAsItWas: handing the node's own listener to a child must not make it a blocking one.
func TestGuardLeavesTheListenerAsItWas(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	file, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	newRig(t, func(o *Options) { o.Listener = file })
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	if err := l.(*net.TCPListener).SetDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	accepted := make(chan error, 1)
	go func() {
		_, err := l.Accept()
		accepted <- err
	}()
	select {
	case err := <-accepted:
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(err)
		}
	case <-time.After(5 * time.Second):
		t.Error("the listener blocks a thread now: its deadline does nothing")
		if c, err := net.Dial("tcp", l.Addr().String()); err == nil {
			_ = c.Close()
		}
	}
}

// TestGuardMayBeUsedByManyAtOnce: the lease is renewed while slow requests are under way.
func TestGuardMayBeUsedByManyAtOnce(t *testing.T) {
	r := newRig(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var group sync.WaitGroup
	for i := range 4 {
		group.Go(func() {
			for ctx.Err() == nil {
				var err error
				switch i {
				case 0, 1:
					err = r.Hold(ctx, vip.Now().After(time.Minute))
				case 2:
					err = r.Announce(ctx)
				case 3:
					err = r.Relay(ctx, nil)
				}
				if err != nil && ctx.Err() == nil {
					t.Errorf("%d: %v", i, err)
					return
				}
			}
		})
	}
	timer := time.NewTimer(200 * time.Millisecond)
	defer timer.Stop()
	<-timer.C
	cancel()
	group.Wait()
	if err := r.Drop(t.Context(), 0); err != nil {
		t.Error(err)
	}
	if n := len(r.diary()); n > 5000 {
		t.Errorf("%d calls of the machine: a Hold costs one each", n)
	}
}

// TestASlowReaderOfEventsKeepsTheNewest: nobody waits for a reader.
func TestASlowReaderOfEventsKeepsTheNewest(t *testing.T) {
	r := newRig(t)
	for i := range 3 * maxEvents {
		r.emit(vip.Event{Kind: vip.EventLinkUp, Text: fmt.Sprint(i)})
	}
	last := ""
	for range maxEvents {
		last = (<-r.Events()).Text
	}
	if want := fmt.Sprint(3*maxEvents - 1); last != want {
		t.Errorf("the last one is %s, not %s", last, want)
	}
}

// BenchmarkHold is a renewal: from the parent to the child and back, with a machine that costs nothing.
func BenchmarkHold(b *testing.B) {
	r := newRig(b)
	for b.Loop() {
		if err := r.Hold(b.Context(), vip.Now().After(time.Second)); err != nil {
			b.Fatal(err)
		}
	}
}

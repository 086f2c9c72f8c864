package proxy

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/holdfast-lb/holdfast/chaos/proc"
)

// echo is a server that sends everything back, and can go and come again at its address.
type echo struct {
	t    *testing.T
	addr string

	mu    sync.Mutex
	l     net.Listener
	conns []net.Conn
}

func (e *echo) open() {
	e.t.Helper()
	l, err := net.Listen("tcp", e.addr)
	if err != nil {
		e.t.Fatal(err)
	}
	e.mu.Lock()
	e.l = l
	e.mu.Unlock()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			e.mu.Lock()
			e.conns = append(e.conns, c)
			e.mu.Unlock()
			go func() {
				_, _ = io.Copy(c, c)
				_ = c.Close()
			}()
		}
	}()
}

func (e *echo) shut() {
	e.mu.Lock()
	defer e.mu.Unlock()
	_ = e.l.Close()
	for _, c := range e.conns {
		_ = c.(*net.TCPConn).SetLinger(0)
		_ = c.Close()
	}
	e.conns = nil
}

// field is a fabric with one way, from "a", whoever dials, to "b", an echo.
func field(t *testing.T) (f *Fabric, e *echo, front string) {
	t.Helper()
	check := goleak.IgnoreCurrent()
	ports, err := proc.Ports(2, "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	at := func(i int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(ports[i])) }
	e = &echo{t: t, addr: at(1)}
	e.open()
	f = New(func(net.Addr, net.Addr) string { return "a" }, 7)
	t.Cleanup(func() {
		e.shut()
		f.Close()
		f.Close()
		goleak.VerifyNone(t, check)
	})
	if err := f.Open("b", at(0), at(1)); err != nil {
		t.Fatal(err)
	}
	return f, e, at(0)
}

func dial(t *testing.T, addr string) *net.TCPConn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var c net.Conn
	if err := proc.Poll(ctx, 5*time.Millisecond, func() (err error) {
		c, err = net.Dial("tcp", addr)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return c.(*net.TCPConn)
}

func ask(c net.Conn, text string) (string, error) {
	if _, err := io.WriteString(c, text); err != nil {
		return "", err
	}
	got := make([]byte, len(text))
	_, err := io.ReadFull(c, got)
	return string(got), err
}

func wantEcho(t *testing.T, c net.Conn) time.Duration {
	t.Helper()
	began := time.Now()
	if got, err := ask(c, "hello"); err != nil || got != "hello" {
		t.Fatalf("%q, %v", got, err)
	}
	return time.Since(began)
}

func impose(t *testing.T, f *Fabric, from, to string, e Effect) func() {
	t.Helper()
	lift, err := f.Impose(from, to, e)
	if err != nil {
		t.Fatal(err)
	}
	return lift
}

// TestEverythingArrives: without an effect a connection is as if there was no relay, half-closes included.
func TestEverythingArrives(t *testing.T) {
	f, _, front := field(t)
	c := dial(t, front)
	data := bytes.Repeat([]byte("holdfast\n"), 1<<20/9)
	go func() {
		_, _ = c.Write(data)
		_ = c.CloseWrite()
	}()
	got, err := io.ReadAll(c)
	if err != nil || sha256.Sum256(got) != sha256.Sum256(data) {
		t.Fatalf("%d of %d bytes came back, %v", len(got), len(data), err)
	}
	if n := f.Connections("a", "b"); n > 1 {
		t.Errorf("%d connections", n)
	}
}

// TestDeadProcessRefuses: what a way leads to is dead, and a dial is refused by the kernel; it lives again, and answers.
func TestDeadProcessRefuses(t *testing.T) {
	_, e, front := field(t)
	c := dial(t, front)
	wantEcho(t, c)
	e.shut()
	if _, err := io.ReadAll(c); err == nil {
		t.Error("the end by a reset looks like an orderly one")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := proc.Poll(ctx, time.Millisecond, func() error {
		c, err := net.Dial("tcp", front)
		if errors.Is(err, syscall.ECONNREFUSED) {
			return nil
		}
		if err == nil {
			_ = c.Close()
		}
		return errors.New("not refused")
	}); err != nil {
		t.Fatal(err)
	}
	e.open()
	wantEcho(t, dial(t, front))
}

// TestDeadProcessRefusesTheFirst: nobody has to dial in vain for a way to know that its process is dead.
func TestDeadProcessRefusesTheFirst(t *testing.T) {
	f, e, front := field(t)
	wantEcho(t, dial(t, front))
	e.shut()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := proc.Poll(ctx, time.Millisecond, func() error {
		f.mu.Lock()
		w := f.ways[0]
		f.mu.Unlock()
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.listener != nil {
			return errors.New("the way is open")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := net.Dial("tcp", front); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("the first dial: %v", err)
	}
}

func TestHoldThenHeal(t *testing.T) {
	for name, way := range map[string][2]string{"there": {"a", "b"}, "back": {"b", "a"}, "both": {Any, Any}} {
		t.Run(name, func(t *testing.T) {
			f, _, front := field(t)
			c := dial(t, front)
			wantEcho(t, c)
			lift := impose(t, f, way[0], way[1], Effect{Hold: true})
			if err := c.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
				t.Fatal(err)
			}
			if got, err := ask(c, "held"); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatalf("%q, %v", got, err)
			}
			if f.Imposed() != 1 {
				t.Errorf("%d effects", f.Imposed())
			}
			lift()
			lift()
			if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
				t.Fatal(err)
			}
			got := make([]byte, 4)
			if _, err := io.ReadFull(c, got); err != nil || string(got) != "held" {
				t.Fatalf("%q, %v", got, err)
			}
			if f.Imposed() != 0 {
				t.Errorf("%d effects are left", f.Imposed())
			}
		})
	}
}

// TestOneWay: only the direction that was named is cut.
func TestOneWay(t *testing.T) {
	f, _, front := field(t)
	c := dial(t, front)
	defer impose(t, f, "b", "c", Effect{Hold: true})()
	defer impose(t, f, "c", "a", Effect{Hold: true, Junk: true, Break: 1})()
	wantEcho(t, c)
}

func TestDelayRateAndLoss(t *testing.T) {
	for name, c := range map[string]struct {
		effect      Effect
		least, most time.Duration
	}{
		"delay":  {Effect{Delay: 80 * time.Millisecond}, 80 * time.Millisecond, 15 * time.Second},
		"jitter": {Effect{Delay: 50 * time.Millisecond, Jitter: 100 * time.Millisecond}, 50 * time.Millisecond, 15 * time.Second},
		"rate":   {Effect{Rate: 50}, 80 * time.Millisecond, 15 * time.Second}, // 5 bytes
		"loss":   {Effect{Loss: 0.9999}, retransmission, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			f, _, front := field(t)
			conn := dial(t, front)
			wantEcho(t, conn)
			defer impose(t, f, "a", "b", c.effect)()
			if name == "loss" { // 0.2+0.4+...+6.4 s: it is certain, so there is nothing to wait for
				if late := c.effect.lateness(rand.New(rand.NewPCG(1, 1))); late < 10*time.Second {
					t.Errorf("late by %v", late)
				}
				return
			}
			if took := wantEcho(t, conn); took < c.least || took > c.most {
				t.Errorf("took %v", took)
			}
		})
	}
}

func TestOrderStays(t *testing.T) {
	f, _, front := field(t)
	defer impose(t, f, Any, Any, Effect{Jitter: 5 * time.Millisecond})()
	c := dial(t, front)
	var want strings.Builder
	go func() {
		for i := range 200 {
			_, _ = io.WriteString(c, strconv.Itoa(i)+" ")
		}
		_ = c.CloseWrite()
	}()
	for i := range 200 {
		want.WriteString(strconv.Itoa(i) + " ")
	}
	if got, err := io.ReadAll(c); err != nil || string(got) != want.String() {
		t.Errorf("%v, %q", err, got)
	}
}

func TestBrokenConnections(t *testing.T) {
	for name, effect := range map[string]Effect{"break": {Break: 1}, "refuse": {Refuse: true}} {
		t.Run(name, func(t *testing.T) {
			f, _, front := field(t)
			defer impose(t, f, Any, Any, effect)()
			if got, err := ask(dial(t, front), "hello"); err == nil {
				t.Errorf("%q came back", got)
			}
		})
	}
	f, _, front := field(t)
	c := dial(t, front)
	wantEcho(t, c)
	if n := f.Reset("b", "a"); n != 1 {
		t.Errorf("%d connections were reset", n)
	}
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the client reads %v", err)
	}
	wantEcho(t, dial(t, front))
}

// TestHangUp: what waits is ended in an orderly way by the side that was dialled, what is in use is not, and a connection stays until the dialler has closed it as well.
func TestHangUp(t *testing.T) {
	f, _, front := field(t)
	c := dial(t, front)
	wantEcho(t, c)
	if n := f.HangUp("b", time.Hour) + f.HangUp("a", 0); n != 0 {
		t.Errorf("%d connections that are in use, or of nobody, were ended", n)
	}
	wantEcho(t, c)
	fresh, busy := dial(t, front), dial(t, front)
	release := impose(t, f, "a", "b", Effect{Hold: true})
	if _, err := busy.Write([]byte("a question\n")); err != nil {
		t.Fatal(err)
	}
	if first, second := f.HangUp("b", 0), f.HangUp("b", 0); first != 1 || second != 0 {
		t.Errorf("ended %d, then %d", first, second)
	}
	if n, err := c.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("the client reads %d bytes, %v", n, err)
	}
	release()
	for _, other := range []net.Conn{fresh, busy} {
		_ = other.Close()
	}
	if n := f.Connections("a", "b"); n < 1 {
		t.Errorf("%d connections while the client has not closed", n)
	}
	if n := f.Ending("b"); n != 1 {
		t.Errorf("%d connections are ending", n)
	}
	_ = c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := proc.Poll(ctx, time.Millisecond, func() error {
		if n := f.Connections("a", "b") + f.Ending("b"); n > 0 {
			return fmt.Errorf("%d connections are left", n)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	wantEcho(t, dial(t, front))
}

func TestBrokenBytes(t *testing.T) {
	for name, effect := range map[string]Effect{"garble": {Garble: 1}, "junk": {Junk: true}} {
		t.Run(name, func(t *testing.T) {
			f, _, front := field(t)
			defer impose(t, f, "b", "a", effect)()
			if got, err := ask(dial(t, front), "hello, is anybody there?"); err != nil || got == "hello, is anybody there?" {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}

func TestEffectsAddUp(t *testing.T) {
	a := Effect{Delay: time.Second, Rate: 1000, Loss: 0.5, Hold: true}
	b := Effect{Delay: time.Second, Jitter: 3, Rate: 100, Loss: 0.5, Junk: true, Refuse: true, Break: 1, Garble: 0.25}
	want := Effect{Hold: true, Delay: 2 * time.Second, Jitter: 3, Rate: 100, Loss: 0.75, Break: 1, Garble: 0.25, Junk: true, Refuse: true}
	if got := a.and(b); got != want || b.and(a) != want || a.and(Effect{}) != a || (Effect{}).and(a) != a {
		t.Errorf("got %+v", got)
	}
}

func TestImpossibleEffects(t *testing.T) {
	f := New(nil, 1)
	defer f.Close()
	for _, e := range []Effect{{Loss: 1.1}, {Loss: -0.1}, {Break: math.NaN()}, {Garble: math.Inf(1)}, {Delay: -1}, {Jitter: -1}, {Rate: -1}} {
		if _, err := f.Impose("a", "b", e); err == nil || f.Imposed() > 0 {
			t.Errorf("%+v: %v", e, err)
		}
	}
}

// TestOwner: the kernel says which process has a socket. The child is this test.
func TestOwner(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	child := exec.Command(os.Args[0], "-test.run=TestOwnerChild")
	child.Env = append(os.Environ(), "HOLDFAST_TEST_DIAL="+l.Addr().String())
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = child.Process.Kill()
		_ = child.Wait()
	}()
	theirs, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = theirs.Close() }()
	ours, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ours.Close() }()
	pids := []int{1 << 30, os.Getpid(), child.Process.Pid}
	var owners Owners
	if got := owners.Of(theirs.RemoteAddr(), theirs.LocalAddr(), pids); got != child.Process.Pid {
		t.Errorf("the child's connection is of process %d", got)
	}
	if got := owners.Of(ours.LocalAddr(), ours.RemoteAddr(), pids); got != os.Getpid() {
		t.Errorf("our connection is of process %d", got)
	}
	if got := owners.Of(theirs.RemoteAddr(), theirs.LocalAddr(), pids[:2]); got != 0 {
		t.Errorf("the connection of somebody else is of process %d", got)
	}
	if got := owners.Of(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}, ours.RemoteAddr(), pids); got != 0 {
		t.Errorf("a connection that is not there is of process %d", got)
	}
}

// TestOwnersAreFoundTogether: of many that ask at once each has its own answer, and the descriptors are read a few times, not once for each.
func TestOwnersAreFoundTogether(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	const many = 300
	var conns []net.Conn
	for range many {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		conns = append(conns, c)
	}
	var owners Owners
	owners.one.Lock() // somebody reads
	var all sync.WaitGroup
	for i, c := range conns {
		all.Go(func() {
			pids, want := []int{os.Getpid()}, os.Getpid()
			if i%3 == 0 {
				pids, want = []int{os.Getppid()}, 0
			}
			if got := owners.Of(c.LocalAddr(), c.RemoteAddr(), pids); got != want {
				t.Errorf("connection %d is of process %d, not %d", i, got, want)
			}
		})
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	waiting := proc.Poll(ctx, time.Millisecond, func() error {
		owners.mu.Lock()
		defer owners.mu.Unlock()
		if owners.waiting == nil || len(owners.waiting.want) < many {
			return errors.New("not all wait yet")
		}
		return nil
	})
	owners.one.Unlock()
	all.Wait()
	if waiting != nil || owners.count != 1 {
		t.Errorf("%d readings for %d connections; %v", owners.count, many, waiting)
	}
}

// TestOwnerChild dials and waits to be killed, when TestOwner is its parent.
func TestOwnerChild(t *testing.T) {
	addr := os.Getenv("HOLDFAST_TEST_DIAL")
	if addr == "" {
		return
	}
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.ReadAll(c)
	_ = c.Close()
}

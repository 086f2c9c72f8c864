package lb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// noFiles lets this process take no further descriptor, whichever number becomes free meanwhile (a limit that began above the ones in use left
// room for those that closed later, and the connection that got one waited for an instance without); the function ends it.
func noFiles(t *testing.T) (enough func()) {
	t.Helper()
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	none := before
	none.Cur = 0
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	enough = func() {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(enough)
	return enough
}

// TestNodeWithoutDescriptorsBlamesNoInstance: this node cannot open connections, neither for requests nor for checks. Assigned requests, and new ones, get an answer of its own; no
// instance is taken out of service, no session moves, and the sessions are where they were when there is enough again.
func TestNodeWithoutDescriptorsBlamesNoInstance(t *testing.T) {
	once := func(name string) serveFunc { // every request takes a connection of its own
		return func(c *net.TCPConn, r *http.Request, _ int64) bool {
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", len(name), name)
			return false
		}
	}
	i1, i2 := newSwitchable(t, once("i1")), newSwitchable(t, once("i2"))
	cc := bare(inst("i1", i1.url), inst("i2", i2.url))
	cl := &cc.Clusters[0]
	cl.Affinity.Type = "insert"
	cl.Health = config.Health{Type: "http", Path: "/", Expect: "200", Interval: config.Duration(10 * time.Millisecond), Timeout: config.Duration(time.Minute), Rise: 1, Fall: 1} // the instances have no descriptors either, and accept late
	r := newRig(t, cc)
	known, fresh := dialRaw(t, r), dialRaw(t, r)
	ask := func(c *rawConn, cookie string) (*http.Response, string) {
		c.write("GET / HTTP/1.1\r\nHost: h\r\n" + cookie + "\r\n")
		resp := c.response()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp, string(body)
	}
	resp, on := ask(known, "")
	cookie := "Cookie: " + strings.Split(resp.Header.Get("Set-Cookie"), ";")[0] + "\r\n"
	ask(fresh, "") // it is accepted

	enough := noFiles(t)
	began := r.b.short.signs()
	for range 3 {
		for who, c := range map[*rawConn]string{known: cookie, fresh: ""} {
			resp, body := ask(who, c)
			if resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" || !strings.Contains(body, "This server cannot take the request") {
				t.Errorf("%d %q", resp.StatusCode, body)
			}
		}
	}
	r.wait("checks have failed as well", func() bool { return r.b.short.signs() > began+20 })
	r.wait("not ready", func() bool {
		err := r.b.Ready()
		return err != nil && strings.Contains(err.Error(), "short of file descriptors")
	})
	for _, name := range []string{"i1", "i2"} {
		if s := r.status("c1", name); s.Health != "up" || s.Suspect {
			t.Errorf("%s is blamed: %+v", name, s)
		}
	}
	if err := r.b.Serving(); err != nil {
		t.Errorf("it may hold the address when nobody else can: %v", err)
	}
	enough()
	if n := metric(t, r, "holdfast_node_shortages_total", "of=files"); n == 0 {
		t.Error("not counted")
	}
	if _, body := ask(known, cookie); body != on {
		t.Errorf("the session went from %s to %q", on, body)
	}
	if n := len(r.g.moves()); n != 0 {
		t.Errorf("%d moves", n)
	}
	r.wait("what was begun without descriptors is taken back", func() bool { return len(r.g.sessions()) == 2 })
	if log := r.accessLog(); !strings.Contains(log, "this node itself is short of file descriptors") {
		t.Errorf("the access log does not say why: %s", log)
	}
}

// signs is how often something was missing.
func (s *shortage) signs() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.n
}

func TestLacks(t *testing.T) {
	for _, c := range []struct {
		err  error
		want lack
	}{
		{os.NewSyscallError("socket", syscall.EMFILE), lackFiles},
		{&connectError{&net.OpError{Op: "dial", Err: os.NewSyscallError("socket", syscall.ENFILE)}}, lackFiles},
		{&net.OpError{Op: "dial", Err: &net.DNSError{Err: "dial udp 127.0.0.1:53: socket: too many open files", Name: "app"}}, lackFiles},
		{fmt.Errorf("epoll: add: %w", unix.ENOMEM), lackMemory},
		{syscall.ENOBUFS, lackMemory},
		{syscall.EADDRNOTAVAIL, lackPorts},
		{syscall.ECONNREFUSED, ""},
		{errors.New("too many open files"), ""}, // an instance may say anything
		{&net.DNSError{Err: "no such host", Name: "too many open files"}, ""},
		{nil, ""},
	} {
		if got := lackOf(c.err); got != c.want {
			t.Errorf("%v: %q, want %q", c.err, got, c.want)
		}
	}
}

// Without IPv6 a machine has no address to connect to one of IPv6 from: that instance cannot be reached from here, and requests go elsewhere.
func TestNoAddressIsALackOfPortsOnlyBehindAConnection(t *testing.T) {
	e, err := newEndpoint("http://[::1]:9", false)
	if err != nil {
		t.Fatal(err)
	}
	if e.ownFault(syscall.EADDRNOTAVAIL) {
		t.Error("nothing was ever reached, and it is no fault of the way")
	}
	if !e.ownFault(syscall.EMFILE) {
		t.Error("no descriptors is always our own fault")
	}
	e.noteReached()
	if !e.ownFault(syscall.EADDRNOTAVAIL) {
		t.Error("the ports are used up, and the instance gets the blame")
	}
}

// Checks that fail by this node's own fault change no verdict, up or down, and whoever waits for one goes on.
func TestOwnFaultIsNoVerdict(t *testing.T) {
	runScript(t, config.Health{Type: "http", Interval: config.Duration(10 * time.Second), RetryInterval: config.Duration(10 * time.Second)}, func(s *probeScript) {
		s.p.own = func(err error) bool { return strings.Contains(err.Error(), "own") }
		s.pass(time.Second)
		s.answer("own fault")
		s.pass(60 * time.Second)
		if err := s.p.prove(context.Background(), time.Now()); err != nil {
			t.Error(err)
		}
		wantList(t, "changes", s.verdicts(), nil)
		s.answer("refused")
		s.pass(15 * time.Second)
		if s.p.health.up() {
			t.Fatal("still up")
		}
		changes := len(s.verdicts())
		s.answer("own fault")
		s.pass(60 * time.Second)
		if s.p.health.up() || len(s.verdicts()) != changes {
			t.Errorf("%v", s.verdicts())
		}
	})
}

// The log has the beginning and the end of a shortage, not each request; a blip is no reason to leave the pool.
func TestShortageBeginsAndEnds(t *testing.T) {
	var out syncBuffer
	s := newShortage(slog.New(slog.NewTextHandler(&out, nil)))
	if err := s.ready(time.Now()); err != nil {
		t.Fatal(err)
	}
	s.note(syscall.ECONNREFUSED)
	if err := s.ready(time.Now().Add(2 * shortPatience)); err != nil {
		t.Fatalf("a refused connection: %v", err)
	}
	for range 100 {
		s.note(syscall.EMFILE)
	}
	now := time.Now()
	if err := s.ready(now); err != nil {
		t.Errorf("a blip: %v", err)
	}
	if err := s.ready(now.Add(2 * shortPatience)); err == nil || !strings.Contains(err.Error(), "LimitNOFILE") {
		t.Errorf("no way out is named: %v", err)
	}
	if err := s.ready(now.Add(2 * shortFor)); err != nil {
		t.Errorf("it does not end: %v", err)
	}
	if n := strings.Count(out.String(), "\n"); n != 2 || !strings.Contains(out.String(), "enough again") {
		t.Errorf("%d lines:\n%s", n, out.String())
	}
}

func TestSomeDescriptorsAreNotForClients(t *testing.T) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	left := int(limit.Cur) - filesForClients()
	if left < reserveLeast || left > reserveMost {
		t.Errorf("%d of %d are left", left, limit.Cur)
	}
}

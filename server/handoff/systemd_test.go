//go:build linux

package handoff

import (
	"cmp"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestSocketsByAddress: sockets of a service manager have whatever names; they are found by where they are bound, as often as somebody asks.
func TestSocketsByAddress(t *testing.T) {
	ln := listen(t)
	all, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer all.Close()
	udp, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	s := &Sockets{}
	for name, from := range map[string]*net.TCPListener{"manager a": ln, "manager b": all.(*net.TCPListener)} {
		if err := s.Add(name, from); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Add("manager c", udp); err != nil {
		t.Fatal(err)
	}
	port, allPort := strconv.Itoa(ln.Addr().(*net.TCPAddr).Port), strconv.Itoa(all.Addr().(*net.TCPAddr).Port)
	for address, want := range map[string]bool{
		"127.0.0.1:" + port: true, "127.0.0.2:" + port: false, ":" + port: false, "localhost:" + port: true, ":" + allPort: true, "0.0.0.0:" + allPort: true, "[::]:" + allPort: true,
		"127.0.0.1:" + allPort: false, "127.0.0.1:0": false, "nonsense": false, "": false,
	} {
		for range 2 {
			got := s.Listen("x", address)
			if (got != nil) != want {
				t.Errorf("%q: %v", address, got)
			}
			if got != nil {
				_ = got.Close()
			}
		}
	}
	if got := s.Packets("x", udp.LocalAddr().String()); got == nil {
		t.Error("no UDP socket")
	} else {
		_ = got.Close()
	}
	if got := s.Packets("x", ln.Addr().String()); got != nil {
		t.Error("a TCP socket for packets")
	}
	next := &Sockets{}
	if err := cmp.Or(next.Add("client", ln), next.AddManaged(s), next.AddManaged(nil)); err != nil {
		t.Fatal(err)
	}
	next.CloseOwn()
	if got := next.String(); !strings.Contains(got, "udp "+udp.LocalAddr().String()) || strings.Count(got, ",") != 2 {
		t.Errorf("of a manager's sockets %s are left", got)
	}
	if !next.Managed("udp", udp.LocalAddr().String()) || next.Managed("tcp", udp.LocalAddr().String()) || (*Sockets)(nil).Managed("tcp", ":80") {
		t.Error("whose a socket is")
	}
	next.Close()
	s.Close()
	if s.Listen("manager a", ln.Addr().String()) != nil {
		t.Error("a socket after Close")
	}
	var none *Sockets
	if none.Listen("a", ":80") != nil || none.String() != "none" {
		t.Error("nil has sockets")
	}
	none.Close()
}

// TestWhatIsNoListener is refused: it would look as if the node served.
func TestWhatIsNoListener(t *testing.T) {
	ln := listen(t)
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := (&Sockets{}).Add("c", c.(*net.TCPConn)); err == nil || !strings.Contains(err.Error(), "does not listen") {
		t.Errorf("a connection: %v", err)
	}
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := (&Sockets{}).Add("f", f); err == nil {
		t.Error("a file")
	}
}

func TestManagerWithoutSockets(t *testing.T) {
	for _, c := range []struct{ pid, count string }{{"", ""}, {"1", "2"}, {strconv.Itoa(os.Getpid()), ""}, {strconv.Itoa(os.Getpid()), "0"}} {
		t.Setenv("LISTEN_PID", c.pid)
		t.Setenv("LISTEN_FDS", c.count)
		if s, err := FromManager(); err != nil || s.Listen("", ":80") != nil {
			t.Errorf("%+v: %v %v", c, s, err)
		}
		if os.Getenv("LISTEN_FDS") != "" {
			t.Error("the variable stays")
		}
	}
	for _, count := range []string{"x", "-1", "100000"} {
		t.Setenv("LISTEN_PID", strconv.Itoa(os.Getpid()))
		t.Setenv("LISTEN_FDS", count)
		if _, err := FromManager(); err == nil {
			t.Errorf("LISTEN_FDS=%s", count)
		}
	}
}

func TestNotify(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	if m := NotifyManager(); m != nil || m.Tell("READY=1") != nil {
		t.Error("a manager where there is none")
	}
	t.Setenv("NOTIFY_SOCKET", "relative")
	if NotifyManager() != nil {
		t.Error("a relative path")
	}
	for _, path := range []string{filepath.Join(t.TempDir(), "notify"), "@holdfast-test-" + strconv.Itoa(os.Getpid())} {
		ln, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		t.Setenv("NOTIFY_SOCKET", path)
		m := NotifyManager()
		if err := m.Tell("READY=1", "STATUS=serves"); err != nil {
			t.Fatal(err)
		}
		if err := m.Tell("STATUS=a\nREADY=1"); err == nil {
			t.Error("two lines in one")
		}
		b := make([]byte, 100)
		_ = ln.SetReadDeadline(time.Now().Add(5 * time.Second))
		if n, err := ln.Read(b); err != nil || string(b[:n]) != "READY=1\nSTATUS=serves" {
			t.Errorf("%q %v", b[:n], err)
		}
	}
	t.Setenv("NOTIFY_SOCKET", "/nonexistent/notify")
	if NotifyManager().Tell("READY=1") == nil {
		t.Error("told nobody")
	}
}

func TestWatchdog(t *testing.T) {
	for _, c := range []struct {
		pid, usec string
		want      time.Duration
	}{{"", "", 0}, {"", "2000000", 2 * time.Second}, {strconv.Itoa(os.Getpid()), "1000", time.Millisecond}, {"1", "2000000", 0}, {"", "-5", 0}, {"", "x", 0}, {"", "99999999999999999", 0}} {
		t.Setenv("WATCHDOG_PID", c.pid)
		t.Setenv("WATCHDOG_USEC", c.usec)
		if got := Watchdog(); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

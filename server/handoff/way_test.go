//go:build linux

package handoff

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestWays: one end of a pair of sockets is found by its name alone, and the other end sees when the last copy is closed.
func TestWays(t *testing.T) {
	ours, theirs, err := pair("unixpacket")
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	s := &Sockets{}
	defer s.Close()
	if err := s.Add("way x", theirs); err != nil {
		t.Fatal(err)
	}
	if err := theirs.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"", "way", "way x "} {
		if got := s.Way(name); got != nil {
			t.Errorf("%q is found", name)
		}
	}
	if s.Listen("way x", "") != nil || s.Packets("way x", "") != nil || (*Sockets)(nil).Way("way x") != nil {
		t.Error("a way is taken for something else")
	}
	got := s.Way("way x")
	if got == nil {
		t.Fatal("not found")
	}
	s.CloseOwn()
	if _, err := got.Write([]byte("word")); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 10)
	if n, err := ours.Read(buf); err != nil || string(buf[:n]) != "word" {
		t.Errorf("%q %v", buf[:n], err)
	}
	if err := got.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := ours.Read(buf); err != io.EOF {
		t.Errorf("after the last copy: %v", err)
	}
}

// TestProgramsOfBefore get no way, which they would refuse: one can go back to them.
func TestProgramsOfBefore(t *testing.T) {
	for _, role := range []string{"knows no ways", "knows ways"} {
		ours, theirs, err := pair("unixpacket")
		if err != nil {
			t.Fatal(err)
		}
		defer ours.Close()
		s := &Sockets{}
		defer s.Close()
		if err := errors.Join(s.Add("way web", theirs), s.Add("web", listen(t)), theirs.Close()); err != nil {
			t.Fatal(err)
		}
		c, err := Start(within(t, 20*time.Second), program(role))
		if err != nil {
			t.Fatal(err)
		}
		if err = c.Give(s); err == nil {
			err = c.Serving(within(t, 20*time.Second))
		}
		if err != nil {
			t.Errorf("one that %s: %v", role, err)
		}
		c.Kill()
	}
}

// TestSocketsThatAreNoWay are refused, as they were.
func TestSocketsThatAreNoWay(t *testing.T) {
	ln, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "s"), Net: "unixpacket"})
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if err := (&Sockets{}).Add("x", ln); err == nil || !strings.Contains(err.Error(), "no end of a pair") {
		t.Errorf("one that listens: %v", err)
	}
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		f := os.NewFile(uintptr(fd), "pair")
		defer f.Close()
		if err := (&Sockets{}).Add("x", f); err == nil {
			t.Error("one whose end would not show")
		}
	}
}

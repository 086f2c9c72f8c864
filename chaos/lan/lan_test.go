//go:build netns

package lan

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/chaos/proxy"
	"github.com/holdfast-lb/holdfast/internal/netlab"
)

// reaches says whether a connection from one machine to another can be made within a moment.
func reaches(t *testing.T, l *LAN, from, to string) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 400*time.Millisecond)
	defer cancel()
	c, err := l.Dial(from)(ctx, "tcp", net.JoinHostPort(l.IP(to), "9000"))
	if err == nil {
		_ = c.Close()
	}
	return err == nil
}

// TestNetwork: what is imposed between two machines concerns these alone, a cable concerns all, everything heals, and nothing is left.
func TestNetwork(t *testing.T) {
	l, err := New([]string{"n1", "n2"}, []string{"instance1"})
	if err != nil {
		t.Fatal(err)
	}
	prefix := filepath.Base(l.machines["n1"].Path)
	prefix = strings.TrimSuffix(prefix, "n1")
	for _, name := range []string{"n1", "n2", "instance1"} {
		var listener net.Listener
		l.machines[name].Do(func() { listener, err = net.Listen("tcp", ":9000") })
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = listener.Close() }()
	}
	want := func(what string, pairs map[[2]string]bool) {
		t.Helper()
		for pair, so := range pairs {
			if got := reaches(t, l, pair[0], pair[1]); got != so {
				t.Errorf("%s: %s reaches %s: %v", what, pair[0], pair[1], got)
			}
		}
	}
	all := map[[2]string]bool{{"n1", "n2"}: true, {"n2", "n1"}: true, {Clients, "n1"}: true, {"n1", "instance1"}: true}
	want("at first", all)
	lift, err := l.Impose("n1", "n2", proxy.Effect{Hold: true})
	if err != nil {
		t.Fatal(err)
	}
	want("n1 to n2 cut", map[[2]string]bool{{"n1", "n2"}: false, {Clients, "n1"}: true, {"n1", "instance1"}: true, {Clients, "n2"}: true})
	lift()
	lift()
	want("healed", all)
	for name, hurt := range map[string]func(string) (func() error, error){"unplug": l.Unplug, "cut": l.Cut} {
		heal, err := hurt("n1")
		if err != nil {
			t.Fatal(err)
		}
		want(name, map[[2]string]bool{{Clients, "n1"}: false, {"n1", "instance1"}: false, {Clients, "n2"}: true})
		if err := heal(); err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(10 * time.Second); !reaches(t, l, Clients, "n1"); { // the kernel takes up to a second to tell of a carrier
			if time.Now().After(end) {
				t.Fatalf("%s: not healed", name)
			}
		}
	}
	fewPorts(t, l, all)
	for _, e := range []proxy.Effect{{Delay: time.Second}, {Hold: true, Garble: 1}} {
		if _, err := l.Impose("n1", "n2", e); err == nil {
			t.Errorf("a switch did %+v", e)
		}
	}
	if _, err := l.Impose("n1", "n9", proxy.Effect{Hold: true}); err == nil {
		t.Error("frames to nobody were lost")
	}
	if _, err := l.Cut("n9"); err == nil {
		t.Error("nobody was cut off")
	}
	l.machines["n1"].AddAddr(Address + bits)
	if _, _, taken, strangers := l.Together(func(time.Time) bool { return false }); strangers != 0 || taken > 1 {
		t.Errorf("taken %d times, %d strangers", taken, strangers)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	entries, _ := os.ReadDir("/run/netns")
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), prefix) {
			t.Errorf("left behind: %s", e.Name())
		}
	}
}

// fewPorts: a machine with one port for new connections makes one to each address, says what it lacks for the second, and makes them again afterwards; another machine does not notice.
func fewPorts(t *testing.T, l *LAN, all map[[2]string]bool) {
	t.Helper()
	heal, err := l.FewPorts("n1", 1)
	if err != nil {
		t.Fatal(err)
	}
	dial := func(from, to string) error {
		c, err := l.Dial(from)(t.Context(), "tcp", net.JoinHostPort(l.IP(to), "9000"))
		if err == nil {
			t.Cleanup(func() { _ = c.Close() })
		}
		return err
	}
	for _, to := range []string{"n2", "instance1"} {
		if err := dial("n1", to); err != nil {
			t.Errorf("the first connection to %s: %v", to, err)
		}
		if err := dial("n1", to); !errors.Is(err, syscall.EADDRNOTAVAIL) {
			t.Errorf("the second connection to %s: %v", to, err)
		}
		if err := errors.Join(dial("n2", "instance1"), dial("n2", "instance1")); err != nil {
			t.Errorf("of another machine: %v", err)
		}
	}
	if err := heal(); err != nil {
		t.Fatal(err)
	}
	for pair := range all {
		if err := dial(pair[0], pair[1]); err != nil {
			t.Errorf("healed, from %s to %s: %v", pair[0], pair[1], err)
		}
	}
	if _, err := l.FewPorts("n9", 1); err == nil {
		t.Error("nobody is short of ports")
	}
}

// TestLeft: an address that a node has left on its machine is named, one that goes in time is not.
func TestLeft(t *testing.T) {
	l, err := New([]string{"n1", "n2"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}()
	change := func(what string) {
		t.Helper()
		if out, err := exec.Command("ip", "-n", filepath.Base(l.machines["n2"].Path), "address", what, Address+bits, "dev", netlab.Interface).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	if left := l.Left(); left != nil {
		t.Errorf("at first: %v", left)
	}
	change("add")
	if left := l.Left(); !slices.Equal(left, []string{"n2"}) {
		t.Errorf("nobody takes it away: %v", left)
	}
	late := time.AfterFunc(time.Second, func() { change("del") })
	defer late.Stop()
	if left := l.Left(); left != nil {
		t.Errorf("it goes after a second: %v", left)
	}
}

//go:build netns

package kernel

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/holdfast-lb/holdfast/vip"
)

const childVariable = "HOLDFAST_KERNEL_TEST_CHILD"

// TestMain is also the child of TestTwoCapabilitiesAreEnough.
func TestMain(m *testing.M) {
	if os.Getenv(childVariable) == "" {
		os.Exit(m.Run())
	}
	if err := everything(); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("done")
}

// everything calls each method once.
func everything() error {
	var addrs []vip.Address
	for _, s := range both {
		a, err := vip.ParseAddress(s)
		if err != nil {
			return err
		}
		addrs = append(addrs, a)
	}
	k, err := Open(addrs, func(string, ...any) {})
	if err != nil {
		return err
	}
	ctx, stop := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer stop()
	hops := []vip.Hop{{Interface: "eth0", Addr: addrs[0].IP().Next()}, {Interface: "eth0", Addr: addrs[1].IP().Next()}}
	for _, step := range []struct {
		name string
		f    func() error
	}{
		{"probe", func() error { _, err := k.Probe(context.Background(), 20*time.Millisecond); return err }},
		{"silence", func() error { return k.Silence(true) }},
		{"add", func() error { return k.Add(lease) }},
		{"hops", func() error { _, err := k.Hops(); return err }},
		{"relay", func() error { return k.Relay(hops) }},
		{"renew", func() error { return k.Add(lease) }},
		{"end silence", func() error { return k.Silence(false) }},
		{"announce", k.Announce},
		{"watch", func() error {
			if err := k.Watch(ctx, func(vip.Event) {}); ctx.Err() == nil {
				return err
			}
			return nil
		}},
		{"end relay", func() error { return k.Relay(nil) }},
		{"remove", k.Remove},
		{"close", k.Close},
	} {
		if err := step.f(); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
	}
	return nil
}

// TestTwoCapabilitiesAreEnough: all of it works for an ordinary user with CAP_NET_ADMIN and CAP_NET_RAW, and for one who lacks any the error says so.
func TestTwoCapabilitiesAreEnough(t *testing.T) {
	for _, c := range []struct {
		caps []uintptr
		want string
	}{
		{[]uintptr{unix.CAP_NET_ADMIN, unix.CAP_NET_RAW}, "done"},
		{[]uintptr{unix.CAP_NET_ADMIN}, "need CAP_NET_RAW, which"},
		{[]uintptr{unix.CAP_NET_RAW}, "need CAP_NET_ADMIN, which"},
		{nil, "need CAP_NET_ADMIN and CAP_NET_RAW, which"},
	} {
		l := newLAN(t)
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = []string{childVariable + "=1"}
		cmd.Dir = "/"
		var out strings.Builder
		cmd.Stdout, cmd.Stderr = &out, &out
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}, AmbientCaps: c.caps}
		if err := l.a.Start(cmd); err != nil {
			t.Fatal(err)
		}
		err := cmd.Wait()
		if !strings.Contains(out.String(), c.want) || (err == nil) != (c.want == "done") {
			t.Errorf("%v: %v\n%s", c.caps, err, out.String())
		}
		if err != nil && !strings.Contains(out.String(), "AmbientCapabilities=CAP_NET_ADMIN CAP_NET_RAW") {
			t.Errorf("it does not say what to do: %s", out.String())
		}
		if n := tables(t, l.a); n != 0 || l.a.Has(vip4) || l.a.Has(vip6) {
			t.Errorf("%v: something is left", c.caps)
		}
	}
}

//go:build netns

package netlab

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// pair is two connected nodes, and a function that says whether a ping from the first to the second comes back.
func pair(t *testing.T) (lab *Lab, a, b *NS, pings func(string) bool) {
	lab = New(t)
	a, b = lab.Node("a"), lab.Node("b")
	lab.Connect(a, "10.9.0.1/24", "fd09::1/64")
	lab.Connect(b, "10.9.0.2/24", "fd09::2/64")
	return lab, a, b, func(ip string) bool {
		return udpReaches(t, a, b, ip) && udpReaches(t, b, a, strings.Replace(ip, "2", "1", 1))
	}
}

// udpReaches sends datagrams from one node to an address of another until one arrives, for at most 300 ms.
func udpReaches(t *testing.T, from, to *NS, ip string) bool {
	t.Helper()
	var in, out *net.UDPConn
	var err error
	to.Do(func() { in, err = net.ListenUDP("udp", &net.UDPAddr{Port: 7}) })
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close() }()
	from.Do(func() { out, err = net.ListenUDP("udp", nil) })
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = out.Close() }()
	for end := time.Now().Add(300 * time.Millisecond); time.Now().Before(end); {
		_, _ = out.WriteTo([]byte("x"), &net.UDPAddr{IP: net.ParseIP(ip), Port: 7}) // no route while the link is down
		_ = in.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		if n, _, _ := in.ReadFrom(make([]byte, 1)); n == 1 {
			return true
		}
	}
	return false
}

func TestNodesReachEachOther(t *testing.T) {
	_, a, b, pings := pair(t)
	if !pings("10.9.0.2") || !pings("fd09::2") {
		t.Fatal("the nodes do not reach each other")
	}
	if !a.Has("10.9.0.1") || a.Has("10.9.0.2") || !b.Has("fd09::2") {
		t.Fatal("Has does not say what is there")
	}
}

func TestEachFaultCutsAndHeals(t *testing.T) {
	lab, a, b, pings := pair(t)
	const ip = "10.9.0.2"
	for _, f := range []struct {
		name       string
		hurt, heal func()
	}{
		{"cut", func() { lab.Cut(b) }, func() { lab.Mend(b) }},
		{"unplug", func() { lab.Unplug(b) }, func() { lab.Plug(b) }},
		{"link down", b.LinkDown, b.LinkUp},
		{"mute", func() { lab.Mute(b) }, func() { lab.Hear(b) }},
		{"deaf", func() { lab.Deaf(b) }, func() { lab.Hear(b) }},
	} {
		if !pings(ip) {
			t.Fatalf("before %s: no connection", f.name)
		}
		f.hurt()
		if pings(ip) {
			t.Errorf("%s: still connected", f.name)
		}
		f.heal()
	}
	if !pings(ip) {
		t.Fatal("not healed")
	}
	// One direction only. Both know each other's link-layer address by now.
	lab.Mute(b)
	if !udpReaches(t, a, b, ip) || udpReaches(t, b, a, "10.9.0.1") {
		t.Error("a mute node hears, and is not heard")
	}
	lab.Hear(b)
	lab.Deaf(b)
	if udpReaches(t, a, b, ip) || !udpReaches(t, b, a, "10.9.0.1") {
		t.Error("a deaf node is heard, and does not hear")
	}
}

// TestLose: frames from one node to another are lost, all of them, a share or what is too much; those to a third one are not, nor those back.
func TestLose(t *testing.T) {
	lab, a, b, pings := pair(t)
	third := lab.Node("c")
	lab.Connect(third, "10.9.0.3/24")
	for _, from := range []*NS{a, b} { // all know each other's link-layer addresses
		if !pings("10.9.0.2") || !udpReaches(t, from, third, "10.9.0.3") {
			t.Fatal("before: no connection")
		}
	}
	end := lab.Lose(a, b, Loss{Share: 1})
	if udpReaches(t, a, b, "10.9.0.2") || !udpReaches(t, b, a, "10.9.0.1") || !udpReaches(t, a, third, "10.9.0.3") {
		t.Error("all: lost is what should pass, or passes what should be lost")
	}
	end()
	count := func() (n int) {
		for range 100 {
			if arrives(t, a, b, "10.9.0.2") {
				n++
			}
		}
		return n
	}
	if n := count(); n != 100 {
		t.Errorf("healed: %d of 100 datagrams arrived", n)
	}
	end = lab.Lose(a, b, Loss{Share: 0.5})
	if n := count(); n < 20 || n > 80 { // six standard deviations
		t.Errorf("half: %d of 100 datagrams arrived", n)
	}
	end()
	end = lab.Lose(a, b, Loss{Rate: 1})
	if n := count(); n == 0 || !udpReaches(t, b, a, "10.9.0.1") {
		t.Errorf("a rate lets nothing pass: %d", n)
	}
	end()
}

// arrives says whether one datagram arrives. On this machine it does so before it is read, or never.
func arrives(t *testing.T, from, to *NS, ip string) bool {
	t.Helper()
	var in, out *net.UDPConn
	var err error
	to.Do(func() { in, err = net.ListenUDP("udp", &net.UDPAddr{Port: 7}) })
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close() }()
	from.Do(func() { out, err = net.ListenUDP("udp", nil) })
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = out.Close() }()
	if _, err := out.WriteTo([]byte("x"), &net.UDPAddr{IP: net.ParseIP(ip), Port: 7}); err != nil {
		return false
	}
	_ = in.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	n, _, _ := in.ReadFrom(make([]byte, 1))
	return n == 1
}

func TestNothingIsLeftBehind(t *testing.T) {
	var path string
	var sleeper *exec.Cmd
	t.Run("lab", func(t *testing.T) {
		lab := New(t)
		n := lab.Node("a")
		path = n.Path
		sleeper = n.Exec("sleep", "1000")
		if err := sleeper.Start(); err != nil {
			t.Fatal(err)
		}
		out, err := n.Exec("ip", "-o", "link").CombinedOutput()
		if err != nil || strings.Count(string(out), "\n") != 1 {
			t.Fatalf("a fresh node has more than lo: %s %v", out, err)
		}
		cmd := exec.Command("readlink", "/proc/self/ns/net")
		var text strings.Builder
		cmd.Stdout = &text
		if err := n.Start(cmd); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Fatal(err)
		}
		if here, _ := os.Readlink("/proc/self/ns/net"); here == strings.TrimSpace(text.String()) || here == "" {
			t.Error("Start did not start it in the namespace")
		}
	})
	if t.Failed() {
		return
	}
	if err := sleeper.Wait(); err == nil {
		t.Error("the process outlived its network")
	}
	if left, _ := filepath.Glob(path); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

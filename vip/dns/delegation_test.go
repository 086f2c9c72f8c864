//go:build netns

package dns

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// These tests need root, and the programs dig, named, unbound and dnsmasq (Debian: bind9-dnsutils, bind9, unbound, dnsmasq-base). They run in a network
// and mount namespace of their own, where port 53 is free and /etc/resolv.conf is theirs. The recipes of the documentation are what they start.

// ownMachine gives this goroutine, and the programs that it starts, a network with nothing but loopback, and a resolv.conf that names 127.0.0.1. The thread is
// not given back, so the namespaces end with the test; sub-tests would run elsewhere, so there are none.
func ownMachine(t *testing.T) {
	t.Helper()
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET | unix.CLONE_NEWNS); err != nil {
		t.Fatalf("a namespace of our own (needs root): %v", err)
	}
	conf := filepath.Join(t.TempDir(), "resolv.conf")
	write(t, conf, "nameserver 127.0.0.1\noptions timeout:1 attempts:5\n")
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(conf, "/etc/resolv.conf", "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	output(t, "ip", "link", "set", "lo", "up")
	output(t, "ip", "address", "add", "192.0.2.1/32", "dev", "lo") // the C library asks for no IPv4 addresses while a machine has none but 127.0.0.1
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// output runs a program and gives what it printed; a failure ends the test.
func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// start runs a program until the test ends, or until the function that it gives is called.
func start(t *testing.T, name string, args ...string) (stop func()) {
	t.Helper()
	var log bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stopped := false
	stop = func() {
		if !stopped {
			stopped = true
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			if t.Failed() {
				t.Logf("%s:\n%s", name, log.String())
			}
		}
	}
	t.Cleanup(stop)
	return stop
}

// machines are three nodes, each with a server at 127.0.0.11, .12 and .13; their answers name these addresses.
type machines struct {
	t       *testing.T
	group   *group
	servers [3]*Server
}

func threeMachines(t *testing.T) *machines {
	v := View{Serial: 1, Services: []Service{{Name: "web", Protocol: "http", Port: 8080}}}
	for i := range 3 {
		v.Nodes = append(v.Nodes, Node{Name: fmt.Sprintf("n%d", i+1), Addrs: []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, byte(11 + i)})}, Live: true})
	}
	m := &machines{t: t, group: groupOf(v)}
	for i := range m.servers {
		m.up(i)
	}
	return m
}

func (m *machines) up(i int) {
	m.t.Helper()
	m.set(i, true)
	m.servers[i] = serve(m.t, Options{Addr: fmt.Sprintf("127.0.0.%d:53", 11+i), View: m.group.view, TTL: time.Second})
}

func (m *machines) die(i int) {
	m.t.Helper()
	if err := m.servers[i].Close(); err != nil {
		m.t.Fatal(err)
	}
	m.set(i, false)
}

func (m *machines) set(i int, live bool) {
	v := m.group.view().clone()
	v.Nodes[i].Live = live
	m.group.Store(&v)
}

// dig gives the sorted short answer, with one question a try and no patience.
func dig(t *testing.T, args ...string) string {
	t.Helper()
	out, _ := exec.Command("dig", append([]string{"+short", "+time=1", "+tries=1"}, args...)...).CombinedOutput() // fails while nobody answers
	got := strings.Fields(string(out))
	slices.Sort(got)
	return strings.Join(got, " ")
}

// becomes waits until get gives want, and says how long that took.
func becomes(t *testing.T, what, want string, get func() string) {
	t.Helper()
	began := time.Now()
	last := ""
	for time.Since(began) < 20*time.Second {
		if last = get(); last == want {
			t.Logf("%s: %s after %s", what, want, time.Since(began).Round(10*time.Millisecond))
			return
		}
		<-time.After(10 * time.Millisecond)
	}
	t.Fatalf("%s: %q, not %q", what, last, want)
}

const parentZone = `$TTL 300
@ IN SOA ns hostmaster 1 3600 600 86400 300
@ IN NS ns
ns IN A 127.0.0.1
lb IN NS n1.lb
lb IN NS n2.lb
lb IN NS n3.lb
n1.lb IN A 127.0.0.11
n2.lb IN A 127.0.0.12
n3.lb IN A 127.0.0.13
`

const bindOptions = `options {
  directory "%[1]s"; pid-file none; session-keyfile none; listen-on port 53 { 127.0.0.1; }; listen-on-v6 { none; };
  recursion yes; allow-query { any; }; dnssec-validation no; empty-zones-enable no;
};
controls { };
`

// TestResolvers: through BIND (a delegation by NS records, static-stub, forward), Unbound (stub-zone, forward-zone) and dnsmasq, clients see the live nodes,
// soon after one has died and after it has come back.
func TestResolvers(t *testing.T) {
	ownMachine(t)
	m := threeMachines(t)
	for _, r := range []struct {
		name, program string
		args          []string
		files         map[string]string
	}{
		{"BIND, delegation", "named", []string{"-g", "-c", "%s/named.conf"}, map[string]string{"zone": parentZone,
			"named.conf": bindOptions + `zone "example.com" { type primary; file "zone"; };`}},
		{"BIND, static-stub", "named", []string{"-g", "-c", "%s/named.conf"}, map[string]string{
			"named.conf": bindOptions + `zone "lb.example.com" { type static-stub; server-addresses { 127.0.0.11; 127.0.0.12; 127.0.0.13; }; };`}},
		{"BIND, forward", "named", []string{"-g", "-c", "%s/named.conf"}, map[string]string{
			"named.conf": bindOptions + `zone "lb.example.com" { type forward; forward only; forwarders { 127.0.0.11; 127.0.0.12; 127.0.0.13; }; };`}},
		{"Unbound, stub-zone", "unbound", []string{"-d", "-c", "%s/unbound.conf"}, map[string]string{"unbound.conf": unboundConf("stub")}},
		{"Unbound, forward-zone", "unbound", []string{"-d", "-c", "%s/unbound.conf"}, map[string]string{"unbound.conf": unboundConf("forward")}},
		{"dnsmasq", "dnsmasq", []string{"-k", "-u", "root", "-C", "%s/dnsmasq.conf"}, map[string]string{"dnsmasq.conf": `no-resolv
no-hosts
listen-address=127.0.0.1
bind-interfaces
server=/lb.example.com/127.0.0.11
server=/lb.example.com/127.0.0.12
server=/lb.example.com/127.0.0.13
all-servers
`}},
	} {
		dir := t.TempDir()
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for file, text := range r.files {
			write(t, filepath.Join(dir, file), strings.ReplaceAll(text, "%[1]s", dir))
		}
		var args []string
		for _, a := range r.args {
			args = append(args, strings.ReplaceAll(a, "%s", dir))
		}
		stop := start(t, r.program, args...)
		m.through(t, r.name)
		stop()
	}
}

func unboundConf(kind string) string {
	return `server:
  interface: 127.0.0.1
  username: ""
  chroot: ""
  directory: "%[1]s"
  pidfile: ""
  use-syslog: no
  module-config: "iterator"
  do-not-query-localhost: no
remote-control:
  control-enable: no
` + kind + `-zone:
  name: "lb.example.com"
  ` + kind + `-addr: 127.0.0.11
  ` + kind + `-addr: 127.0.0.12
  ` + kind + `-addr: 127.0.0.13
`
}

// through looks at the zone through the resolver at 127.0.0.1, while each node in turn dies and comes back.
func (m *machines) through(t *testing.T, resolver string) {
	t.Helper()
	apex := func() string { return dig(t, "@127.0.0.1", "lb.example.com", "A") }
	const all = "127.0.0.11 127.0.0.12 127.0.0.13"
	becomes(t, resolver+", at first", all, apex)
	becomes(t, resolver+", SRV", "0 0 0 1 1 1 8080 8080 8080 n1.lb.example.com. n2.lb.example.com. n3.lb.example.com.",
		func() string { return dig(t, "@127.0.0.1", "_http._tcp.lb.example.com", "SRV") })
	becomes(t, resolver+", no such name", "NXDOMAIN", func() string { return status(t, "@127.0.0.1", "nobody.lb.example.com", "A") })
	becomes(t, resolver+", no such type", "NOERROR", func() string { return status(t, "@127.0.0.1", "lb.example.com", "AAAA") })
	for i, rest := range []string{"127.0.0.12 127.0.0.13", "127.0.0.11 127.0.0.13", "127.0.0.11 127.0.0.12"} {
		m.die(i)
		becomes(t, fmt.Sprintf("%s, n%d dead", resolver, i+1), rest, apex)
		if got := getent(t); got != rest {
			becomes(t, fmt.Sprintf("%s, n%d dead, getent", resolver, i+1), rest, func() string { return getent(t) })
		}
		m.up(i)
		becomes(t, fmt.Sprintf("%s, n%d back", resolver, i+1), all, apex)
	}
}

// status gives the rcode that dig shows.
func status(t *testing.T, args ...string) string {
	t.Helper()
	out, _ := exec.Command("dig", append([]string{"+time=1", "+tries=1"}, args...)...).CombinedOutput()
	_, rest, _ := strings.Cut(string(out), "status: ")
	rcode, _, _ := strings.Cut(rest, ",")
	return rcode
}

// getent gives what the C library finds for the zone's apex.
func getent(t *testing.T) string {
	t.Helper()
	out, _ := exec.Command("getent", "ahostsv4", "lb.example.com").CombinedOutput()
	var got []string
	for line := range strings.Lines(string(out)) {
		if f := strings.Fields(line); len(f) > 1 && f[1] == "STREAM" {
			got = append(got, f[0])
		}
	}
	slices.Sort(got)
	return strings.Join(got, " ")
}

// TestDig: what dig says to each kind of question, without a resolver between.
func TestDig(t *testing.T) {
	ownMachine(t)
	threeMachines(t)
	for args, want := range map[string][]string{
		"lb.example.com A":                                       {"status: NOERROR", "flags: qr aa rd; QUERY: 1, ANSWER: 3, AUTHORITY: 0, ADDITIONAL: 1", "udp: 1232", "recursion requested but not available", "(good)"},
		"+tcp lb.example.com A":                                  {"ANSWER: 3", "(TCP)"},
		"+noedns lb.example.com NS":                              {"ANSWER: 3, AUTHORITY: 0, ADDITIONAL: 3"},
		"+edns=1 +noednsneg lb.example.com A":                    {"status: BADVERS", "version: 0"},
		"+ednsopt=65001:abcd lb.example.com A":                   {"status: NOERROR", "ANSWER: 3"},
		"+dnssec lb.example.com SOA":                             {"flags: do;", "n1.lb.example.com. hostmaster.lb.example.com. 1 3600 600 86400 1"},
		"lb.example.com ANY +notcp":                              {"ANSWER: 3"},
		"lb.example.com AXFR":                                    {"Transfer failed"},
		"version.bind CH TXT":                                    {"status: REFUSED", "ANSWER: 0"},
		"example.org A":                                          {"status: REFUSED", "Not Authoritative"},
		"+opcode=notify lb.example.com SOA":                      {"status: NOTIMP"},
		"+opcode=update +header-only":                            {"status: NOTIMP"},
		"+header-only":                                           {"status: FORMERR"},
		"nobody.lb.example.com A":                                {"status: NXDOMAIN", "ANSWER: 0, AUTHORITY: 1"},
		"_tcp.lb.example.com SRV":                                {"status: NOERROR", "ANSWER: 0, AUTHORITY: 1"},
		"N2.lB.eXample.com A":                                    {"N2.lB.eXample.com.\t1\tIN\tA\t127.0.0.12"},
		"+keepopen +tcp n1.lb.example.com A n2.lb.example.com A": {"127.0.0.11", "127.0.0.12"},
	} {
		out, _ := exec.Command("dig", append([]string{"@127.0.0.11", "+time=2", "+tries=1"}, strings.Fields(args)...)...).CombinedOutput()
		for _, text := range want {
			if !strings.Contains(string(out), text) {
				t.Errorf("dig %s: no %q in\n%s", args, text, out)
			}
		}
	}
	if got := status(t, "@127.0.0.12", "lb.example.com"); got != "NOERROR" {
		t.Errorf("another node: %q", got)
	}
}

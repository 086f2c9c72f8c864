package lb

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

// packetApp is an instance that answers each datagram with its name in front.
type packetApp struct {
	name string
	conn *net.UDPConn
}

func newPacketApp(t testing.TB, name string) *packetApp {
	t.Helper()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, maxDatagram)
		for {
			n, from, err := conn.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			conn.WriteToUDPAddrPort(append([]byte(name+" "), buf[:n]...), from)
		}
	}()
	t.Cleanup(func() {
		conn.Close()
		<-done
	})
	return &packetApp{name, conn}
}

// packetConf has a listener of protocol udp that leads to cluster c1.
func packetConf(apps ...*packetApp) *config.Config {
	c := streamConf()
	for _, a := range apps {
		c.Clusters[0].Instances = append(c.Clusters[0].Instances, inst(a.name, "udp://"+a.conn.LocalAddr().String()))
	}
	c.Listeners[0].Protocol, c.Clusters[0].Health.Type = "udp", "none"
	return c
}

// packetClient sends datagrams from one address and port.
type packetClient struct {
	*net.UDPConn
	t testing.TB
}

func (r *rig) packets(from string) *packetClient {
	r.t.Helper()
	return packetsTo(r.t, from, r.b.Addr("web").(*net.UDPAddr))
}

func packetsTo(t testing.TB, from string, to *net.UDPAddr) *packetClient {
	t.Helper()
	c, err := net.DialUDP("udp", &net.UDPAddr{IP: net.ParseIP(from)}, to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &packetClient{c, t}
}

// try sends and waits for what comes back; "" when nothing does.
func (c *packetClient) try(text string, patience time.Duration) string {
	c.t.Helper()
	if _, err := c.Write([]byte(text)); err != nil {
		return ""
	}
	c.SetReadDeadline(time.Now().Add(patience))
	buf := make([]byte, maxDatagram)
	n, err := c.Read(buf)
	if err != nil {
		return ""
	}
	return string(buf[:n])
}

// ask sends until something comes back, as clients of such protocols do, and gives who answered. It is in no hurry: a second answer would be taken for that to the next question.
func (c *packetClient) ask(text string) (instance string) {
	c.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		if got := c.try(text, 5*time.Second); got != "" {
			name, rest, _ := strings.Cut(got, " ")
			if rest != text {
				c.t.Fatalf("%d bytes came back as %d", len(text), len(rest))
			}
			return name
		}
	}
	c.t.Fatal("nobody answers")
	return ""
}

// TestFlowsStayWithTheirSource: all flows of an address go to one instance, by whichever node they come.
func TestFlowsStayWithTheirSource(t *testing.T) {
	a, b := newPacketApp(t, "i1"), newPacketApp(t, "i2")
	g := newFakeGroup(packetConf(a, b))
	rigs := []*rig{newRigOn(t, g, Options{}), newRigOn(t, g, Options{Node: "node2"})}
	on, seen := map[string]string{}, map[string]bool{}
	for round := range 3 {
		for i := range 6 {
			from := fmt.Sprintf("127.0.0.%d", 10+i)
			c := rigs[(i+round)%2].packets(from)
			got := c.ask("hello")
			if again := c.ask(strings.Repeat("x", 20000)); again != got || round > 0 && got != on[from] {
				t.Fatalf("%s was on %s and is on %s, then %s", from, on[from], got, again)
			}
			on[from], seen[got] = got, true
		}
	}
	if len(seen) != 2 {
		t.Errorf("instances: %v", seen)
	}
	if n := g.count(fsm.OpAssign); n != 6 {
		t.Errorf("%d sessions are on record", n)
	}
	if n := rigs[0].status("c1", "i1").InFlight + rigs[0].status("c1", "i2").InFlight; n != 9 {
		t.Errorf("%d flows", n)
	}
}

// TestFlowWaitsForItsRecord, and what came meanwhile is not lost.
func TestFlowWaitsForItsRecord(t *testing.T) {
	a := newPacketApp(t, "i1")
	r := newRig(t, packetConf(a))
	hold := make(chan struct{})
	r.g.with(func() { r.g.hold = hold })
	c := r.packets("127.0.0.1")
	for i := range 10 {
		fmt.Fprint(c, i)
	}
	if got := c.try("x", 100*time.Millisecond); got != "" {
		t.Fatalf("%q came before the record", got)
	}
	close(hold)
	c.SetReadDeadline(time.Now().Add(20 * time.Second))
	buf := make([]byte, 100)
	for i := range 10 {
		if n, err := c.Read(buf); err != nil || string(buf[:n]) != fmt.Sprint("i1 ", i) {
			t.Fatalf("%d: %q, %v", i, buf[:n], err)
		}
	}
	if len(r.g.sessions()) != 1 {
		t.Errorf("%d sessions", len(r.g.sessions()))
	}
}

// TestFlowLeavesADeadInstance: the machine says that nobody listens, so the next datagrams go elsewhere; it is found when it is back.
func TestFlowLeavesADeadInstance(t *testing.T) {
	a, b := newPacketApp(t, "i1"), newPacketApp(t, "i2")
	cc := packetConf(a, b)
	cc.Clusters[0].Health.RetryInterval = config.Duration(20 * time.Millisecond)
	r := newRig(t, cc)
	c := r.packets("127.0.0.1")
	first := c.ask("hello")
	dead, other := a, "i2"
	if first == "i2" {
		dead, other = b, "i1"
	}
	at := dead.conn.LocalAddr().(*net.UDPAddr)
	dead.conn.Close()
	r.wait("it is on the other one", func() bool { return strings.HasPrefix(c.try("again", 100*time.Millisecond), other+" ") })
	if len(r.g.moves()) != 1 {
		t.Errorf("%d moves", len(r.g.moves()))
	}
	if s := r.status("c1", first); s.Health != "down" || !strings.Contains(s.Reason, "refused") {
		t.Errorf("%+v", s)
	}
	back, err := net.ListenUDP("udp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer back.Close()
	r.wait("it is found", func() bool { return r.status("c1", first).Health == "up" })
}

// TestFlowsLeaveAStoppedInstance at the end of its quiesce, and not before.
func TestFlowsLeaveAStoppedInstance(t *testing.T) {
	a, b := newPacketApp(t, "i1"), newPacketApp(t, "i2")
	cc := packetConf(a, b)
	r := newRig(t, cc)
	c := r.packets("127.0.0.1")
	was := c.ask("hello")
	off := clone(cc)
	for i := range off.Clusters[0].Instances {
		off.Clusters[0].Instances[i].Enabled = off.Clusters[0].Instances[i].Name != was
	}
	r.apply(off)
	for range 5 {
		if got := c.ask("still"); got != was {
			t.Errorf("a known client is on %s", got)
		}
	}
	r.g.endQuiesces()
	r.wait("it is elsewhere", func() bool { return c.ask("and now") != was })
	r.wait("safe to stop", func() bool { return r.status("c1", was).InFlight == 0 })
}

// TestFlowsEnd when nothing has come for long enough, with a line in the log.
func TestFlowsEnd(t *testing.T) {
	a := newPacketApp(t, "i1")
	cc := packetConf(a)
	cc.Listeners[0].IdleTimeout = config.Duration(150 * time.Millisecond)
	r := newRig(t, cc)
	r.packets("127.0.0.1").ask("hello")
	r.wait("the flow has ended", func() bool { return r.status("c1", "i1").InFlight == 0 })
	r.wait("it is in the log", func() bool { return strings.Contains(r.accessLog(), `"proto":"UDP"`) })
	if log := r.accessLog(); !strings.Contains(log, `"status":200,"bytes":8,"received":5`) || !strings.Contains(log, `"client":"127.0.0.1"`) {
		t.Error(log)
	}
}

// TestFlowsKeepTheBounds of their listener.
func TestFlowsKeepTheBounds(t *testing.T) {
	a := newPacketApp(t, "i1")
	cc := packetConf(a)
	cc.Listeners[0].Limits = config.ListenerLimits{Connections: 3, PerClient: config.Rates{Connections: 2}}
	r := newRig(t, cc)
	one, two := r.packets("127.0.0.1"), r.packets("127.0.0.1")
	one.ask("one")
	two.ask("two")
	if got := r.packets("127.0.0.1").try("three", 100*time.Millisecond); got != "" {
		t.Error("a client has more than it may have")
	}
	r.packets("127.0.0.2").ask("three")
	if got := r.packets("127.0.0.3").try("four", 100*time.Millisecond); got != "" {
		t.Error("the listener has more than it may have")
	}
	one.ask("one")
}

// TestAnswersComeFromTheAddressThatWasAsked, also when the listener is bound to all of them.
func TestAnswersComeFromTheAddressThatWasAsked(t *testing.T) {
	a := newPacketApp(t, "i1")
	for _, address := range []string{"0.0.0.0:0", "[::]:0"} {
		cc := packetConf(a)
		cc.Listeners[0].Address = address
		r := newRig(t, cc)
		at := *r.b.Addr("web").(*net.UDPAddr)
		for i := range 3 {
			at.IP = net.IPv4(127, 0, 0, byte(1+i))
			packetsTo(t, "127.0.0.9", &at).ask("hello") // a connected socket takes nothing from elsewhere
		}
		if _, err := os.Stat("/proc/net/if_inet6"); err == nil {
			at.IP = net.IPv6loopback
			packetsTo(t, "::1", &at).ask("hello")
		}
	}
}

// TestFlowsWithoutAnInstance are dropped, and known in the log.
func TestFlowsWithoutAnInstance(t *testing.T) {
	r := newRig(t, packetConf())
	if got := r.packets("127.0.0.1").try("hello", 100*time.Millisecond); got != "" {
		t.Error(got)
	}
	r.wait("it is in the log", func() bool { return strings.Contains(r.accessLog(), `"status":503`) })
	gone := clone(r.g.rev.Config)
	gone.Listeners = nil
	r.apply(gone)
	if r.b.Addr("web") != nil {
		t.Error("it listens still")
	}
}

// TestDatagramsOfAllSizes go through as they are.
func TestDatagramsOfAllSizes(t *testing.T) {
	a := newPacketApp(t, "i1")
	r := newRig(t, packetConf(a))
	c := r.packets("127.0.0.1")
	for _, n := range []int{1, 0, 512, 1472, 1473, 9000, 32 << 10, 65000} {
		c.ask(string(bytes.Repeat([]byte{'d'}, n)))
	}
}

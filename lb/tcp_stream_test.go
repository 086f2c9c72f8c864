package lb

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

// TestStreamsStayWithTheirSource: all streams of an address go to one instance, by whichever node they come.
func TestStreamsStayWithTheirSource(t *testing.T) {
	a, b := newStreamApp(t, "i1", nil), newStreamApp(t, "i2", nil)
	g := newFakeGroup(streamConf(a, b))
	rigs := []*rig{newRigOn(t, g, Options{}), newRigOn(t, g, Options{Node: "node2"})}
	on, seen := map[string]string{}, map[string]bool{}
	for round := range 3 {
		for i := range 6 {
			from := fmt.Sprintf("127.0.0.%d", 10+i)
			got := rigs[(i+round)%2].instanceOf(from)
			if round > 0 && got != on[from] {
				t.Fatalf("%s was on %s and is on %s", from, on[from], got)
			}
			on[from], seen[got] = got, true
		}
	}
	if !seen["i1"] || !seen["i2"] || len(seen) != 2 {
		t.Errorf("instances: %v", seen)
	}
	if n := g.count(fsm.OpAssign); n != 6 {
		t.Errorf("%d sessions are on record", n)
	}
	key, err := rigs[0].b.SessionKey("c1", "", "", "127.0.0.10")
	if err != nil {
		t.Fatal(err)
	}
	if as, ok := g.sessions()[key]; !ok || as.Instance != g.id("c1", on["127.0.0.10"]) {
		t.Error("an operator does not find the session by the client's address")
	}
}

// TestStreamWaitsForItsRecord: not a byte of the instance reaches the client before the group has the assignment, not a byte of the client the instance.
func TestStreamWaitsForItsRecord(t *testing.T) {
	got := make(chan byte, 1)
	a := newStreamApp(t, "i1", func(c net.Conn) {
		fmt.Fprintln(c, "hello")
		var one [1]byte
		if _, err := io.ReadFull(c, one[:]); err == nil {
			got <- one[0]
		}
	})
	r := newRig(t, streamConf(a))
	hold := make(chan struct{})
	r.g.with(func() { r.g.hold = hold })
	c := r.connect("127.0.0.1")
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	r.wait("the instance is connected", func() bool { return a.accepted() > 0 && r.status("c1", "i1").InFlight == 1 })
	c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if text, err := c.r.ReadString('\n'); err == nil || text != "" {
		t.Fatalf("%q came before the record", text)
	}
	select {
	case <-got:
		t.Fatal("the instance has something of a client that is not on record")
	default:
	}
	close(hold)
	c.SetReadDeadline(time.Now().Add(20 * time.Second))
	if text := c.line(); text != "hello" || <-got != 'x' || len(r.g.sessions()) != 1 {
		t.Fatal(text)
	}
}

// TestStreamGoesWhereAnotherNodeHasRecorded: two nodes take the first streams of a client at once; both go to one instance.
func TestStreamGoesWhereAnotherNodeHasRecorded(t *testing.T) {
	a, b := newStreamApp(t, "i1", nil), newStreamApp(t, "i2", nil)
	g := newFakeGroup(streamConf(a, b))
	rigs := []*rig{newRigOn(t, g, Options{}), newRigOn(t, g, Options{Node: "node2"}), newRigOn(t, g, Options{Node: "node3"})}
	for i := range 8 {
		hold := make(chan struct{})
		g.with(func() { g.hold = hold })
		from := fmt.Sprintf("127.0.1.%d", 1+i)
		var clients []*streamClient
		for _, r := range rigs {
			clients = append(clients, r.connect(from))
		}
		for _, r := range rigs {
			r.wait("its instance is connected", func() bool { return r.status("c1", "i1").InFlight+r.status("c1", "i2").InFlight == 1 })
		}
		close(hold)
		names := map[string]bool{}
		for _, c := range clients {
			names[c.line()] = true
		}
		if len(names) != 1 {
			t.Fatalf("%s is on %v", from, names)
		}
		for i, c := range clients {
			c.Close()
			rigs[i].wait("it has ended", func() bool { return rigs[i].status("c1", "i1").InFlight+rigs[i].status("c1", "i2").InFlight == 0 })
		}
	}
	if n := len(g.sessions()); n != 8 {
		t.Errorf("%d sessions", n)
	}
}

// TestStreamCarriesEverything: much data both ways at once, ends of one direction passed on while the other goes on.
func TestStreamCarriesEverything(t *testing.T) {
	const size = 24 << 20
	data := make([]byte, size)
	var seed [32]byte
	rand.NewChaCha8(seed).Read(data)
	want := sha256.Sum256(data)
	a := newStreamApp(t, "i1", func(c net.Conn) {
		h := sha256.New()
		if n, err := io.Copy(h, c); err != nil || n != size { // until the client has ended its direction
			return
		}
		c.Write(h.Sum(nil))
		c.Write(data)
	})
	r := newRig(t, streamConf(a))
	c := r.connect("127.0.0.1")
	go func() {
		for rest := data; len(rest) > 0; {
			n := min(1+rand.IntN(200<<10), len(rest))
			if _, err := c.Write(rest[:n]); err != nil {
				return
			}
			rest = rest[n:]
		}
		c.CloseWrite()
	}()
	got, err := io.ReadAll(c.r)
	if err != nil || len(got) != len(want)+size || !bytes.Equal(got[:len(want)], want[:]) || !bytes.Equal(got[len(want):], data) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	r.wait("the stream has ended, and is in the log", func() bool { return r.status("c1", "i1").InFlight == 0 && r.accessLog() != "" })
	log := r.accessLog()
	for _, part := range []string{`"proto":"TCP"`, `"client":"127.0.0.1"`, `"listener":"web"`, `"status":200`, fmt.Sprintf(`"bytes":%d`, size+32), fmt.Sprintf(`"received":%d`, size), `"cluster":"c1","instance":"i1","assigned":false`} {
		if !strings.Contains(log, part) {
			t.Errorf("%s is not in %s", part, log)
		}
	}
	if n := metric(t, r, "holdfast_stream_bytes_total", "direction=sent"); n != size+32 {
		t.Errorf("%v bytes sent", n)
	}
	if n := metric(t, r, "holdfast_stream_bytes_total", "direction=received"); n != size {
		t.Errorf("%v bytes received", n)
	}
	if n := metric(t, r, "holdfast_requests_total", "cluster=c1", "instance=i1", "code=2xx"); n != 1 {
		t.Errorf("%v requests", n)
	}
}

// TestBrokenStreamLooksBroken: a stream that its instance resets must not look like one that has ended in order, and the other way round.
func TestBrokenStreamLooksBroken(t *testing.T) {
	broken := make(chan error, 1)
	serve := func(c net.Conn) {
		if _, err := c.Read(make([]byte, 1)); err != nil {
			return // a health check
		}
		fmt.Fprintln(c, "part of the answer") // not before it is known whose connection it is: the client has the instance killed when it sees this
		_, err := io.Copy(io.Discard, c)
		broken <- err
	}
	a := newStreamApp(t, "i1", serve)
	r := newRig(t, streamConf(a))
	c := r.connect("127.0.0.1")
	c.Write([]byte("x"))
	c.line()
	a.kill()
	if _, err := c.r.ReadByte(); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the client sees %v", err)
	}
	<-broken
	r.wait("the stream has ended", func() bool { return r.status("c1", "i1").InFlight == 0 })

	b := newStreamApp(t, "i1", serve)
	r.apply(streamConf(b))
	c = r.connect("127.0.0.1")
	c.Write([]byte("xy"))
	c.line()
	c.SetLinger(0)
	c.Close()
	if err := <-broken; !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the instance sees %v", err)
	}
}

// TestStreamOfADeadInstanceGoesElsewhere: who is refused gets another instance at once, and so do the sessions of one that has died.
func TestStreamOfADeadInstanceGoesElsewhere(t *testing.T) {
	a, b := newStreamApp(t, "i1", nil), newStreamApp(t, "i2", nil)
	r := newRig(t, streamConf(a, b))
	clients := map[string]string{}
	for i := range 8 {
		from := fmt.Sprintf("127.0.2.%d", 1+i)
		clients[from] = r.instanceOf(from)
	}
	open := r.connect("127.0.2.99")
	for open.line() != "i1" { // until it is one of the instance that dies
		open = r.connect("127.0.2." + fmt.Sprint(100+len(r.g.sessions())))
	}
	a.kill()
	if _, err := open.r.ReadByte(); err == nil {
		t.Error("the stream goes on without its instance")
	}
	for from, was := range clients {
		if got := r.instanceOf(from); got != "i2" {
			t.Errorf("%s, which was on %s: %s", from, was, got)
		}
	}
	if r.status("c1", "i1").Health != "down" {
		t.Error("a refused connection takes no instance out of service")
	}
	if n := metric(t, r, "holdfast_failovers_total", "cluster=c1"); n != 4 {
		t.Errorf("%v sessions failed over", n)
	}
	for _, op := range r.g.moves() {
		if op.Instance != r.g.id("c1", "i2") {
			t.Errorf("%+v", op)
		}
	}
}

// TestStreamWithoutAnInstance ends at once, and says so in the log.
func TestStreamWithoutAnInstance(t *testing.T) {
	a := newStreamApp(t, "i1", nil)
	r := newRig(t, streamConf(a))
	a.kill()
	if got := r.instanceOf("127.0.0.1"); !strings.Contains(got, "EOF") && !strings.Contains(got, "reset") {
		t.Error(got)
	}
	r.wait("it is in the log", func() bool { return strings.Contains(r.accessLog(), `"status":503`) })
	if log := r.accessLog(); !strings.Contains(log, `"error":"no instance is available"`) {
		t.Error(log)
	}
}

// TestStreamsAreQuiesced: a stream counts as a request in flight, and goes on however long it takes; new ones of others go elsewhere at once.
func TestStreamsAreQuiesced(t *testing.T) {
	a, b := newStreamApp(t, "i1", nil), newStreamApp(t, "i2", nil)
	cc := streamConf(a, b)
	r := newRig(t, cc)
	c := r.connect("127.0.0.1")
	was := c.line()
	alone := func() bool { return r.status("c1", was).InFlight == 1 }
	r.wait("in flight", alone)
	off := clone(cc)
	for i := range off.Clusters[0].Instances {
		off.Clusters[0].Instances[i].Enabled = off.Clusters[0].Instances[i].Name != was
	}
	r.apply(off)
	c.echo("it goes on")
	if got := r.instanceOf("127.0.0.1"); got != was {
		t.Errorf("a known client is on %s", got)
	}
	for i := range 6 {
		if got := r.instanceOf(fmt.Sprintf("127.0.3.%d", 1+i)); got == was {
			t.Errorf("a new client is on %s", got)
		}
	}
	r.g.endQuiesces()
	r.wait("the quiesce is over", func() bool { return r.b.routing.Load().index == r.node.Operating().Index })
	c.echo("it still goes on")
	if got := r.instanceOf("127.0.0.1"); got == was {
		t.Error("its session is on an instance that is stopped")
	}
	r.wait("it alone is in flight", alone)
	c.Close()
	r.wait("safe to stop", func() bool { return r.status("c1", was).InFlight == 0 })
}

// TestStreamsOfABackupCluster: they go there while the cluster itself has nobody, and come back.
func TestStreamsOfABackupCluster(t *testing.T) {
	a, b := newStreamApp(t, "i1", nil), newStreamApp(t, "spare", nil)
	cc := streamConf(a)
	spare := clone(cc).Clusters[0]
	spare.Name, spare.Instances = "c2", []config.Instance{inst("spare", b.url())}
	cc.Clusters[0].Backup, cc.Clusters[0].FailBack = []string{"c2"}, "immediate"
	cc.Clusters = append(cc.Clusters, spare)
	r := newRig(t, cc)
	if got := r.instanceOf("127.0.0.1"); got != "i1" {
		t.Fatal(got)
	}
	off := clone(cc)
	off.Clusters[0].Instances[0].Enabled = false
	r.apply(off)
	r.g.endQuiesces()
	r.wait("the quiesce is over", func() bool { return r.b.routing.Load().index == r.node.Operating().Index })
	if got := r.instanceOf("127.0.0.2"); got != "spare" {
		t.Error(got)
	}
	r.apply(cc)
	if got := r.instanceOf("127.0.0.3"); got != "i1" {
		t.Error(got)
	}
}

// TestStreamsWithoutAffinity leave no record.
func TestStreamsWithoutAffinity(t *testing.T) {
	a, b := newStreamApp(t, "i1", nil), newStreamApp(t, "i2", nil)
	cc := streamConf(a, b)
	cc.Clusters[0].Affinity.Type = "none"
	r := newRig(t, cc)
	count := map[string]int{}
	for range 10 {
		count[r.instanceOf("127.0.0.1")]++
	}
	if count["i1"] != 5 || count["i2"] != 5 || len(r.g.sessions()) != 0 {
		t.Errorf("%v, %d sessions", count, len(r.g.sessions()))
	}
}

// TestStreamsGoByWeight: the documents' rule for remote clients, round-robin by assigned weights.
func TestStreamsGoByWeight(t *testing.T) {
	a, b := newStreamApp(t, "i1", nil), newStreamApp(t, "i2", nil)
	cc := streamConf(a, b)
	cc.Clusters[0].Policy = "weighted-round-robin"
	cc.Clusters[0].Instances[0].Weight = 3
	r := newRig(t, cc)
	count := map[string]int{}
	for i := range 16 {
		count[r.instanceOf(fmt.Sprintf("127.0.4.%d", 1+i))]++
	}
	if count["i1"] != 12 || count["i2"] != 4 {
		t.Errorf("%v", count)
	}
}

// TestStreamsWithoutAQuorum: known clients stay, new ones are served or refused, as the configuration says.
func TestStreamsWithoutAQuorum(t *testing.T) {
	a, b := newStreamApp(t, "i1", nil), newStreamApp(t, "i2", nil)
	cc := streamConf(a, b)
	r := newRig(t, cc)
	was := r.instanceOf("127.0.0.1")
	r.node.setCut(true)
	if got := r.instanceOf("127.0.0.1"); got != was {
		t.Errorf("%s instead of %s", got, was)
	}
	fresh := r.instanceOf("127.0.0.2")
	if fresh != "i1" && fresh != "i2" || r.instanceOf("127.0.0.2") != fresh {
		t.Error(fresh)
	}
	refuse := clone(cc)
	refuse.OnQuorumLoss = "refuse"
	r.apply(refuse)
	if got := r.instanceOf("127.0.0.3"); !strings.Contains(got, "EOF") && !strings.Contains(got, "reset") {
		t.Error(got)
	}
	r.node.setCut(false)
	r.wait("what was owed is on record", func() bool { return len(r.g.sessions()) == 2 })
	if got := r.instanceOf("127.0.0.2"); got != fresh {
		t.Errorf("%s instead of %s", got, fresh)
	}
}

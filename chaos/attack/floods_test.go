package attack

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quic-go/qpack"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/quicvarint"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/holdfast-lb/holdfast/admin/client"
	"github.com/holdfast-lb/holdfast/chaos/proc"
	"github.com/holdfast-lb/holdfast/internal/certtest"
)

// flood is what a client does on one connection until the node ends it, or ctx; it counts what it has sent.
type flood struct {
	name, unit string
	attack     func(ctx context.Context, g *gate)
}

// gate is where a flood goes to.
type gate struct {
	clear, secured string      // host:port of the listener of HTTP/2 in clear text, and of that of HTTP/3
	trust          *tls.Config // the certificate is no matter to who floods
	sent, conns    atomic.Int64
	out, back      atomic.Int64 // bytes, of floods of datagrams whose sender proves nothing
}

var floods = []flood{
	{"HTTP2 rapid reset", "requests", framesOf(func(f *frames, i int) {
		f.WriteHeaders(http2.HeadersFrameParam{StreamID: uint32(2*i + 1), BlockFragment: f.block(), EndHeaders: true, EndStream: true})
		f.WriteRSTStream(uint32(2*i+1), http2.ErrCodeCancel)
	})},
	{"HTTP2 CONTINUATION", "frames", framesOf(func(f *frames, i int) {
		if i == 0 {
			f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: f.block()})
		}
		f.WriteContinuation(1, false, nil)
	})},
	{"HTTP2 SETTINGS", "frames", framesOf(func(f *frames, _ int) { f.WriteSettings() })},
	{"HTTP2 PING", "frames", framesOf(func(f *frames, _ int) { f.WritePing(false, [8]byte{}) })},
	{"HTTP2 WINDOW_UPDATE", "frames", framesOf(func(f *frames, _ int) { f.WriteWindowUpdate(0, 1) })},
	{"HTTP2 PRIORITY", "frames", framesOf(func(f *frames, i int) { f.WritePriority(uint32(2*i+1), http2.PriorityParam{Weight: 1}) })},
	{"HTTP2 empty DATA", "frames", framesOf(func(f *frames, i int) {
		if i == 0 {
			f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: f.block(":method", "POST"), EndHeaders: true})
		}
		f.WriteData(1, false, nil)
	})},
	{"HTTP2 HPACK bomb", "bombs", framesOf(func(f *frames, i int) {
		block := append(f.block(":method", "GET", "x", strings.Repeat("a", 4000)), bytes.Repeat([]byte{0x80 | 62}, 12_000)...) // 48 MB of fields
		f.WriteHeaders(http2.HeadersFrameParam{StreamID: uint32(2*i + 1), BlockFragment: block, EndHeaders: true, EndStream: true})
	})},
	{"HTTP3 rapid reset", "requests", streamsOf(func(conn *quic.Conn, g *gate) error {
		s, err := conn.OpenStreamSync(conn.Context())
		if err != nil {
			return err
		}
		_, err = s.Write(append(postHTTP3, framed3(0, []byte("x"))...))
		s.CancelRead(0x10c)
		s.CancelWrite(0x10c)
		g.sent.Add(1)
		return err
	})},
	{"HTTP3 empty DATA", "frames", streamsOf(func(conn *quic.Conn, g *gate) error {
		s, err := conn.OpenStreamSync(conn.Context())
		if err != nil {
			return err
		}
		const pack = 500
		for _, err = s.Write(postHTTP3); err == nil; _, err = s.Write(bytes.Repeat(framed3(0, nil), pack)) {
			g.sent.Add(pack)
		}
		return err
	})},
	{"QUIC first datagrams of nobody", "datagrams", func(ctx context.Context, g *gate) {
		var all sync.WaitGroup
		for range 50 { // each hears on for a while
			all.Go(func() { begin(ctx, g) })
		}
		all.Wait()
	}},
	{"QUIC junk", "datagrams", junk},
}

// frames is a client of HTTP/2 that sends whatever it likes, many frames at once.
type frames struct {
	*http2.Framer
	text bytes.Buffer
	enc  *hpack.Encoder
}

// block encodes a request: of GET, unless fields say something else.
func (f *frames) block(fields ...string) []byte {
	if len(fields) == 0 {
		fields = []string{":method", "GET"}
	}
	f.text.Reset()
	for list := append([]string{":scheme", "http", ":path", "/good/flood", ":authority", "h"}, fields...); len(list) > 0; list = list[2:] {
		_ = f.enc.WriteField(hpack.HeaderField{Name: list[0], Value: list[1]}) // into memory
	}
	return bytes.Clone(f.text.Bytes())
}

// framesOf floods a connection of HTTP/2 with the frames that send writes.
func framesOf(send func(f *frames, i int)) func(context.Context, *gate) {
	return func(ctx context.Context, g *gate) {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", g.clear)
		if err != nil {
			return
		}
		g.conns.Add(1)
		defer conn.Close()
		defer context.AfterFunc(ctx, func() { conn.Close() })()
		ended := make(chan struct{})
		go func() { // it takes what it is told, so that nothing is held up for that
			defer close(ended)
			_, _ = io.Copy(io.Discard, conn)
			conn.Close()
		}()
		out := bufio.NewWriterSize(conn, 16<<10)
		f := &frames{Framer: http2.NewFramer(out, nil)}
		f.AllowIllegalWrites = true
		f.enc = hpack.NewEncoder(&f.text)
		_, err = io.WriteString(out, http2.ClientPreface)
		if err == nil {
			err = f.WriteSettings()
		}
		for i := 0; err == nil; i++ {
			send(f, i)
			g.sent.Add(1)
			if i%64 == 0 {
				err = out.Flush() // an error of a send before is seen here too
			}
		}
		conn.Close()
		<-ended
	}
}

// framed3 is a frame of HTTP/3.
func framed3(kind uint64, payload []byte) []byte {
	return append(quicvarint.Append(quicvarint.Append(nil, kind), uint64(len(payload))), payload...)
}

// postHTTP3 is the head of a request.
var postHTTP3 = func() []byte {
	var b bytes.Buffer
	e := qpack.NewEncoder(&b)
	for _, f := range [][2]string{{":method", "POST"}, {":scheme", "https"}, {":path", "/good/flood"}, {":authority", "a.example"}} {
		_ = e.WriteField(qpack.HeaderField{Name: f[0], Value: f[1]}) // into memory
	}
	return framed3(1, b.Bytes())
}()

// streamsOf floods a connection of HTTP/3 by doing the same again and again.
func streamsOf(once func(*quic.Conn, *gate) error) func(context.Context, *gate) {
	return func(ctx context.Context, g *gate) {
		conn, err := quic.DialAddr(ctx, g.secured, g.trust, nil)
		if err != nil {
			return
		}
		g.conns.Add(1)
		defer context.AfterFunc(ctx, func() { _ = conn.CloseWithError(0, "") })()
		for err == nil {
			err = once(conn, g)
		}
		_ = conn.CloseWithError(0, "") // it has ended
	}
}

// begin sends the first datagram of a handshake from a socket of its own, and never another: what comes back would go to whoever had the address.
func begin(ctx context.Context, g *gate) {
	to, err := net.ResolveUDPAddr("udp", g.secured)
	if err != nil {
		return
	}
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		return
	}
	defer conn.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	deaf := &deaf{PacketConn: conn, g: g, after: cancel}
	tr := &quic.Transport{Conn: deaf}
	if c, err := tr.Dial(ctx, to, g.trust, nil); err == nil {
		_ = c.CloseWithError(0, "") // it cannot be: nothing was heard
	}
	_ = tr.Close()
	_ = conn.SetReadDeadline(time.Now().Add(300 * time.Millisecond)) // what is sent again comes later
	for b := make([]byte, 2048); ; {
		n, _, err := conn.ReadFrom(b)
		if err != nil {
			return
		}
		g.back.Add(int64(n))
	}
}

// deaf sends one datagram and hears nothing.
type deaf struct {
	net.PacketConn
	g     *gate
	once  sync.Once
	after func()
}

func (d *deaf) WriteTo(p []byte, to net.Addr) (n int, err error) {
	n = len(p)
	d.once.Do(func() {
		n, err = d.PacketConn.WriteTo(p, to)
		d.g.sent.Add(1)
		d.g.out.Add(int64(n))
		d.after()
	})
	return n, err
}

func (d *deaf) ReadFrom(p []byte) (int, net.Addr, error) {
	for {
		n, from, err := d.PacketConn.ReadFrom(p)
		if err != nil {
			return 0, from, err
		}
		d.g.back.Add(int64(n))
	}
}

// junk sends datagrams without sense, each third of which looks like the beginning of a connection, for a while.
func junk(ctx context.Context, g *gate) {
	conn, err := net.Dial("udp", g.secured)
	if err != nil {
		return
	}
	defer conn.Close()
	b := make([]byte, 1300)
	_, _ = rand.Read(b) // it never fails
	for i := 0; i < 5_000 && ctx.Err() == nil; i++ {
		b[i%len(b)]++
		b[0] = 0x40 | byte(i)
		if i%3 == 0 {
			copy(b, []byte{0xc0, 0, 0, 0, 1, 8})
		}
		n, _ := conn.Write(b[:1+i*7%len(b)])
		g.sent.Add(1)
		g.out.Add(int64(n))
	}
}

// BenchmarkFloods has eight clients with a processor of their own flood a node, each anew when its connection is ended, as fast as it takes that, and gives for each kind of flood what the node
// spends and how a neighbour fares: its processor time in seconds a second, and how long its threads wait for a
// processor, which is the machine's matter, how much it grows over what it had, and the median and the worst of the neighbour's waits. Run it with -benchtime 1x.
func BenchmarkFloods(b *testing.B) {
	b.Setenv("QUIC_GO_DISABLE_RECEIVE_BUFFER_WARNING", "true")
	for _, f := range append([]flood{{"none", "", nil}}, floods...) {
		b.Run(f.name, func(b *testing.B) { f.run(b) })
	}
}

func (f *flood) run(b *testing.B) {
	const lasting = 5 * time.Second
	r := start(b, 0)
	g := floodable(b, r)
	n := neighbour(b, r)
	before := base(b, r)
	spent, waited := processor(b, r), starved(b, r)
	began := time.Now()
	b.ResetTimer()
	var did flooded
	for range b.N {
		did = flooder(b, order{Name: f.name, Clear: g.clear, Secured: g.secured, Lasting: lasting})
	}
	lasted := time.Since(began).Seconds()
	spent = processor(b, r) - spent
	report := n.Lap()
	if report.Sent == 0 || len(report.Failed) > 0 {
		b.Errorf("%d of the neighbour's %d requests failed: %.300v", len(report.Failed), report.Sent, report.Failed)
	}
	_, peak, err := r.Memory()
	if err != nil {
		b.Fatal(err)
	}
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	b.ReportMetric(0, "ns/op") // how long it lasts is given
	b.ReportMetric(spent.Seconds()/lasted, "cpu-s/s")
	b.ReportMetric((starved(b, r)-waited).Seconds()/lasted, "cpu-wait-s/s")
	b.ReportMetric(float64(peak-before)/(1<<20), "MiB-more")
	b.ReportMetric(ms(report.P50), "p50-ms")
	b.ReportMetric(ms(report.Max), "worst-ms")
	if f.attack != nil {
		b.ReportMetric(float64(did.Sent)/lasting.Seconds(), f.unit+"/s")
		if did.Conns > 0 {
			b.ReportMetric(float64(did.Conns)/lasting.Seconds(), "conns/s")
		}
		if did.Sent == 0 {
			b.Error("nothing was sent")
		}
	}
	if did.Out > 0 {
		b.ReportMetric(float64(did.Back)/float64(did.Out), "bytes-back/byte")
	}
}

// order is what a process that floods shall do, flooded what it has done.
type (
	order struct {
		Name, Clear, Secured string
		Lasting              time.Duration
	}
	flooded struct{ Sent, Conns, Out, Back int64 }
)

// floodOrder is the variable that has the order, in JSON.
const floodOrder = "HOLDFAST_TEST_FLOOD"

// flooder has a process of its own flood, on one processor, so that the neighbour, who is in this one, waits for the node and not for those who flood.
func flooder(b *testing.B, o order) (did flooded) {
	b.Helper()
	text, err := json.Marshal(o)
	if err != nil {
		b.Fatal(err)
	}
	c := exec.CommandContext(b.Context(), os.Args[0])
	c.Env = append(os.Environ(), floodOrder+"="+string(text), "GOMAXPROCS=1")
	c.Stderr = os.Stderr
	out, err := c.Output()
	if err == nil {
		err = json.Unmarshal(out, &did)
	}
	if err != nil {
		b.Fatalf("the process that floods: %v: %s", err, out)
	}
	return did
}

// flooding is that process: eight clients. It gives the exit status.
func flooding(text string) int {
	const clients = 8
	var o order
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	g := &gate{clear: o.Clear, secured: o.Secured, trust: &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h3"}}}
	ctx, cancel := context.WithTimeout(context.Background(), o.Lasting)
	defer cancel()
	var all sync.WaitGroup
	for _, f := range floods {
		for range clients {
			all.Go(func() {
				for f.name == o.Name && ctx.Err() == nil {
					f.attack(ctx, g)
				}
			})
		}
	}
	<-ctx.Done()
	all.Wait()
	if err := json.NewEncoder(os.Stdout).Encode(flooded{g.sent.Load(), g.conns.Load(), g.out.Load(), g.back.Load()}); err != nil {
		return 1
	}
	return 0
}

// floodable configures a listener for HTTP/2 in clear text and one for HTTP/3.
func floodable(t testing.TB, r *Rig) *gate {
	t.Helper()
	host, _, err := net.SplitHostPort(r.Addr)
	if err != nil {
		t.Fatal(err)
	}
	ports, err := proc.Ports(1, host)
	if err != nil {
		t.Fatal(err)
	}
	ca := certtest.NewCA(t, "root")
	leaf := ca.Server("a.example")
	if _, err := r.node.Client.AddCertificate(t.Context(), client.NewCertificateRequest{Name: "site", CertificateRequest: client.CertificateRequest{
		Certificate: string(leaf.ChainPEM()), Key: string(leaf.KeyPEM())}}); err != nil {
		t.Fatal(err)
	}
	instance := good(t)
	if err := r.all.Apply(t.Context(), fmt.Sprintf(`
listeners:
  - {name: web, address: %q}
  - {name: webs, address: ":%d", protocol: https, http3: true, certificates: [site]}
clusters:
  - {name: good, affinity: {type: none}, health: {type: none}, modules: [{contextRoot: %s}], instances: [{name: i1, listeners: ["http://%s"]}]}
`, r.all.Listener(), ports[0], instance.ContextRoot, instance.Instance)); err != nil {
		t.Fatal(err)
	}
	g := &gate{clear: r.Addr, secured: net.JoinHostPort(host, fmt.Sprint(ports[0]))}
	g.trust = &tls.Config{RootCAs: ca.Pool(), ServerName: "a.example", NextProtos: []string{"h3"}}
	eventually(t, "HTTP/3 is served", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		c, err := quic.DialAddr(ctx, g.secured, g.trust, nil)
		return err == nil && c.CloseWithError(0, "") == nil
	})
	return g
}

// processor gives the processor time that the node's process has had (proc_pid_stat(5)).
func processor(t testing.TB, r *Rig) time.Duration {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", r.node.Process().Pid()))
	if err != nil {
		t.Fatal(err)
	}
	const user, system, tick = 11, 12, 10 * time.Millisecond // behind the name, which may contain anything
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	var ticks int64
	for _, i := range []int{user, system} {
		n, err := strconv.ParseInt(fields[i], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * tick
}

// starved gives how long the threads that the process has now have been ready to run and had no processor (schedstats in /proc).
func starved(t testing.TB, r *Rig) (sum time.Duration) {
	t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", r.node.Process().Pid()))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // the thread has ended
		}
		var run, wait int64
		if _, err := fmt.Sscan(string(text), &run, &wait); err != nil {
			t.Fatal(err)
		}
		sum += time.Duration(wait)
	}
	return sum
}

//go:build linux

package h1_test

import (
	"fmt"
	"net"
	"runtime"
	"runtime/debug"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/lb/h1"
	"github.com/holdfast-lb/holdfast/lb/wire"
)

// quick answers each read with the same bytes, without looking at it: the instance of measurements.
func quick(s string) func(*originConn) {
	return func(c *originConn) {
		b := make([]byte, 4096)
		answer := []byte(s)
		for {
			if _, err := c.Read(b); err != nil {
				return
			}
			if _, err := c.Write(answer); err != nil {
				return
			}
		}
	}
}

// plain is a director that does what a real one does on its fast path, and no more.
type plain struct{ origin *h1.Origin }

func (p *plain) Accept(*h1.Conn, net.Listener) bool                { return true }
func (p *plain) Interim(*h1.Trip, *h1.Edits, []wire.Field, []byte) {}
func (p *plain) Answer(*h1.Trip) h1.Verdict                        { return h1.Forward }
func (p *plain) Failed(*h1.Trip, h1.Failure, error) h1.Verdict     { return h1.Refuse }
func (p *plain) Done(*h1.Trip)                                     {}
func (p *plain) Mux(*h1.Conn) bool                                 { return false }
func (p *plain) Stream(_, _ *h1.Conn)                              {}
func (p *plain) Bridge(_ *h1.Conn, fd int)                         { syscall.Close(fd) }
func (p *plain) Detour(*h1.Conn, uint32) bool                      { return false }
func (p *plain) Away(_ *h1.Conn, fd int, _ []byte)                 { syscall.Close(fd) }
func (p *plain) Gone(*h1.Conn)                                     {}
func (p *plain) Direct(t *h1.Trip) h1.Verdict {
	t.To, t.Timeout = p.origin, time.Minute
	var text [64]byte
	t.Edit.Add("X-Forwarded-For", t.Conn.Remote.Addr().AppendTo(text[:0]))
	t.Edit.AddString("X-Forwarded-Proto", "http")
	return h1.Forward
}

// browserGet is a request as a browser makes it.
const browserGet = "GET /shop/cart?item=4711 HTTP/1.1\r\nHost: shop.example.com\r\n" +
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n" +
	"Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\nAccept-Encoding: gzip, deflate, br\r\n" +
	"Cookie: JSESSIONID=5D41402ABC4B2A76B9719D911017C592.node1; theme=dark\r\n\r\n"

func newPlain(t testing.TB, answer string) (addr string) {
	t.Helper()
	o := newOrigin(t, quick(answer))
	e, err := h1.New(h1.Options{Director: &plain{h1.NewOrigin(o.addr)}, Loops: 1})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	on, err := e.Listen(ln)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		on.Stop()
		ln.Close()
		if err := e.Close(t.Context()); err != nil && t.Context().Err() == nil {
			t.Error(err)
		}
	})
	return ln.Addr().String()
}

// exchanger gives a function that makes one request and reads its response, without allocating.
func exchanger(t testing.TB, addr string) func() {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	request := []byte(browserGet)
	answer := make([]byte, 64<<10)
	size := 0
	exchange := func() {
		if _, err := c.Write(request); err != nil {
			t.Fatal(err)
		}
		for n := 0; ; {
			k, err := c.Read(answer[n:])
			if err != nil {
				t.Fatal(err)
			}
			if n += k; size == 0 || n >= size {
				size = n
				return
			}
		}
	}
	exchange()
	return exchange
}

// BenchmarkEngine is one keep-alive connection whose requests go through the engine to an instance in the same process: ns/op is the time of a
// round trip over two sockets, cpu-ns/op what client, engine and instance use together.
func BenchmarkEngine(b *testing.B) {
	for _, size := range []int{100, 1024, 16384} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			exchange := exchanger(b, newPlain(b, fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n%s", size, make([]byte, size))))
			b.ReportAllocs()
			before := cpuTime(b)
			for b.Loop() {
				exchange()
			}
			b.ReportMetric(float64(cpuTime(b)-before)/float64(b.N), "cpu-ns/op")
		})
	}
}

func cpuTime(t testing.TB) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// TestARequestAllocatesNothing, not in the client and the instance of this test either.
func TestARequestAllocatesNothing(t *testing.T) {
	exchange := exchanger(t, newPlain(t, hello))
	for range 100 {
		exchange()
	}
	if n := testing.AllocsPerRun(1000, exchange); n != 0 {
		t.Errorf("%.2f allocations a request", n)
	}
}

// TestIdleConnectionsAreSmall: what 5,000 of them hold on the heap, after each has had a request.
func TestIdleConnectionsAreSmall(t *testing.T) {
	const n = 5000
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if limit.Cur = limit.Max; syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit) != nil || limit.Cur < 2*n+100 {
		t.Fatalf("this test needs %d descriptors, there are %d", 2*n+100, limit.Cur)
	}
	addr := newPlain(t, hello)
	request, answer := []byte(get("/")), make([]byte, 1024)
	conns := make([]net.Conn, n)
	open := func(i int) {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		conns[i] = c
		c.Write(request)
		if _, err := c.Read(answer); err != nil {
			t.Fatal(err)
		}
	}
	open(0)
	before := heap()
	for i := 1; i < n; i++ {
		open(i)
	}
	each := float64(heap()-before) / (n - 1)
	runtime.KeepAlive(conns)
	for _, c := range conns {
		c.Close()
	}
	t.Logf("%.0f bytes a connection, the client's side included", each)
	if each > 2048 {
		t.Errorf("%.0f bytes a connection, more than 2048", each)
	}
}

// heap is what is in use after a collection.
func heap() int64 {
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse + m.StackInuse)
}

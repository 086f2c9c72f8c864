package wire_test

import (
	"io"
	"net"
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/lb/wire"
)

// BenchmarkServer compares net/http alone with net/http behind the guard:
// keep-alive GETs of one client on loopback. The client allocates nothing, so
// allocations are those of the server. cpu-ns/op is the processor time of the
// whole process, client included; on a busy machine it says more than ns/op.
func BenchmarkServer(b *testing.B) {
	b.Run("bare", func(b *testing.B) { benchServer(b, func(l net.Listener) net.Listener { return l }) })
	b.Run("guard", func(b *testing.B) {
		benchServer(b, func(l net.Listener) net.Listener { return wire.NewListener(l, wire.Limits{}, nil) })
	})
}

func benchServer(b *testing.B, wrap func(net.Listener) net.Listener) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	serveOn(b, wrap(inner), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Date"] = nil // makes all responses equally long
		_, _ = io.WriteString(w, "ok")
	}))
	c := dial(b, inner.Addr().String())
	request := []byte("GET /shop/cart?item=4711 HTTP/1.1\r\nHost: shop.example.com\r\n" +
		"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n" +
		"Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\nAccept-Encoding: gzip, deflate, br\r\n" +
		"Cookie: JSESSIONID=5D41402ABC4B2A76B9719D911017C592.node1; theme=dark\r\n\r\n")
	exchange := func(answer []byte) int {
		if _, err := c.Write(request); err != nil {
			b.Fatal(err)
		}
		n, err := c.TCPConn.Read(answer)
		if err != nil {
			b.Fatal(err)
		}
		return n
	}
	answer := make([]byte, 4096)
	answer = answer[:exchange(answer)]
	b.ReportAllocs()
	before, runs := processTime(b), 0
	for b.Loop() {
		exchange(answer)
		runs++
	}
	b.ReportMetric(float64(processTime(b)-before)/float64(runs), "cpu-ns/op")
}

// processTime is what the process has used of the processors, user and system.
func processTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

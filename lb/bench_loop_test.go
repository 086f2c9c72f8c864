package lb

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// BenchmarkAssignedOnLoop is a whole assigned request on the loops with a client and an instance that allocate nothing: what is left is Holdfast's own.
func BenchmarkAssignedOnLoop(b *testing.B) { benchAssigned(b, Options{}) }

// BenchmarkTracedOnLoop is the same on a node that traces, of a request that is not recorded.
func BenchmarkTracedOnLoop(b *testing.B) {
	benchAssigned(b, Options{Tracing: &Tracing{Trust: "all", Export: func(*Span) { b.Error("a span") }}})
}

// BenchmarkLoggedOnLoop is the same with an access log.
func BenchmarkLoggedOnLoop(b *testing.B) {
	for _, format := range []string{"json", "combined"} {
		b.Run(format, func(b *testing.B) { benchAssigned(b, Options{AccessLog: io.Discard}, config.AccessLog{Format: format}) })
	}
}

func benchAssigned(b *testing.B, o Options, log ...config.AccessLog) {
	ask := assignedAsker(b, o, log...)
	b.ReportAllocs()
	for b.Loop() {
		ask()
	}
}

// assignedAsker gives what asks for the same assigned request once more, without an allocation of its own.
func assignedAsker(b testing.TB, o Options, log ...config.AccessLog) (ask func()) {
	answer := []byte("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 1024\r\n\r\n" + string(make([]byte, 1024)))
	cc := conf(inst("i1", plainInstance(b, answer)))
	for _, l := range log {
		cc.Proxy.AccessLog = l
	}
	r := newRigOn(b, newFakeGroup(cc), o)
	cookie := "Cookie: HOLDFAST=" + cookieNamed(newClient(b).get(r.url("/")), "HOLDFAST").Value + "\r\n"
	request := []byte(fmt.Sprintf("GET /shop/cart?item=7 HTTP/1.1\r\nHost: www.example.com\r\nUser-Agent: bench\r\nReferer: http://www.example.com/shop/?item=6\r\nAccept: */*\r\nTraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00\r\n%s\r\n", cookie))
	conn, err := net.Dial("tcp", r.addr())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { conn.Close() })
	reply := make([]byte, 8<<10)
	conn.Write(request)
	n := 0
	for end := -1; end < 0 || n < end+4+1024; {
		got, err := conn.Read(reply[n:])
		if n += got; err != nil {
			b.Fatal(err)
		}
		end = bytes.Index(reply[:n], []byte("\r\n\r\n"))
	}
	return func() {
		conn.Write(request)
		if _, err := io.ReadFull(conn, reply[:n]); err != nil {
			b.Fatal(err)
		}
	}
}

// plainInstance answers each request without a body by the same bytes.
func plainInstance(t testing.TB, answer []byte) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				buf := make([]byte, 16<<10)
				for n := 0; ; {
					got, err := c.Read(buf[n:])
					if err != nil {
						return
					}
					if n += got; bytes.HasSuffix(buf[:n], []byte("\r\n\r\n")) {
						n = 0
						c.Write(answer)
					}
				}
			}()
		}
	}()
	return "http://" + ln.Addr().String()
}

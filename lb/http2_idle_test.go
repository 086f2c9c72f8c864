//go:build linux

package lb

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"golang.org/x/sys/unix"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// idleConnections is how many connections share what is measured.
const idleConnections = 2000

// bareClient is a client's connection that takes no memory of this process.
type bareClient int

func dialBare(tb testing.TB, to net.Addr) bareClient {
	at := netip.MustParseAddrPort(to.String())
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		err = unix.Connect(fd, &unix.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().As4()})
	}
	if err != nil {
		tb.Fatal(err)
	}
	return bareClient(fd)
}

// ask sends what is given, and reads until that many streams have ended.
func (c bareClient) ask(send []byte, streams int) error {
	for len(send) > 0 {
		n, err := unix.Write(int(c), send)
		if err != nil {
			return err
		}
		send = send[n:]
	}
	var got []byte
	for buf := make([]byte, 16<<10); streams > 0; {
		n, err := unix.Read(int(c), buf)
		if err != nil || n == 0 {
			return fmt.Errorf("the connection ends: %w", errors.Join(err))
		}
		for got = append(got, buf[:n]...); len(got) >= 9; {
			length := int(binary.BigEndian.Uint32(append([]byte{0}, got[:3]...)))
			if len(got) < 9+length {
				break
			}
			if kind := got[3]; kind == byte(http2.FrameRSTStream) || kind == byte(http2.FrameGoAway) {
				return fmt.Errorf("frame of type %d", kind)
			}
			if kind := got[3]; kind <= byte(http2.FrameHeaders) && got[4]&1 != 0 {
				streams--
			}
			got = got[9+length:]
		}
	}
	return nil
}

// idleClient is what a client has sent before it falls silent: requests, all open at once, with a header table that is as full as it may be, or not.
func idleClient(streams int, full bool) []byte {
	var b, block bytes.Buffer
	b.WriteString(http2.ClientPreface)
	f := http2.NewFramer(&b, nil)
	f.WriteSettings()
	e := hpack.NewEncoder(&block)
	for i := range streams {
		block.Reset()
		fields := []string{":method", "GET", ":scheme", "http", ":path", "/", ":authority", "h"}
		if full && i == 0 {
			for n := range 60 {
				fields = append(fields, fmt.Sprintf("x-field-%d", n), fmt.Sprintf("value %20d", n))
			}
		}
		for k := 0; k < len(fields); k += 2 {
			e.WriteField(hpack.HeaderField{Name: fields[k], Value: fields[k+1]})
		}
		f.WriteHeaders(http2.HeadersFrameParam{StreamID: uint32(2*i + 1), BlockFragment: block.Bytes(), EndHeaders: true, EndStream: true})
	}
	return b.Bytes()
}

// inUse is the memory of this process that is not free.
func inUse() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// mostIdle is what an idle connection may take in bytes, in clear text on a loop, whatever it has done before.
const mostIdle = 10 << 10

// idleHTTP2 has n connections of HTTP/2, in clear text on a loop, fall silent, and calls judge with a measure of what each takes in bytes.
func idleHTTP2(tb testing.TB, n int, send []byte, streams int, judge func(each func() int64)) {
	a := newApp(tb, "i1", nil)
	cc := http2Conf(of(a)...)
	cc.Clusters[0].Affinity = config.Affinity{Type: "none"}
	node := newFakeGroup(cc).node()
	b := New(Options{View: node, Recorder: node, Changed: node.changed, BindAddress: "127.0.0.1", Loops: 1, Logger: slog.New(slog.DiscardHandler)}) // without a log, which would be counted
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	defer func() {
		cancel()
		<-done
	}()
	eventually(tb, "bound", func() bool { return b.Ready() == nil })
	to := b.Addr("web")
	clients := make([]bareClient, 0, 50+n)
	defer func() {
		for _, c := range clients {
			unix.Close(int(c))
		}
	}()
	open := func() {
		c := dialBare(tb, to)
		clients = append(clients, c)
		if err := c.ask(send, streams); err != nil {
			tb.Fatalf("connection %d: %v", len(clients), err)
		}
	}
	for range 50 { // what there is only once
		open()
	}
	before := inUse()
	for range n {
		open()
	}
	judge(func() int64 { return (inUse() - before) / int64(n) })
}

// TestIdleHTTP2TakesLittle: a connection that has had many requests at once, or fills its header table, gives the room back.
func TestIdleHTTP2TakesLittle(t *testing.T) {
	for _, c := range []struct {
		name    string
		streams int
		full    bool
	}{{"many requests at once", 100, false}, {"a full header table", 1, true}} {
		t.Run(c.name, func(t *testing.T) {
			idleHTTP2(t, 300, idleClient(c.streams, c.full), c.streams, func(each func() int64) {
				eventually(t, "it takes little", func() bool { return each() < mostIdle })
				t.Logf("%d bytes", each())
			})
		})
	}
}

// BenchmarkIdleHTTP2 waits for longer than a connection keeps room.
func BenchmarkIdleHTTP2(b *testing.B) {
	for _, c := range []struct {
		name    string
		streams int
		full    bool
	}{{"one request", 1, false}, {"one request, header table full", 1, true}, {"30 requests at once", 30, false}} {
		b.Run(c.name, func(b *testing.B) {
			for range b.N {
				idleHTTP2(b, idleConnections, idleClient(c.streams, c.full), c.streams, func(each func() int64) {
					<-time.After(3 * time.Second)
					b.ReportMetric(float64(each())/1024, "KiB/conn")
				})
			}
		})
	}
}

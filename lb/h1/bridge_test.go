//go:build linux

package h1_test

import (
	"bytes"
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/holdfast-lb/holdfast/lb/h1"
)

// bridged is a client of HTTP/2 whose streams are all the other engine's, which is the test too.
type bridged struct {
	t           *testing.T
	client, far *http2.Framer
	credit      map[uint32]int // what the other engine has heard that it may send again
}

// firstWindow is what a client has for all streams to begin with (RFC 9113, section 6.9.2).
const firstWindow = 65535

// newBridged opens streams with large windows, which have heads of responses, and uses the window of the connection up on the first.
func newBridged(t *testing.T, streams int) *bridged {
	r := newRig(t, answers(""), func(o *h1.Options) { o.Limits.Wire.HTTP2 = true })
	ends := make(chan net.Conn, 1)
	r.d.set(func() { r.d.bridge = func(c net.Conn) { ends <- c } })
	c := r.dial()
	b := &bridged{t, http2.NewFramer(c, c), nil, map[uint32]int{}}
	c.say(http2.ClientPreface)
	b.client.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20})
	for i := range streams {
		b.client.WriteHeaders(http2.HeadersFrameParam{StreamID: uint32(2*i + 1), EndHeaders: true, EndStream: true,
			BlockFragment: fieldsOf(":method", "GET", ":scheme", "http", ":path", "/", ":authority", "h", "te", "trailers")})
	}
	var end net.Conn
	select {
	case end = <-ends:
	case <-time.After(patience):
		t.Fatal("no bridge")
	}
	t.Cleanup(func() { end.Close() })
	end.SetDeadline(time.Now().Add(patience))
	if _, err := io.ReadFull(end, make([]byte, len(http2.ClientPreface))); err != nil {
		t.Fatal(err)
	}
	b.far = http2.NewFramer(end, end)
	for asked := 0; asked < streams; {
		if _, ok := b.read(b.far).(*http2.HeadersFrame); ok {
			asked++
		}
	}
	for i := range streams {
		b.far.WriteHeaders(http2.HeadersFrameParam{StreamID: uint32(2*i + 1), EndHeaders: true, BlockFragment: fieldsOf(":status", "200")})
	}
	for left := firstWindow; left > 0; {
		n := min(left, 16<<10)
		b.far.WriteData(1, false, make([]byte, n))
		left -= n
	}
	for left := firstWindow; left > 0; {
		if d, ok := b.next().(*http2.DataFrame); ok {
			left -= len(d.Data())
		}
	}
	b.taken()
	return b
}

func fieldsOf(fields ...string) []byte {
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	for i := 0; i < len(fields); i += 2 {
		enc.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return block.Bytes()
}

func (b *bridged) read(f *http2.Framer) http2.Frame {
	b.t.Helper()
	frame, err := f.ReadFrame()
	if err != nil {
		b.t.Fatal(err)
	}
	return frame
}

// next is the next frame that the client gets for a stream.
func (b *bridged) next() http2.Frame {
	b.t.Helper()
	for {
		if f := b.read(b.client); f.Header().StreamID != 0 {
			return f
		}
	}
}

// taken waits until the loop has what the other engine has sent.
func (b *bridged) taken() {
	b.t.Helper()
	b.far.WritePing(false, [8]byte{})
	for {
		switch f := b.read(b.far).(type) {
		case *http2.PingFrame:
			return
		case *http2.WindowUpdateFrame:
			b.credit[f.StreamID] += int(f.Increment)
		}
	}
}

// quiet wants nothing to come for a stream.
func (b *bridged) quiet() {
	b.t.Helper()
	b.client.WritePing(false, [8]byte{1})
	for {
		switch f := b.read(b.client).(type) {
		case *http2.PingFrame:
			return
		default:
			if f.Header().StreamID != 0 {
				b.t.Fatalf("%v has come, nothing should", f)
			}
		}
	}
}

// takes opens the window of the connection by steps, each when nothing is left of it, and wants the bytes on a stream in pieces that have them to the full.
func (b *bridged) takes(stream uint32, want []byte, ends bool, steps ...int) {
	b.t.Helper()
	var got []byte
	for i := 0; len(got) < len(want); i++ {
		step := min(steps[i%len(steps)], len(want)-len(got))
		b.client.WriteWindowUpdate(0, uint32(step))
		f, ok := b.next().(*http2.DataFrame)
		if !ok || f.StreamID != stream || len(f.Data()) != step || int(f.Length) != step {
			b.t.Fatalf("%d of %d bytes, then %v, want %d bytes", len(got), len(want), f, step)
		}
		got = append(got, f.Data()...)
		if f.StreamEnded() != (ends && len(got) == len(want)) {
			b.t.Fatalf("%d of %d bytes, the stream ends: %v", len(got), len(want), f.StreamEnded())
		}
	}
	if !bytes.Equal(got, want) {
		b.t.Fatal("other bytes than were sent")
	}
}

func numbered(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i * 7 >> 3)
	}
	return b
}

// TestBridgePartsData: a frame of the other engine that the client's window has no room for is parted, and what comes after it stays behind it. The other engine may send again what has left, and
// no more.
func TestBridgePartsData(t *testing.T) {
	for name, c := range map[string]struct {
		rest func(f *http2.Framer, data []byte)
		ends bool
		then []http2.FrameType
	}{
		"END_STREAM": {func(f *http2.Framer, data []byte) { f.WriteData(1, true, data) }, true, nil},
		"END_STREAM in a frame of its own": {func(f *http2.Framer, data []byte) {
			f.WriteData(1, false, data)
			f.WriteData(1, true, nil)
		}, true, nil},
		"small frames": {func(f *http2.Framer, data []byte) {
			for p := range slices.Chunk(data, 3) {
				f.WriteData(1, false, p)
			}
			f.WriteData(1, true, nil)
		}, true, nil},
		"padding": {func(f *http2.Framer, data []byte) { f.WriteDataPadded(1, true, data, make([]byte, 255)) }, true, nil},
		"trailers": {func(f *http2.Framer, data []byte) {
			f.WriteData(1, false, data)
			f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, EndStream: true, BlockFragment: fieldsOf("grpc-status", "0")})
			f.WriteContinuation(1, true, fieldsOf("grpc-message", "none"))
		}, false, []http2.FrameType{http2.FrameHeaders}},
		"a reset without an error": {func(f *http2.Framer, data []byte) {
			f.WriteData(1, false, data)
			f.WriteRSTStream(1, http2.ErrCodeNo)
		}, false, []http2.FrameType{http2.FrameRSTStream}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBridged(t, 1)
			data := numbered(10_000)
			c.rest(b.far, data)
			b.taken()
			b.quiet()
			if n := b.credit[0]; n > firstWindow+b.credit[1] { // padding goes no further
				t.Errorf("%d bytes may be sent again, of %d that have left", n, firstWindow)
			}
			b.takes(1, data, c.ends, 1, 2, 999, 1000)
			for _, kind := range c.then {
				if f := b.next(); f.Header().Type != kind {
					t.Fatalf("%v, want %v", f, kind)
				}
			}
			b.quiet()
			b.taken()
			if name == "padding" && b.credit[1] != 256 {
				t.Errorf("%d bytes of padding given back", b.credit[1])
			}
			if n := b.credit[0]; n < firstWindow+len(data)-16<<10 {
				t.Errorf("%d bytes may be sent again", n)
			}
		})
	}
}

// TestBridgeDropsWhatWaits of a response that has failed, or that the client takes back: the other engine may send as much again.
func TestBridgeDropsWhatWaits(t *testing.T) {
	for name, end := range map[string]func(b *bridged){
		"failed": func(b *bridged) {
			b.far.WriteRSTStream(1, http2.ErrCodeInternal)
			if f, ok := b.next().(*http2.RSTStreamFrame); !ok || f.ErrCode != http2.ErrCodeInternal {
				b.t.Fatal(f)
			}
		},
		"taken back": func(b *bridged) {
			b.client.WriteRSTStream(1, http2.ErrCodeCancel)
			b.quiet()
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBridged(t, 2)
			for range 3 {
				b.far.WriteData(1, false, make([]byte, 16<<10))
			}
			b.taken()
			before := b.credit[0]
			end(b)
			b.taken()
			if n := b.credit[0] - before; n < 48<<10 {
				t.Errorf("%d bytes may be sent again", n)
			}
			data := numbered(5000)
			b.far.WriteData(3, true, data)
			b.taken()
			b.takes(3, data, true, 700)
		})
	}
}

// TestBridgeWindowMadeSmaller: what waits keeps to the window of its stream as its client has it then, and is in no other stream's way.
func TestBridgeWindowMadeSmaller(t *testing.T) {
	b := newBridged(t, 2)
	first, second := numbered(3000), numbered(4000)
	b.far.WriteData(1, true, first)
	b.far.WriteData(3, true, second)
	b.taken()
	b.client.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 100})
	b.takes(3, second[:100], false, 60)
	b.client.WriteWindowUpdate(0, 10_000) // the streams have no room
	b.quiet()
	b.client.WriteWindowUpdate(1, firstWindow-100) // which is again as much as has come
	b.quiet()
	b.client.WriteWindowUpdate(1, 1)
	if f, ok := b.next().(*http2.DataFrame); !ok || !bytes.Equal(f.Data(), first[:1]) {
		t.Fatal(f)
	}
	b.client.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 8000})
	got := map[uint32][]byte{1: first[:1:1], 3: second[:100:100]}
	for ended := 0; ended < 2; {
		f, ok := b.next().(*http2.DataFrame)
		if !ok {
			t.Fatal(f)
		}
		got[f.StreamID] = append(got[f.StreamID], f.Data()...)
		if f.StreamEnded() {
			ended++
		}
	}
	if !bytes.Equal(got[1], first) || !bytes.Equal(got[3], second) {
		t.Errorf("%d and %d bytes", len(got[1]), len(got[3]))
	}
}

// TestBridgeStreamsShareTheWindow of the connection: each goes on while the others still wait.
func TestBridgeStreamsShareTheWindow(t *testing.T) {
	const streams, size, most = 4, 10_000, 400
	b := newBridged(t, streams)
	for i := range streams {
		b.far.WriteData(uint32(2*i+1), true, make([]byte, size))
	}
	b.taken()
	got := map[uint32]int{}
	for updates := 1; len(got) < streams; updates++ {
		if updates > most {
			t.Fatalf("%v after %d times", got, most)
		}
		b.client.WriteWindowUpdate(0, 10)
		f, ok := b.next().(*http2.DataFrame)
		if !ok || len(f.Data()) != 10 {
			t.Fatal(f)
		}
		got[f.StreamID] += 10
	}
}

package h2

import (
	"io"
	"testing"

	"golang.org/x/net/http2"
)

// request is a frame that opens the i-th stream.
func request(i int, ends bool) []byte {
	return frames(func(f *http2.Framer) {
		f.WriteHeaders(http2.HeadersFrameParam{StreamID: uint32(2*i + 1), BlockFragment: []byte{0x82}, EndHeaders: true, EndStream: ends})
	})
}

// TestServersResetsCount: a stream that the server has to reset is as one that the client takes back, however the server's bytes are cut into pieces; one that the server resets for reasons of its
// own is not.
func TestServersResetsCount(t *testing.T) {
	for _, c := range []struct {
		code   http2.ErrCode
		want   *Violation
		passes int // requests at least and at most; 0: all
	}{
		{http2.ErrCodeProtocol, ErrResets, 500}, {http2.ErrCodeFlowControl, ErrResets, 500}, {http2.ErrCodeStreamClosed, ErrResets, 500}, {http2.ErrCodeFrameSize, ErrResets, 500},
		{http2.ErrCodeInternal, nil, 0}, {http2.ErrCodeNo, nil, 0},
	} {
		for _, piece := range []int{1, 3, 13, 100} {
			r := newRig(t)
			go io.Copy(io.Discard, r.client)
			passed := 0
			for i := range 2000 {
				v := r.take(request(i, true))
				if v != nil {
					if v != c.want {
						t.Fatalf("%v: %v, want %v", c.code, v, c.want)
					}
					break
				}
				passed++
				for b := frames(func(f *http2.Framer) { f.WriteRSTStream(uint32(2*i+1), c.code) }); len(b) > 0; {
					n := min(piece, len(b))
					r.Write(b[:n])
					b = b[n:]
				}
			}
			if c.want == nil && passed != 2000 || c.want != nil && passed != c.passes+1 {
				t.Errorf("%v in pieces of %d: %d requests passed", c.code, piece, passed)
			}
		}
	}
}

// TestAnswersBeforeTheBody: a client whose uploads are all answered early has sent more of each when it hears so, which the server answers with resets. It is not cut off for that.
func TestAnswersBeforeTheBody(t *testing.T) {
	r := newRig(t)
	go io.Copy(io.Discard, r.client)
	for i := range 1000 {
		id := uint32(2*i + 1)
		if v := r.take(request(i, false)); v != nil {
			t.Fatalf("upload %d: %v", i, v)
		}
		r.Write(frames(func(f *http2.Framer) {
			f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: []byte{0x88}, EndHeaders: true, EndStream: true})
			f.WriteRSTStream(id, http2.ErrCodeNo)
		}))
		for range 16 { // on their way meanwhile: as many as the window of the stream has
			if v := r.take(frames(func(f *http2.Framer) { f.WriteData(id, false, make([]byte, 16<<10)) })); v != nil {
				t.Fatalf("upload %d: %v", i, v)
			}
			r.Write(frames(func(f *http2.Framer) { f.WriteRSTStream(id, http2.ErrCodeStreamClosed) }))
		}
	}
}

// TestManyAnswersBeforeTheBodies: so it is when the uploads are open at once, as many as a connection has, and what the client has sent of them comes in turn.
func TestManyAnswersBeforeTheBodies(t *testing.T) {
	const open = 250
	r := newRig(t)
	go io.Copy(io.Discard, r.client)
	for i := range open {
		if v := r.take(request(i, false)); v != nil {
			t.Fatalf("upload %d: %v", i, v)
		}
	}
	for i := range open {
		r.Write(frames(func(f *http2.Framer) {
			f.WriteHeaders(http2.HeadersFrameParam{StreamID: uint32(2*i + 1), BlockFragment: []byte{0x88}, EndHeaders: true, EndStream: true})
			f.WriteRSTStream(uint32(2*i+1), http2.ErrCodeNo)
		}))
	}
	for piece := range 16 {
		for i := range open {
			id := uint32(2*i + 1)
			if v := r.take(frames(func(f *http2.Framer) { f.WriteData(id, false, make([]byte, 1<<10)) })); v != nil {
				t.Fatalf("piece %d of upload %d: %v", piece, i, v)
			}
			r.Write(frames(func(f *http2.Framer) { f.WriteRSTStream(id, http2.ErrCodeStreamClosed) }))
		}
	}
}

// TestBrokenOffWithoutAReset: what the answer earns does not pay for it.
func TestBrokenOffWithoutAReset(t *testing.T) {
	r := newRig(t)
	go io.Copy(io.Discard, r.client)
	for i := range 2000 {
		if v := r.take(request(i, true)); v != nil {
			if v != ErrResets || i < 400 {
				t.Errorf("request %d: %v", i, v)
			}
			return
		}
		r.Broken()
		r.Write(frames(func(f *http2.Framer) {
			f.WriteHeaders(http2.HeadersFrameParam{StreamID: uint32(2*i + 1), BlockFragment: []byte{0x88}, EndHeaders: true, EndStream: true})
		}))
	}
	t.Error("it goes on")
}

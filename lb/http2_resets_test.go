package lb

import (
	"net/http"
	"testing"

	"golang.org/x/net/http2"
)

// TestHTTP2ResetsInDisguise: a client that has its streams reset, or that has resets sent to it in between, is cut off as one that resets them is.
func TestHTTP2ResetsInDisguise(t *testing.T) {
	post := func(f *framed, id uint32, fields ...string) {
		f.ask(id, false, append([]string{":method", "POST", ":scheme", "http", ":path", "/", ":authority", "h"}, fields...)...)
	}
	for name, frame := range map[string]func(f *framed, i int){
		"and DATA behind": func(f *framed, i int) {
			id := uint32(2*i + 1)
			f.ask(id, true, get("/")...)
			f.WriteRSTStream(id, http2.ErrCodeCancel)
			f.WriteData(id, true, nil)
		},
		"by WINDOW_UPDATE of nothing": func(f *framed, i int) {
			id := uint32(2*i + 1)
			f.ask(id, true, get("/")...)
			f.WriteWindowUpdate(id, 0)
		},
		"by DATA behind the end": func(f *framed, i int) {
			id := uint32(2*i + 1)
			f.ask(id, true, get("/")...)
			f.WriteData(id, true, []byte("x"))
		},
		"by padding without DATA": func(f *framed, i int) {
			if i == 0 {
				post(f, 1)
			}
			f.WriteDataPadded(1, false, nil, make([]byte, 1))
		},
		"by DATA for what is over": func(f *framed, i int) {
			if i == 0 {
				f.ask(1, true, get("/")...)
			}
			f.WriteData(1, true, nil)
		},
		"by a window that is too large": func(f *framed, i int) {
			f.ask(uint32(2*i+1), true, get("/")...)
			f.WriteWindowUpdate(uint32(2*i+1), 1<<31-1)
		},
		"by a body that is too long": func(f *framed, i int) {
			post(f, uint32(2*i+1), "content-length", "2")
			f.WriteData(uint32(2*i+1), false, []byte("x"))
			f.WriteData(uint32(2*i+1), false, []byte("xx"))
		},
		"by a body that is too short": func(f *framed, i int) {
			post(f, uint32(2*i+1), "content-length", "2")
			f.WriteData(uint32(2*i+1), true, []byte("x"))
		},
		"by trailers that are no end": func(f *framed, i int) {
			post(f, uint32(2*i+1))
			f.WriteHeaders(http2.HeadersFrameParam{StreamID: uint32(2*i + 1), BlockFragment: f.block("x-a", "b"), EndHeaders: true})
		},
		"by a request that is none": func(f *framed, i int) {
			f.ask(uint32(2*i+1), true, ":method", "GET", ":scheme", "http", ":authority", "h")
		},
		"by a field of a connection": func(f *framed, i int) {
			f.ask(uint32(2*i+1), true, get("/", "connection", "close")...)
		},
		"by a priority on itself": func(f *framed, i int) {
			id := uint32(2*i + 1)
			f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: f.block(get("/")...), EndHeaders: true, EndStream: true, Priority: http2.PriorityParam{StreamDep: id, Weight: 1}})
		},
		"by more streams than may be open": func(f *framed, i int) {
			f.ask(uint32(2*i+1), true, get("/")...)
		},
		"by more streams than it knows may be open": func(f *framed, i int) {
			if i == 0 {
				f.WriteSettingsAck()
			}
			f.ask(uint32(2*i+1), true, get("/")...)
		},
	} {
		for engine, net := range map[string]bool{"loops": false, "net": true} {
			if netOnly && !net {
				continue
			}
			if net && (name == "by padding without DATA" || name == "by a field of a connection") { // x/net gives the window back, and answers: no resets
				continue
			}
			t.Run(name+" on "+engine, func(t *testing.T) { resetsInDisguise(t, net, frame) })
		}
	}
}

// mostTakenBack is how many requests an instance may get of a client that takes all back: those that are forgiven, those that are open at once, and some for the seconds that pass.
const mostTakenBack = 500 + 250 + 250

func resetsInDisguise(t *testing.T, net bool, frame func(f *framed, i int)) {
	quit := make(chan struct{})
	a := newApp(t, "i1", func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-quit:
		}
	})
	t.Cleanup(func() { close(quit) })
	r := newRigOn(t, newFakeGroup(http2Conf(of(a)...)), Options{NetOnly: net})
	f := dialFramed(t, r)
	for i := range 5000 {
		frame(f, i)
		if i%50 == 49 && !f.heard() {
			if n := a.count(); n > mostTakenBack {
				t.Errorf("the instance has had %d requests", n)
			}
			return
		}
	}
	t.Errorf("it goes on; the instance has had %d requests", a.count())
}

// heard waits until all that was sent has been acted on; false when the connection is over.
func (f *framed) heard() bool {
	f.WritePing(false, [8]byte{1})
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			return false
		}
		switch frame := frame.(type) {
		case *http2.PingFrame:
			if frame.IsAck() {
				return true
			}
		case *http2.GoAwayFrame:
			return false
		}
	}
}

// TestHTTP2TrailersOfResetStreams: what a client sends of streams that have been reset, which it may not have heard of yet, costs none of its others, however many those are.
func TestHTTP2TrailersOfResetStreams(t *testing.T) {
	if netOnly {
		return // x/net ends the connection
	}
	a := newApp(t, "i1", func(http.ResponseWriter, *http.Request) {})
	r := newRig(t, http2Conf(of(a)...))
	f := dialFramed(t, r)
	const streams = 100
	for i := range uint32(streams) {
		f.ask(2*i+1, false, ":method", "POST", ":scheme", "http", ":path", "/", ":authority", "h", "content-length", "1")
		f.WriteData(2*i+1, false, []byte("xx"))
	}
	for n := 0; n < streams; {
		frame, err := f.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		switch frame := frame.(type) {
		case *http2.RSTStreamFrame:
			n++
		case *http2.GoAwayFrame:
			t.Fatal(frame)
		}
	}
	for i := range uint32(streams) {
		f.ask(2*i+1, true, "x", "y")
	}
	f.ask(2*streams+1, true, get("/")...)
	if got := f.outcomeOf(2*streams + 1); got != "200" {
		t.Errorf("the next request: %s", got)
	}
}

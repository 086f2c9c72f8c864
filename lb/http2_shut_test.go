package lb

import (
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// shutWindows opens streams with windows that are shut, and gives the client once all have the heads of their responses, whose bodies of size bytes wait.
func shutWindows(t *testing.T, r *rig, path string, streams int) *framed {
	f := dialFramed(t, r)
	f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
	for i := range streams {
		f.ask(uint32(2*i+1), true, get(path)...)
	}
	for heads := 0; heads < streams; {
		frame, err := f.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		switch frame := frame.(type) {
		case *http2.MetaHeadersFrame:
			if heads++; frame.PseudoValue("status") != "200" {
				t.Fatal(frame)
			}
		case *http2.DataFrame, *http2.RSTStreamFrame, *http2.GoAwayFrame:
			t.Fatal(frame)
		}
	}
	return f
}

// bodies answers with as many bytes as the path says.
func bodies(w http.ResponseWriter, r *http.Request) {
	n, _ := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/n/"))
	w.Header().Set("Content-Length", strconv.Itoa(n))
	w.Write(make([]byte, n))
}

// TestHTTP2ShutWindows: a response waits long for its client to open a window, but not for ever; and where many wait on one connection, all but some of them wait less.
func TestHTTP2ShutWindows(t *testing.T) {
	const size = 60_000
	a := newApp(t, "i1", bodies)
	path := "/n/" + strconv.Itoa(size)
	for name, path := range map[string]string{"of the loops": path, "of net/http": "/%6e" + path[2:]} {
		t.Run("one "+name, func(t *testing.T) {
			r := newRigOn(t, newFakeGroup(http2Conf(of(a)...)), Options{shut: 300 * time.Millisecond, shutMany: 100 * time.Millisecond})
			f := shutWindows(t, r, path, 1)
			if got := f.outcomeOf(1); got != "reset INTERNAL_ERROR" {
				t.Fatal(got)
			}
			r.wait("the instance is free", func() bool { return r.status("c1", "i1").InFlight == 0 })
			r.wait("it is counted", func() bool {
				return metric(t, r, "holdfast_protocol_violations_total", "reason=HTTP/2: window shut for too long") == 1
			})
			f.ask(3, true, get("/n/0")...)
			if got := f.outcomeOf(3); got != "200" {
				t.Errorf("the next one: %s", got)
			}
		})
	}
	if netOnly {
		return // it knows of no others
	}
	t.Run("many", func(t *testing.T) {
		r := newRigOn(t, newFakeGroup(http2Conf(of(a)...)), Options{shutMany: 3 * time.Second})
		const streams, few = 60, 10
		f := shutWindows(t, r, path, streams)
		reset := map[uint32]bool{}
		for len(reset) < streams-few {
			frame, err := f.ReadFrame()
			if err != nil {
				t.Fatal(err)
			}
			if frame, ok := frame.(*http2.RSTStreamFrame); ok {
				reset[frame.StreamID] = true
			}
		}
		r.wait("the instance has those left", func() bool { return r.status("c1", "i1").InFlight == few })
		f.WriteWindowUpdate(0, few*size)
		for i := range uint32(streams) {
			if !reset[2*i+1] {
				f.WriteWindowUpdate(2*i+1, size)
			}
		}
		got := 0
		for ended := 0; ended < few; {
			frame, err := f.ReadFrame()
			if err != nil {
				t.Fatal(err)
			}
			switch frame := frame.(type) {
			case *http2.DataFrame:
				if got += len(frame.Data()); frame.StreamEnded() {
					ended++
				}
			case *http2.RSTStreamFrame:
				t.Fatal(frame)
			}
		}
		if got != few*size {
			t.Errorf("%d bytes", got)
		}
	})
}

// TestHTTP2ShutConnection: a window of the connection that is shut is the same as many of streams, and one that opens by little gives none of them up.
func TestHTTP2ShutConnection(t *testing.T) {
	if netOnly {
		return // it knows of no others
	}
	const size, streams, rounds = 60_000, 20, 20
	a := newApp(t, "i1", bodies)
	r := newRigOn(t, newFakeGroup(http2Conf(of(a)...)), Options{shutMany: time.Second})
	ended := func() float64 {
		return metric(t, r, "holdfast_protocol_violations_total", "reason=HTTP/2: window shut for too long")
	}
	var f *framed
	for round := 1; ; round++ {
		before, last, worst := ended(), time.Now(), time.Duration(0)
		pace := func() {
			now := time.Now()
			worst, last = max(worst, now.Sub(last)), now
		}
		f = dialFramed(t, r)
		for i := range uint32(streams) {
			f.ask(2*i+1, true, get("/n/"+strconv.Itoa(size))...)
		}
		f.heard()
		tick := time.NewTicker(100 * time.Millisecond)
		for range 15 {
			<-tick.C
			f.WriteWindowUpdate(0, 100)
			f.heard()
			pace()
		}
		tick.Stop()
		n := ended() - before
		if pace(); n == 0 {
			break
		}
		if worst < 500*time.Millisecond || round == rounds { // else this test itself let nothing move
			t.Fatalf("%v are ended while something moves every %v", n, worst)
		}
		f.Close()
		r.wait("nothing in flight", func() bool { return r.status("c1", "i1").InFlight == 0 })
	}
	for reset := 0; reset < streams-1-10; { // the first has had the whole window to begin with
		frame, err := f.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := frame.(*http2.RSTStreamFrame); ok {
			reset++
		}
	}
}

// TestHTTP2ShutWindowsTakeLittle: of a response that waits for a window next to nothing is read.
func TestHTTP2ShutWindowsTakeLittle(t *testing.T) {
	const streams, size = 250, 32 << 10
	a := newApp(t, "i1", bodies)
	r := newRigOn(t, newFakeGroup(http2Conf(of(a)...)), Options{})
	inUse := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	most := int64(12 << 20)
	if netOnly {
		most = 24 << 20 // 32 KiB each, and the responses
	}
	before := inUse()
	f := shutWindows(t, r, "/n/"+strconv.Itoa(size), streams)
	f.heard()
	grown := inUse() - before
	if grown > most {
		t.Errorf("%d KiB", grown>>10)
	}
	t.Logf("%d KiB", grown>>10)
}

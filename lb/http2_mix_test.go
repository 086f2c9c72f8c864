package lb

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/http2"
)

// TestHTTP2StreamsAreNotMixed: with many streams, of which either side breaks some off at any moment, each has what belongs to it, of both engines.
func TestHTTP2StreamsAreNotMixed(t *testing.T) {
	a := newApp(t, "i1", func(w http.ResponseWriter, r *http.Request) {
		mark := r.Header.Get("X-Mark")
		n := len(mark) * 2000
		if strings.HasSuffix(mark, "7") {
			w.Header().Set("Content-Length", fmt.Sprint(n))
		}
		for i := 0; i < n; i += len(mark) {
			if strings.HasSuffix(mark, "3") && i > n/2 {
				panic(http.ErrAbortHandler)
			}
			if _, err := io.WriteString(w, mark); err != nil {
				return
			}
		}
		body, _ := io.ReadAll(r.Body)
		w.Write(body)
	})
	r := newRig(t, http2Conf(of(a)...))
	var all sync.WaitGroup
	for c := range 4 {
		all.Go(func() { mixed(t, r, c) })
	}
	all.Wait()
	r.wait("nothing in flight", func() bool { return r.status("c1", "i1").InFlight == 0 })
	r.wait("no connection", func() bool { return r.b.countOpen() == 0 })
}

func mixed(t *testing.T, r *rig, number int) {
	f := dialFramed(t, r)
	defer f.Close()
	random := rand.New(rand.NewPCG(uint64(number), 7))
	f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 5000})
	f.WriteWindowUpdate(0, 1<<20)
	open, next, got := map[uint32]string{}, uint32(1), map[uint32]int{}
	for next < 600 || len(open) > 0 {
		for next < 600 && len(open) < 30 {
			mark := fmt.Sprintf("<%d/%d>%d", number, next, random.IntN(10))
			path := []string{"/", "/%61"}[random.IntN(2)]
			body := random.IntN(2) == 0
			f.ask(next, !body, append([]string{":method", "POST", ":scheme", "http", ":path", path, ":authority", "h"}, "x-mark", mark)...)
			if body {
				f.WriteData(next, true, []byte(mark))
			}
			open[next] = mark
			next += 2
		}
		if random.IntN(20) == 0 {
			for id := range open {
				f.WriteRSTStream(id, http2.ErrCodeCancel)
				delete(open, id)
				break
			}
			if random.IntN(4) == 0 {
				f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: uint32(3000 + random.IntN(5000))})
			}
			continue
		}
		frame, err := f.ReadFrame()
		if err != nil {
			t.Errorf("%d: %v", number, err)
			return
		}
		id := frame.Header().StreamID
		mark, ours := open[id]
		switch frame := frame.(type) {
		case *http2.DataFrame:
			if n := len(frame.Data()); n > 0 {
				f.WriteWindowUpdate(0, uint32(n))
				if !ours {
					break
				}
				at := got[id] % len(mark)
				if want := strings.Repeat(mark, n/len(mark)+2)[at : at+n]; want != string(frame.Data()) {
					t.Errorf("%d/%d: %.40q, want %.40q", number, id, frame.Data(), want)
					return
				}
				got[id] += n
				f.WriteWindowUpdate(id, uint32(n))
			}
			if frame.StreamEnded() {
				delete(open, id)
			}
		case *http2.MetaHeadersFrame:
			if frame.StreamEnded() {
				delete(open, id)
			}
		case *http2.RSTStreamFrame:
			delete(open, id)
		case *http2.GoAwayFrame:
			t.Errorf("%d: %v", number, frame)
			return
		}
	}
}

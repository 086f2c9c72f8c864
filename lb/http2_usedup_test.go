package lb

import (
	"bytes"
	"net/http"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// TestHTTP2UsedUpWindows: a client that opens a window only once nothing of it is left, and then by less than a frame, gets whole responses of both engines, byte by byte, and no more than it has
// allowed: nobody may wait for room that such a client never gives.
func TestHTTP2UsedUpWindows(t *testing.T) {
	body := make([]byte, 100_000) // the window of a connection begins with 65,535 bytes, and no setting makes it less
	for i := range body {
		body[i] = byte(i * 7 >> 3)
	}
	a := newApp(t, "i1", func(w http.ResponseWriter, _ *http.Request) { w.Write(body) })
	r := newRig(t, http2Conf(of(a)...))
	const loop, net = "/", "/%61" // net is of the engine beside the loops
	little := func(i int) int { return 1 + i*389%1000 }
	one := func(i int) int { return max(1, i-100) } // byte by byte for some time; all of it would be long
	much := func(int) int { return 1 << 20 }
	for name, c := range map[string]struct {
		first      uint32 // window of a stream
		stream, of func(i int) int
		paths      []string
	}{
		"of the connection, a loop's stream":     {1 << 20, much, little, []string{loop}},
		"of the connection, net/http's stream":   {1 << 20, much, little, []string{net}},
		"of the connection, streams of both":     {1 << 20, much, little, []string{loop, net, loop, net}},
		"of the connection, byte by byte":        {1 << 20, much, one, []string{net, loop}},
		"of streams, a loop's":                   {1000, little, much, []string{loop}},
		"of streams, net/http's":                 {1000, little, much, []string{net}},
		"of streams, byte by byte":               {1, one, much, []string{net, loop}},
		"of both, streams of both":               {1000, little, little, []string{net, loop, net, loop}},
		"of both, that are shut to begin with":   {0, little, little, []string{net, loop}},
		"of both, byte by byte":                  {1, one, one, []string{loop, net}},
		"of both, a frame of which a byte lacks": {16 << 10, func(int) int { return 16<<10 - 1 }, func(int) int { return 16<<10 - 1 }, []string{net, net, loop}},
	} {
		t.Run(name, func(t *testing.T) {
			f := dialFramed(t, r)
			f.SetDeadline(time.Now().Add(30 * time.Second)) // many round trips
			f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: c.first})
			got, left, times := map[uint32][]byte{}, map[uint32]int{}, map[uint32]int{}
			left[0] = 65535
			reopen := func(id uint32, by func(int) int) {
				if left[id] == 0 {
					left[id] = by(times[id])
					times[id]++
					f.WriteWindowUpdate(id, uint32(left[id]))
				}
			}
			for i, path := range c.paths {
				id := uint32(1 + 2*i)
				left[id] = int(c.first)
				f.ask(id, true, get(path)...)
				reopen(id, c.stream)
			}
			for ended := 0; ended < len(c.paths); {
				frame, err := f.ReadFrame()
				if err != nil {
					for id, b := range got {
						t.Logf("stream %d, %s: %d bytes have come", id, c.paths[id/2], len(b))
					}
					t.Fatal(err, left)
				}
				switch frame := frame.(type) {
				case *http2.DataFrame:
					n, id := int(frame.Length), frame.StreamID
					got[id] = append(got[id], frame.Data()...)
					for _, of := range []uint32{0, id} {
						if left[of] -= n; left[of] < 0 {
							t.Fatalf("%d bytes more than the window of %d", -left[of], of)
						}
					}
					reopen(0, c.of)
					if !frame.StreamEnded() {
						reopen(id, c.stream)
						break
					}
					if ended++; !bytes.Equal(got[id], body) {
						t.Errorf("stream %d: %d bytes, and not those that were sent", id, len(got[id]))
					}
				case *http2.RSTStreamFrame, *http2.GoAwayFrame:
					t.Fatal(frame)
				case *http2.SettingsFrame:
					if !frame.IsAck() {
						f.WriteSettingsAck()
					}
				}
			}
			f.ask(99, true, get("/%61")...)
			f.WriteWindowUpdate(99, 1<<20)
			f.WriteWindowUpdate(0, 1<<20)
			if got := f.outcomeOf(99); got != "200" {
				t.Errorf("the next request: %s", got)
			}
		})
	}
}

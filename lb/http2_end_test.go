package lb

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// TestHTTP2LastBytesOfADrain: a connection that is to end waits until its client has taken what was sent to it.
func TestHTTP2LastBytesOfADrain(t *testing.T) {
	const size = 48 << 10
	a := newApp(t, "i1", func(w http.ResponseWriter, _ *http.Request) { io.CopyN(w, zeroReader{}, size) })
	r := newRig(t, http2Conf(of(a)...))
	f := dialFramed(t, r)
	f.Conn.(*net.TCPConn).SetReadBuffer(64 << 10)
	f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 30})
	f.WriteWindowUpdate(0, 1<<30)
	f.Framer = http2.NewFramer(f.Conn, bufio.NewReader(f.Conn))
	f.SetDeadline(time.Now().Add(time.Minute))
	var whole int // responses
	for stuck := false; !stuck; {
		id, before, begun, done := uint32(1+2*whole), a.count(), time.Now(), false
		f.ask(id, true, get("/")...)
		r.wait("it is answered, or waits for its client", func() bool {
			done = a.count() > before && r.status("c1", "i1").InFlight == 0
			stuck = !done && time.Since(begun) > time.Second // if the machine is only slow, less is tested
			return done || stuck
		})
		if stuck {
			f.WriteRSTStream(id, http2.ErrCodeCancel)
			r.wait("it is taken back", func() bool { return r.status("c1", "i1").InFlight == 0 })
		} else {
			whole++
		}
	}
	other := dialFramed(t, r)
	other.ask(1, true, get("/")...)
	r.b.DrainAddresses([]netip.Addr{netip.MustParseAddr("127.0.0.1")})
	if _, err := io.Copy(io.Discard, other.Conn); err != nil { // its end is that of both
		t.Fatal(err)
	}
	ended := 0
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			break
		}
		if data, ok := frame.(*http2.DataFrame); ok && data.StreamEnded() && int(data.StreamID) < 1+2*whole { // one taken back may come whole all the same
			ended++
		}
	}
	if ended != whole {
		t.Errorf("%d responses have come whole, of %d", ended, whole)
	}
}

// TestHTTP2TrailersThatCrossTheAnswer: what a client still says of a request that has been answered costs its other requests nothing.
func TestHTTP2TrailersThatCrossTheAnswer(t *testing.T) {
	if netOnly {
		return // x/net ends the connection
	}
	a := newApp(t, "i1", func(w http.ResponseWriter, _ *http.Request) { http.NewResponseController(w).EnableFullDuplex() })
	r := newRig(t, http2Conf(of(a)...))
	f := dialFramed(t, r)
	f.ask(1, false, ":method", "POST", ":scheme", "http", ":path", "/", ":authority", "h")
	for got := ""; got != "reset NO_ERROR"; {
		if got = f.outcomeOf(1); got != "200" && got != "reset NO_ERROR" {
			t.Fatal(got)
		}
	}
	f.WriteData(1, false, []byte("late"))
	f.ask(1, true, "x-sum", "1", "x-new-in-the-table", "2")
	f.ask(3, true, get("/", "x-new-in-the-table", "2")...)
	if got := f.outcomeOf(3); got != "200" {
		t.Fatal(got)
	}
	if got := a.header().Get("X-New-In-The-Table"); got != "2" {
		t.Error(got)
	}
}

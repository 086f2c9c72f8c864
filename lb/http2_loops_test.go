package lb

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// TestHTTP2TakesTheLoop: assigned requests of HTTP/2 are the loops', the first of a session too; what the loops do not take crosses the bridge on the same connection.
func TestHTTP2TakesTheLoop(t *testing.T) {
	a, b := newApp(t, "i1", nil), newApp(t, "i2", nil)
	r := newRig(t, http2Conf(of(a, b)...))
	c := newHTTP2Client(t)
	first := c.get(r.url("/"))
	for i := range 30 {
		path := "/some/where?with=query"
		if i%3 == 2 {
			path = "/%61" // net/http's
		}
		if got := c.get(r.url(path)); got.body != first.body || got.StatusCode != 200 || got.ProtoMajor != 2 || got.Header.Get("Date") == "" {
			t.Fatal(got.Status, got.Proto, got.body)
		}
	}
	wantEngines(t, r, 21, 10)
	if n := r.b.countOpen(); n != 1 {
		t.Errorf("%d connections", n)
	}
	r.wait("log lines", func() bool { return strings.Count(r.accessLog(), `"HTTP/2.0"`) == 31 })
}

// TestHTTP2BodiesOfAllSizes go both ways whole, with a length and without, many at once, by the loop and over the bridge.
func TestHTTP2BodiesOfAllSizes(t *testing.T) {
	a := newApp(t, "i1", func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).EnableFullDuplex()
		if r.ContentLength >= 0 {
			w.Header().Set("Content-Length", fmt.Sprint(r.ContentLength))
		}
		io.Copy(w, r.Body)
	})
	r := newRig(t, http2Conf(of(a)...))
	c := newHTTP2Client(t)
	c.get(r.url("/"))
	var all sync.WaitGroup
	for _, size := range []int{0, 1, 100, 16 << 10, 16<<10 + 1, 65535, 65536, 300_000, 3 << 20} {
		for _, path := range []string{"/", "/%61"} {
			for _, known := range []bool{true, false} {
				all.Go(func() {
					sent := make([]byte, size)
					for i := range sent {
						sent[i] = byte(i * 7 >> 3)
					}
					var body io.Reader = bytes.NewReader(sent)
					if !known {
						body = io.MultiReader(body)
					}
					resp, err := c.Post(r.url(path), "application/octet-stream", body)
					if err != nil {
						t.Errorf("%d, %v: %v", size, known, err)
						return
					}
					defer resp.Body.Close()
					got, err := io.ReadAll(resp.Body)
					if err != nil || sha256.Sum256(got) != sha256.Sum256(sent) {
						t.Errorf("%s, %d bytes, %v: %d came back, %v", path, size, known, len(got), err)
					}
				})
			}
		}
	}
	all.Wait()
	r.wait("nothing in flight", func() bool { return r.status("c1", "i1").InFlight == 0 })
}

// TestHTTP2TinyWindows: a client that opens its windows by little gets whole responses all the same, of both engines, and no more than it has allowed.
func TestHTTP2TinyWindows(t *testing.T) {
	const size = 200_000
	a := newApp(t, "i1", func(w http.ResponseWriter, r *http.Request) { io.Copy(w, io.LimitReader(zeroReader{}, size)) })
	r := newRig(t, http2Conf(of(a)...))
	f := dialFramed(t, r)
	f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1000})
	paths := []string{"/", "/%61", "/x", "/%62"}
	for i, path := range paths {
		f.ask(uint32(1+2*i), true, get(path)...)
	}
	got, ended := map[uint32]int{}, 0
	allowed, whole := map[uint32]int{}, 65535
	for ended < len(paths) {
		frame, err := f.ReadFrame()
		if err != nil {
			t.Fatal(err, got)
		}
		switch frame := frame.(type) {
		case *http2.DataFrame:
			n, id := len(frame.Data()), frame.StreamID
			if allowed[id] == 0 {
				allowed[id] = 1000
			}
			if got[id] += n; got[id] > allowed[id] {
				t.Fatalf("stream %d: %d bytes, %d allowed", id, got[id], allowed[id])
			}
			if whole -= n; whole < 0 {
				t.Fatal("more than the window of the connection")
			}
			if frame.StreamEnded() {
				ended++
			} else if got[id] == allowed[id] {
				allowed[id] += 20_000
				f.WriteWindowUpdate(id, 20_000)
			}
			if whole < 20_000 {
				whole += 30_000
				f.WriteWindowUpdate(0, 30_000)
			}
		case *http2.RSTStreamFrame, *http2.GoAwayFrame:
			t.Fatal(frame)
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				f.WriteSettingsAck()
			}
		}
	}
	for i := range paths {
		if n := got[uint32(1+2*i)]; n != size {
			t.Errorf("stream %d: %d bytes", 1+2*i, n)
		}
	}
}

// TestHTTP2WindowsOfAFewBytes: a client that has so little room, and opens the window of its stream after each DATA, is no flood.
func TestHTTP2WindowsOfAFewBytes(t *testing.T) {
	const size, window = 300_000, 100
	a := newApp(t, "i1", bodies)
	r := newRig(t, http2Conf(of(a)...))
	f := dialFramed(t, r)
	f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: window})
	f.ask(1, true, get("/n/"+strconv.Itoa(size))...)
	for got, whole := 0, 0; got < size; {
		frame, err := f.ReadFrame()
		if err != nil {
			t.Fatal(err, got)
		}
		switch frame := frame.(type) {
		case *http2.DataFrame:
			n := len(frame.Data())
			got += n
			if f.WriteWindowUpdate(1, uint32(n)); got-whole > 30_000 {
				f.WriteWindowUpdate(0, uint32(got-whole))
				whole = got
			}
		case *http2.RSTStreamFrame, *http2.GoAwayFrame:
			t.Fatal(frame, got)
		}
	}
}

// TestHTTP2GoesToAnotherInstance: what a loop has found out about a stream goes along over the bridge: the session that its request began is the one that its client hears of.
func TestHTTP2GoesToAnotherInstance(t *testing.T) {
	a := newApp(t, "i1", nil)
	b := newApp(t, "i2", func(w http.ResponseWriter, r *http.Request) {
		if len(r.Header["Holdfast-Detour"]) > 0 {
			w.WriteHeader(http.StatusTeapot)
		}
		io.WriteString(w, "i2")
	})
	c := http2Conf(of(a, b)...)
	r := newRig(t, c)
	eachHealthy(r)
	a.CloseClientConnections()
	a.Listener.Close()
	for range 6 {
		one := newHTTP2Client(t)
		req, err := http.NewRequest(http.MethodGet, r.url("/"), nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Holdfast-Detour", "1")
		resp, err := one.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != 200 {
			t.Fatal(resp.Status)
		}
		if got := one.get(r.url("/")); got.body != "i2" {
			t.Fatal(got.Status, got.body)
		}
	}
}

// TestHTTP2TakesTheLoopOverTLS with what the loop has not: TLS 1.3 alone, one handshake, both engines.
func TestHTTP2TakesTheLoopOverTLS(t *testing.T) {
	a := newApp(t, "i1", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.Header.Get("X-Forwarded-Proto")+r.URL.EscapedPath())
	})
	c := overTLS(bare(of(a)...), "site")
	c.Listeners[0].HTTP2 = true
	r, ca := secureRig(t, c)
	for version, loop := range map[uint16]int{tls.VersionTLS12: 0, tls.VersionTLS13: 20} {
		settings := clientOf(ca)
		settings.MaxVersion, settings.NextProtos = version, []string{"h2"}
		tr := &http.Transport{DisableCompression: true, TLSClientConfig: settings, ForceAttemptHTTP2: true}
		t.Cleanup(tr.CloseIdleConnections)
		client := &client{t, &http.Client{Transport: tr, Timeout: 30 * time.Second}}
		loopBefore, netBefore := byEngine(t, r)
		for i := range 30 {
			path := []string{"/a", "/b", "/%61"}[i%3]
			if got := client.get(r.secureURL(path)); got.ProtoMajor != 2 || got.body != "https"+path {
				t.Fatalf("%x: %s %s", version, got.Proto, got.body)
			}
		}
		wantEngines(t, r, loopBefore+loop, netBefore+30-loop)
	}
}

// TestHTTP2CutInTheMiddle: a client that vanishes with streams of both engines open leaves nothing.
func TestHTTP2CutInTheMiddle(t *testing.T) {
	a := newApp(t, "i1", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	r := newRig(t, http2Conf(of(a)...))
	f := dialFramed(t, r)
	for i, path := range []string{"/", "/%61", "/x", "/%62"} {
		f.ask(uint32(1+2*i), true, get(path)...)
	}
	r.wait("they are under way", func() bool { return a.count() == 4 })
	f.Close()
	r.wait("nothing in flight", func() bool { return r.status("c1", "i1").InFlight == 0 })
	r.wait("no connection", func() bool { return r.b.countOpen() == 0 })
}

// FuzzHTTP2Frames: whatever a client sends, the node goes on.
func FuzzHTTP2Frames(f *testing.F) {
	var one bytes.Buffer
	w := http2.NewFramer(&one, nil)
	w.WriteSettings()
	w.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x82, 0x86, 0x84, 0x41, 1, 'h'}, EndHeaders: true, EndStream: true})
	w.WriteWindowUpdate(1, 5)
	w.WriteRSTStream(1, http2.ErrCodeCancel)
	f.Add(one.Bytes())
	one.Reset()
	w.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1}, http2.Setting{ID: http2.SettingHeaderTableSize, Val: 0})
	w.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x83, 0x86, 0x84, 0x41, 1, 'h'}, EndHeaders: true})
	w.WriteDataPadded(1, false, []byte("abc"), make([]byte, 9))
	w.WriteData(1, true, []byte("abc"))
	w.WritePing(false, [8]byte{})
	w.WriteGoAway(0, http2.ErrCodeNo, nil)
	f.Add(one.Bytes())
	r := newRig(f, http2Conf(of(newApp(f, "i1", nil))...))
	f.Fuzz(func(t *testing.T, frames []byte) {
		conn, err := dialPlainly(r.addr())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.Write(append([]byte(http2.ClientPreface), frames...))
		if half, ok := conn.(interface{ CloseWrite() error }); ok {
			half.CloseWrite()
		}
		io.Copy(io.Discard, conn)
	})
}

package h2

//lint:file-ignore SA1019 net/http has the same code, but ends all connections of a server or none, and shows none of its errors: see docs/DEPENDENCIES.md

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
)

// TestXConnectIsOn: the package of the server was initialised with extended CONNECT, and nothing of that is left in the environment.
func TestXConnectIsOn(t *testing.T) {
	ours, theirs := net.Pipe()
	defer ours.Close()
	go new(http2.Server).ServeConn(theirs, &http2.ServeConnOpts{})
	go io.WriteString(ours, http2.ClientPreface)
	frame, err := http2.NewFramer(nil, ours).ReadFrame()
	if err != nil {
		t.Fatal(err)
	}
	if v, ok := frame.(*http2.SettingsFrame).Value(http2.SettingEnableConnectProtocol); !ok || v != 1 {
		t.Error("the server does not offer extended CONNECT")
	}
	if strings.Contains(os.Getenv("GODEBUG"), "http2xconnect") {
		t.Error("GODEBUG is left as the package of the server wants it")
	}
}

// clock is a time that the test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) read() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// frames writes frames into a buffer.
func frames(write func(*http2.Framer)) []byte {
	var b bytes.Buffer
	f := http2.NewFramer(&b, nil)
	f.AllowIllegalWrites = true
	write(f)
	return b.Bytes()
}

// rig is a Conn that reads what a test gives it.
type rig struct {
	*Conn
	clock   *clock
	client  net.Conn
	refused []*Violation
}

func newRig(t *testing.T) *rig {
	ours, theirs := net.Pipe()
	r := &rig{clock: &clock{now: time.Unix(1_000_000, 0)}, client: ours}
	t.Cleanup(func() { ours.Close(); theirs.Close() })
	r.Conn = NewConn(theirs, []byte(preface), Options{Now: r.clock.read, Refused: func(v *Violation) { r.refused = append(r.refused, v) }})
	return r
}

// judge gives bytes to the Conn as if they had been read.
func (r *rig) take(b []byte) *Violation { return r.judge(b) }

func TestFloodsAreEnded(t *testing.T) {
	for name, c := range map[string]struct {
		write func(f *http2.Framer, i int)
		want  *Violation
		free  int // how many pass at least
		most  int // how many pass at most
	}{
		"SETTINGS":               {func(f *http2.Framer, _ int) { f.WriteSettings() }, ErrControl, 1000, 1000},
		"answers to SETTINGS":    {func(f *http2.Framer, _ int) { f.WriteSettingsAck() }, ErrControl, 1000, 1000},
		"PING":                   {func(f *http2.Framer, _ int) { f.WritePing(false, [8]byte{}) }, ErrControl, 1000, 1000},
		"PRIORITY":               {func(f *http2.Framer, _ int) { f.WritePriority(3, http2.PriorityParam{}) }, ErrControl, 1000, 1000},
		"WINDOW_UPDATE":          {func(f *http2.Framer, _ int) { f.WriteWindowUpdate(0, 1) }, ErrControl, 1000, 1000},
		"empty DATA":             {func(f *http2.Framer, _ int) { f.WriteData(1, false, nil) }, ErrControl, 1000, 1000},
		"frames of unknown type": {func(f *http2.Framer, _ int) { f.WriteRawFrame(0x77, 0, 0, nil) }, ErrControl, 1000, 1000},
		"rapid reset": {func(f *http2.Framer, i int) {
			f.WriteHeaders(http2.HeadersFrameParam{StreamID: uint32(2*i + 1), BlockFragment: []byte{0x82}, EndHeaders: true, EndStream: true})
			f.WriteRSTStream(uint32(2*i+1), http2.ErrCodeCancel)
		}, ErrResets, 500, 500},
		"CONTINUATION": {func(f *http2.Framer, i int) {
			if i == 0 {
				f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x82}})
			}
			f.WriteContinuation(1, false, []byte{0x82})
		}, ErrContinuations, 8, 8},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			passed := 0
			for i := range 3000 {
				if v := r.take(frames(func(f *http2.Framer) { c.write(f, i) })); v != nil {
					if v != c.want {
						t.Fatalf("%v, want %v", v, c.want)
					}
					break
				}
				passed++
			}
			if passed < c.free || passed > c.most {
				t.Errorf("%d passed", passed)
			}
		})
	}
}

// TestUsualTrafficIsNoFlood: what the server sends explains what the client answers to it.
func TestUsualTrafficIsNoFlood(t *testing.T) {
	r := newRig(t)
	go io.Copy(io.Discard, r.client)
	r.Write(frames(func(f *http2.Framer) { f.WriteSettings() }))
	data := frames(func(f *http2.Framer) { f.WriteData(1, false, make([]byte, 4<<10)) })
	answer := frames(func(f *http2.Framer) {
		for range 2 {
			f.WriteWindowUpdate(0, 4<<10)
			f.WriteWindowUpdate(1, 4<<10)
			f.WritePing(false, [8]byte{})
		}
	})
	for i := range 5000 { // a large download
		r.Write(data)
		if v := r.take(answer); v != nil {
			t.Fatalf("piece %d: %v", i, v)
		}
	}
	ended := frames(func(f *http2.Framer) { f.WriteData(1, true, nil) })
	for i := range 5000 { // half of all requests are taken back
		request := func(f *http2.Framer) {
			f.WriteHeaders(http2.HeadersFrameParam{StreamID: uint32(4*i + 1), BlockFragment: []byte{0x82}, EndHeaders: true, EndStream: true})
			f.WriteHeaders(http2.HeadersFrameParam{StreamID: uint32(4*i + 3), BlockFragment: []byte{0x82}, EndHeaders: true, EndStream: true})
			f.WriteRSTStream(uint32(4*i+3), http2.ErrCodeCancel)
		}
		if v := r.take(frames(request)); v != nil {
			t.Fatalf("request %d: %v", i, v)
		}
		r.Write(ended)
	}
	for i := range 3000 { // gRPC's pings of an idle connection
		r.clock.move(10 * time.Second)
		if v := r.take(frames(func(f *http2.Framer) { f.WritePing(false, [8]byte{}) })); v != nil {
			t.Fatalf("ping %d: %v", i, v)
		}
	}
}

// TestBudgetGrowsWithTimeUpToItsBeginning: a connection that has been silent for a day may not flood the next minute.
func TestBudgetGrowsWithTimeUpToItsBeginning(t *testing.T) {
	c := &clock{now: time.Unix(1, 0)}
	b := newBudget(10, 2, c.read())
	use := func() (n int) {
		for b.spend(c.read) {
			n++
		}
		return n
	}
	if n := use(); n != 10 {
		t.Error(n)
	}
	c.move(3 * time.Second)
	if n := use(); n != 6 {
		t.Error(n)
	}
	c.move(24 * time.Hour)
	if n := use(); n != 10 {
		t.Error(n)
	}
	for range 4 { // less than one each time is not lost
		c.move(time.Second / 4)
		b.spend(c.read)
	}
	if c.move(time.Second); use() < 1 {
		t.Error("time is lost")
	}
}

// TestCutOffWithAWord: the client is told, after the bytes of the server and with its last stream.
func TestCutOffWithAWord(t *testing.T) {
	r := newRig(t)
	got := make(chan []http2.Frame, 1)
	go func() {
		var all []http2.Frame
		f := http2.NewFramer(nil, r.client)
		for {
			frame, err := f.ReadFrame()
			if err != nil {
				got <- all
				return
			}
			if g, ok := frame.(*http2.GoAwayFrame); ok {
				copied := *g
				frame = &copied
			}
			all = append(all, frame)
		}
	}()
	r.Write(frames(func(f *http2.Framer) { f.WriteSettings() }))
	go func() {
		r.client.Write(frames(func(f *http2.Framer) {
			f.WriteHeaders(http2.HeadersFrameParam{StreamID: 7, BlockFragment: []byte{0x82}, EndHeaders: true, EndStream: true})
			for range 2000 {
				f.WriteSettings()
			}
		}))
	}()
	_, err := io.Copy(io.Discard, r.Conn)
	if v, ok := errors.AsType[*Violation](err); !ok || v != ErrControl {
		t.Fatal(err)
	}
	if _, err := r.Read(make([]byte, 1)); err == nil {
		t.Error("it is read on")
	}
	r.Close()
	all := <-got
	if len(all) != 2 {
		t.Fatalf("%v", all)
	}
	if g, ok := all[1].(*http2.GoAwayFrame); !ok || g.ErrCode != http2.ErrCodeEnhanceYourCalm || g.LastStreamID != 7 {
		t.Errorf("%v", all[1])
	}
	if len(r.refused) != 1 || r.refused[0] != ErrControl {
		t.Errorf("%v", r.refused)
	}
}

// TestGoAwayComesBetweenFrames, however the server's bytes are split, and only after its first frame.
func TestGoAwayComesBetweenFrames(t *testing.T) {
	all := frames(func(f *http2.Framer) {
		f.WriteSettings(http2.Setting{ID: http2.SettingMaxFrameSize, Val: 1 << 14})
		f.WriteData(1, false, make([]byte, 50))
		f.WritePing(true, [8]byte{1})
	})
	for cut := range len(all) {
		r := newRig(t)
		got := make(chan []byte, 1)
		go func() {
			b, _ := io.ReadAll(r.client)
			got <- b
		}()
		r.Write(all[:cut])
		r.GoAway()
		r.Write(all[cut:])
		r.Close()
		f := http2.NewFramer(nil, bytes.NewReader(<-got))
		var kinds []http2.FrameType
		for {
			frame, err := f.ReadFrame()
			if err != nil {
				if err != io.EOF {
					t.Fatalf("cut at %d: %v after %v", cut, err, kinds)
				}
				break
			}
			kinds = append(kinds, frame.Header().Type)
		}
		if len(kinds) != 4 || kinds[0] != http2.FrameSettings || !bytes.Contains(typesOf(kinds), []byte{byte(http2.FrameGoAway)}) {
			t.Fatalf("cut at %d: %v", cut, kinds)
		}
	}
}

func typesOf(kinds []http2.FrameType) (b []byte) {
	for _, k := range kinds {
		b = append(b, byte(k))
	}
	return b
}

// TestHeaderBlockInTime: one that does not end is given up; one that does leaves no deadline behind.
func TestHeaderBlockInTime(t *testing.T) {
	const most = 30 * time.Millisecond
	for _, o := range []Options{{HeadTimeout: most}, {HeadTimeout: time.Hour, Latest: func() time.Duration { return most }}} {
		synctest.Test(t, func(t *testing.T) { testHeaderBlockInTime(t, o) })
	}
}

func testHeaderBlockInTime(t *testing.T, o Options) {
	ours, theirs := net.Pipe()
	defer ours.Close()
	c := NewConn(theirs, []byte(preface), o)
	go io.Copy(io.Discard, ours)
	c.Write(frames(func(f *http2.Framer) { f.WriteSettings() }))
	buffer := make([]byte, 1<<10)
	io.ReadFull(c, buffer[:len(preface)])
	step := func(write func(*http2.Framer), pause time.Duration) error {
		go func() {
			<-time.After(pause)
			ours.Write(frames(write))
		}()
		_, err := c.Read(buffer)
		return err
	}
	begin := func(f *http2.Framer) {
		f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x82}})
	}
	end := func(f *http2.Framer) { f.WriteContinuation(1, true, []byte{0x82}) }
	if err := errors.Join(step(begin, 0), step(end, 0), step(begin, 60*time.Millisecond), step(end, 0)); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(step(begin, 0), step(end, 100*time.Millisecond)); !errors.Is(err, ErrHeadTimeout) {
		t.Fatal(err)
	}
}

// FuzzConn: whatever comes, in whatever pieces, nothing is lost or added before the client is cut off, and the verdict does not depend on the pieces.
func FuzzConn(f *testing.F) {
	f.Add([]byte(preface), uint8(3))
	f.Add(append([]byte(preface), frames(func(f *http2.Framer) {
		f.WriteSettings()
		f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x82}})
		for range 20 {
			f.WriteContinuation(1, false, nil)
		}
	})...), uint8(1))
	f.Fuzz(func(t *testing.T, b []byte, piece uint8) {
		at := time.Unix(1, 0)
		o := Options{Now: func() time.Time { return at }}
		whole, split := NewConn(nil, nil, o), NewConn(nil, nil, o)
		want := whole.judge(b)
		var got *Violation
		var passed []byte
		for rest := b; len(rest) > 0 && got == nil; {
			n := min(int(piece)+1, len(rest))
			got = split.judge(rest[:n])
			passed = append(passed, split.ready...)
			rest = rest[n:]
		}
		if want != got || want == nil && !bytes.Equal(passed, whole.ready) {
			t.Fatalf("%v and %x in pieces, %v and %x at once", got, passed, want, whole.ready)
		}
	})
}

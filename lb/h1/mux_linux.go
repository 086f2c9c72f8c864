package h1

import (
	"encoding/binary"
	"slices"
	"time"

	"golang.org/x/net/http2/hpack"
	"golang.org/x/sys/unix"

	"github.com/holdfast-lb/holdfast/lb/h2"
	"github.com/holdfast-lb/holdfast/lb/wire"
)

// mux is HTTP/2 on a client's connection while a loop has it. Each request is a stream, which is a Conn of its own as far as trips are concerned: its head is written down as one of HTTP/1.1 and
// read by the same parser, its bodies flow through windows instead of a socket. What is for the client is gathered, and leaves once in a turn of the loop.
type mux struct {
	c        *Conn
	watch    *h2.Watch
	decoder  *hpack.Decoder
	decoding *loop // whose turn it is, for field
	block    block // the header block in work

	streams map[uint32]*Conn
	unused  []*Conn
	last    uint32   // the highest stream of the client's
	resets  []uint32 // streams that were reset last, as many as lb/h2 remembers: what the client sends of them has crossed that
	reset   uint8    // which of them is the next to be forgotten: as many as it can count

	prefaced, greeted bool   // the preface has come, the first SETTINGS have
	in                []byte // a part of a frame
	out               []byte // frames that wait for the end of the turn
	queued            bool   // it is among loop.muxes
	starved           bool   // heads of responses, or the bridge, wait for room
	hungry            line   // streams whose bodies wait for room or for the window of the connection
	opened            bool   // the client has opened a window since hungry ones had their turn

	window    int64      // bytes of DATA that the client takes
	opening   int64      // what a new stream has of them
	takes     int64      // bytes of DATA that the client may still send
	consumed  int64      // of what has come, not told of yet
	shrunk    bool       // the client has made its header table smaller: the next block says so
	confirmed bool       // it has acknowledged our settings
	cut       *connError // it has had too many streams reset

	noticed, final bool          // it has heard that it is to end; which stream was the last
	finalDue       time.Duration // when it is to hear that
	asked          time.Duration // when a PING went out that has no answer, never: none
	heard          time.Duration // when a byte came last
	flowed         time.Duration // when DATA left last
	taken          time.Duration // when the client took something last, or nothing was to be taken

	bridge *bridge // to the other engine; nil without
}

// Types of frames, flags, settings and errors (RFC 9113, sections 6 and 7).
const (
	frameData, frameHeaders, framePriority, frameReset, frameSettings, framePush, framePing, frameGoAway, frameWindow, frameContinuation = 0, 1, 2, 3, 4, 5, 6, 7, 8, 9

	flagEndStream, flagAck, flagEndHeaders, flagPadded, flagPriority = 0x1, 0x1, 0x4, 0x8, 0x20

	settingTable, settingStreams, settingWindow, settingFrame, settingList, settingConnect = 1, 3, 4, 5, 6, 8

	codeNone, codeProtocol, codeInternal, codeFlow, codeClosed, codeSize, codeRefused, codeCancel, codeCompression, codeCalm = 0, 1, 2, 3, 5, 6, 7, 8, 9, 11
)

const (
	frameHeadLen = 9
	// frameMost is the size of frames that must be taken, and the largest that are sent.
	frameMost = 16 << 10
	// muxStreams is how many requests a client may have open at once.
	muxStreams = 250
	// streamBody and muxBody are how many bytes of bodies a client may have sent that no instance has taken yet, of one request and of all.
	streamBody, muxBody = 256 << 10, 1 << 20
	// standardWindow is what both sides begin with, mostWindow what none may exceed.
	standardWindow, mostWindow = 1<<16 - 1, 1<<31 - 1
	// muxRoom is how much may wait for a client before streams give it no more, muxStuffed how much before nothing more is read from it.
	muxRoom, muxStuffed = 64 << 10, 256 << 10
	// muxNotice is the time between the word that a connection is to end and its end: what the client sends until it has heard it is served.
	muxNotice = time.Second
	// muxQuiet is after how much silence a client with open streams is asked whether it is there, muxAnswer how long the answer may take.
	muxQuiet, muxAnswer = time.Minute, 15 * time.Second
	// muxRest is how long a connection without requests keeps the room of those that it has had.
	muxRest = 2 * time.Second
	// muxStuck is how long a client may take not one byte of what is sent to it.
	muxStuck = time.Minute
	// windowShut is how long a response may wait for its client to open a window: who has paused a download may mean to go on. windowsShut is for those beyond shutFew of a connection:
	// each of them keeps a connection to an instance busy.
	windowShut, windowsShut = 5 * time.Minute, time.Minute
	shutFew                 = 10
	// shutRead is how much of an answer is read at once, beyond what the windows allow: what of it is a body has to be kept.
	shutRead    = 2 << 10
	everyStream = 1<<31 - 1
	// stringMost is how long a string of a header block may be that is unpacked at all: it is more than any head has, so that its client hears what is wrong.
	stringMost   = 128 << 10
	listOverhead = 10 * 32 // what the list of fields may have beyond the head's bytes: the overhead that HTTP/2 counts for each field
)

// beginMux has the connection speak HTTP/2 from its next byte on.
func (l *loop) beginMux(c *Conn) {
	m := &mux{c: c, watch: h2.NewWatch(time.Now), streams: map[uint32]*Conn{}, window: standardWindow, opening: standardWindow, takes: muxBody, asked: never, finalDue: never}
	m.decoder = hpack.NewDecoder(4096, m.field)
	most := m.listMost()
	m.decoder.SetMaxStringLength(stringMost)
	m.heard, m.taken, m.flowed = l.now, l.now, l.now
	if c.x != nil {
		l.recycle(c.x)
		c.x = nil
	}
	c.mux, c.phase = m, phaseMux
	m.frame(l, frameSettings, 0, 0, 6*6)
	for _, s := range [...][2]uint32{{settingFrame, frameMost}, {settingStreams, muxStreams}, {settingList, uint32(most)}, {settingTable, 4096}, {settingConnect, 1}, {settingWindow, streamBody}} {
		m.out = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint16(m.out, uint16(s[0])), s[1])
	}
	m.credit(l, 0, muxBody-standardWindow)
	if len(c.in) > c.start {
		before := c.in[c.start:]
		if used := l.takeFrames(c, before); c.phase == phaseMux {
			m.keepIn(l, before[used:])
		}
	}
	if c.phase == phaseMux {
		l.bufs.put(c.in)
		c.in, c.start = nil, 0
		l.readMux(c)
	}
}

// listMost is how many bytes a list of fields may have, as HTTP/2 counts them.
func (m *mux) listMost() int {
	head := m.c.limits.Wire.Head
	if head <= 0 {
		head = 32 << 10
	}
	return head + listOverhead
}

// muxEvent goes on with a connection about which something has changed.
func (l *loop) muxEvent(c *Conn) {
	m := c.mux
	if c.is(broken) {
		l.fail(c, FailClient, errGone)
		return
	}
	if c.blocked() {
		before := c.at
		flushed, e := l.flush(&c.sock)
		if e != 0 {
			l.fail(c, FailClient, e)
			return
		}
		if flushed || c.at > before {
			m.taken = l.now
		}
	}
	if m.feeds() {
		l.feed(m)
	}
	if b := m.bridge; b != nil && c.phase == phaseMux && b.is(canRead) {
		l.bridgeEvent(b)
	}
	if c.phase == phaseMux {
		l.readMux(c)
	}
}

// readMux takes what has come.
func (l *loop) readMux(c *Conn) {
	m := c.mux
	for moved := 0; c.phase == phaseMux && c.is(canRead) && m.waiting() < muxStuffed; {
		if moved >= turnBytes {
			l.goLater(c)
			return
		}
		b := l.frames
		if m.in != nil {
			if len(m.in) == cap(m.in) {
				larger := append(l.bufs.get(len(m.in)+1), m.in...)
				l.bufs.put(m.in)
				m.in = larger
			}
			b = m.in[len(m.in):cap(m.in)]
		}
		n, e := l.receive(&c.sock, b)
		switch {
		case e == unix.EAGAIN:
			return
		case e != 0 || n == 0:
			l.fail(c, FailClient, errGone)
			return
		}
		moved += n
		m.heard, m.asked = l.now, never
		c.since.Store(int64(l.now))
		if m.in == nil {
			b = b[:n]
			if used := l.takeFrames(c, b); c.phase == phaseMux {
				m.keepIn(l, b[used:])
			}
			continue
		}
		m.in = m.in[:len(m.in)+n]
		in := m.in
		if used := l.takeFrames(c, in); c.phase == phaseMux {
			if m.in = in[:copy(in, in[used:])]; len(m.in) == 0 {
				l.bufs.put(m.in)
				m.in = nil
			}
		}
	}
}

// keepIn keeps a part of a frame.
func (m *mux) keepIn(l *loop, b []byte) {
	if len(b) > 0 {
		m.in = append(l.bufs.get(len(b)+frameHeadLen), b...)
	}
}

// waiting is how many bytes wait for the client.
func (m *mux) waiting() int { return len(m.out) + len(m.c.out) - m.c.at }

// room is how many more may.
func (m *mux) room() int { return muxRoom - m.waiting() }

// queue has the frames in m.out sent at the end of the turn.
func (m *mux) queue(l *loop) {
	if !m.queued {
		m.queued = true
		l.muxes = append(l.muxes, m)
	}
}

// sendMuxes sends what has been gathered in this turn.
func (l *loop) sendMuxes() {
	for i := 0; i < len(l.muxes); i++ { // an end may bring more
		m := l.muxes[i]
		l.muxes[i] = nil
		m.queued = false
		if m.c.phase != phaseMux {
			continue
		}
		l.sendMux(m)
		l.settle(m.c)
	}
	l.muxes = l.muxes[:0]
}

// sendMux gives the frames to the kernel, as far as it takes them.
func (l *loop) sendMux(m *mux) {
	c := m.c
	if m.bridge != nil {
		l.sendBridge(m.bridge)
	}
	if len(m.out) == 0 {
		return
	}
	if !c.blocked() {
		m.taken = l.now
	}
	l.parts = append(l.parts[:0], m.out)
	e := l.send(&c.sock)
	l.bufs.put(m.out)
	m.out = nil
	if e != 0 {
		l.fail(c, FailClient, e)
		return
	}
	c.since.Store(int64(l.now))
	if m.feeds() || c.is(canRead) && m.waiting() < muxStuffed {
		l.goLater(c)
	}
}

// frame begins a frame whose payload follows.
func (m *mux) frame(l *loop, kind, flags byte, id uint32, length int) {
	if need := len(m.out) + frameHeadLen + length; need > cap(m.out) {
		larger := append(l.bufs.get(need), m.out...)
		l.bufs.put(m.out)
		m.out = larger
	}
	m.out = append(m.out, byte(length>>16), byte(length>>8), byte(length), kind, flags, byte(id>>24), byte(id>>16), byte(id>>8), byte(id))
	m.watch.Sent(kind, flags, length, kind == frameData && m.isCut(id, int64(length)))
	if kind == frameReset && !m.hasReset(id) {
		if len(m.resets) < 1<<8 {
			m.resets = append(m.resets, id)
		} else {
			m.resets[m.reset] = id
			m.reset++
		}
	}
	m.queue(l)
}

// isCut reports whether DATA of a length, which are to be sent, use a window up.
func (m *mux) isCut(id uint32, length int64) bool {
	if length >= m.window {
		return true
	}
	s := m.streams[id]
	return s != nil && length >= s.stream.window
}

// hasReset reports whether a stream is one of those that were reset last.
func (m *mux) hasReset(id uint32) bool { return slices.Contains(m.resets, id) }

// word sends a frame that says one number.
func (m *mux) word(l *loop, kind byte, id, n uint32) {
	m.frame(l, kind, 0, id, 4)
	m.out = binary.BigEndian.AppendUint32(m.out, n)
}

// credit lets the client send n bytes more.
func (m *mux) credit(l *loop, id uint32, n int64) {
	if n > 0 {
		m.word(l, frameWindow, id, uint32(n))
	}
}

// refund notes that n bytes of DATA are in nobody's way any more.
func (m *mux) refund(l *loop, n int) {
	if m.consumed += int64(n); m.consumed >= muxBody/4 {
		m.takes += m.consumed
		m.credit(l, 0, m.consumed)
		m.consumed = 0
	}
}

// goAwayWith tells the client which streams are served.
func (m *mux) goAwayWith(l *loop, last, code uint32) {
	m.frame(l, frameGoAway, 0, 0, 8)
	m.out = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(m.out, last), code)
}

// connError is why a connection ends: an error of its own (RFC 9113, section 5.4.1).
type connError struct {
	code uint32
	why  *wire.Error // counted
}

func broke(code uint32, reason string) *connError {
	return &connError{code, &wire.Error{Status: 400, Reason: "HTTP/2: " + reason}}
}

// breakMux ends the connection because of what its client does.
func (l *loop) breakMux(c *Conn, e *connError) {
	l.e.stats.Violation(e.why)
	l.closeMux(c, e.code, e.why)
}

// closeMux tells the client the end and ends the connection.
func (l *loop) closeMux(c *Conn, code uint32, why error) {
	m := c.mux
	l.dropStreams(m, FailClient, why)
	m.goAwayWith(l, m.last, code)
	l.sendMux(m)
	if c.phase != phaseMux {
		return
	}
	if c.blocked() {
		l.end(c)
		return
	}
	l.linger(c)
}

// dropMux gives back what HTTP/2 has of a connection that ends.
func (l *loop) dropMux(m *mux, kind Failure, why error) {
	l.dropStreams(m, kind, why)
	l.bufs.put(m.in)
	l.bufs.put(m.out)
	m.in, m.out = nil, nil
}

// dropStreams ends all streams without telling the client of each.
func (l *loop) dropStreams(m *mux, kind Failure, why error) {
	if b := m.bridge; b != nil {
		l.dropBridge(b)
	}
	for id, s := range m.streams {
		delete(m.streams, id)
		l.dropStream(s, kind, why)
	}
}

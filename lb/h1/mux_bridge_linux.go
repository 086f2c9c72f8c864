package h1

import (
	"encoding/binary"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/holdfast-lb/holdfast/lb/h2"
	"github.com/holdfast-lb/holdfast/lb/wire"
)

// bridge is the way by which streams that the loop does not take reach the other engine: a connection of HTTP/2 in this process. Header blocks are told in no table, and bodies keep to the
// client's windows, so frames pass as they are, with other numbers. Only the window of the client's connection is not the other engine's, which has one of the bridge: DATA is parted where the
// client's has no more room. It is made for the first such stream, and kept.
type bridge struct {
	sock
	m       *mux
	next    uint32 // number of the next stream
	streams map[uint32]*Conn
	in      []byte
	frames  []byte // for the other engine, until the end of the turn
	raised  bool   // the other engine has opened the window of its connection, as ours is
	owed    int64  // bytes of DATA that it may send again
	untold  int64  // bytes of DATA that it has got and not told the client to send again
}

// overBridge makes it, if there is none.
func (l *loop) overBridge(m *mux) (*bridge, error) {
	if m.bridge != nil {
		return m.bridge, nil
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	b := &bridge{m: m, next: 1, streams: map[uint32]*Conn{}}
	b.fd, b.slot = pair[0], l.take(slotBridge)
	l.slots[b.slot].bridge = b
	if err := l.register(b.fd, b.slot, socketEvents); err != nil {
		l.giveBack(b.slot)
		rawClose(pair[0])
		rawClose(pair[1])
		return nil, err
	}
	m.bridge = b
	b.frames = append(l.bufs.get(1), h2.Preface...)
	b.frame(l, frameSettings, 0, 0, 3*6)
	for _, s := range [...][2]uint32{{settingTable, 0}, {settingWindow, uint32(m.opening)}, {settingFrame, frameMost}} {
		b.frames = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint16(b.frames, uint16(s[0])), s[1])
	}
	l.e.director.Bridge(m.c, pair[1])
	return b, nil
}

// frame begins a frame for the other engine.
func (b *bridge) frame(l *loop, kind, flags byte, id uint32, length int) {
	if need := len(b.frames) + frameHeadLen + length; need > cap(b.frames) {
		larger := append(l.bufs.get(need), b.frames...)
		l.bufs.put(b.frames)
		b.frames = larger
	}
	b.frames = append(b.frames, byte(length>>16), byte(length>>8), byte(length), kind, flags, byte(id>>24), byte(id>>16), byte(id>>8), byte(id))
	b.m.queue(l)
}

func (b *bridge) word(l *loop, kind byte, id, n uint32) {
	b.frame(l, kind, 0, id, 4)
	b.frames = binary.BigEndian.AppendUint32(b.frames, n)
}

// pass hands a frame of the client over, under the other number.
func (b *bridge) pass(l *loop, kind, flags byte, id uint32, p []byte) {
	b.frame(l, kind, flags, b.m.streams[id].stream.farID, len(p))
	b.frames = append(b.frames, p...)
}

// settings tells the other engine of another first window.
func (b *bridge) settings(l *loop, opening int64) {
	b.frame(l, frameSettings, 0, 0, 6)
	b.frames = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint16(b.frames, settingWindow), uint32(opening))
}

// block sends a header block.
func (b *bridge) block(l *loop, id uint32, block []byte, end bool) {
	kind, flags := byte(frameHeaders), byte(0)
	if end {
		flags = flagEndStream
	}
	for first := true; first || len(block) > 0; first = false {
		n := min(len(block), frameMost)
		if n == len(block) {
			flags |= flagEndHeaders
		}
		b.frame(l, kind, flags, id, n)
		b.frames = append(b.frames, block[:n]...)
		block = block[n:]
		kind, flags = frameContinuation, 0
	}
}

// appendFar writes down the request of the block in work, which the parser has not read: an extended CONNECT, or a plain one.
func (l *loop) appendFar(dst []byte, m *mux) []byte {
	b := &m.block
	dst = appendHpackField(dst, ":method", b.method)
	if b.pseudo&sawProtocol != 0 {
		dst = appendHpackField(dst, ":protocol", b.protocol)
		dst = appendHpackField(appendHpackField(dst, ":scheme", m.scheme()), ":path", b.path)
	}
	authority := b.authority
	if authority == "" {
		authority = b.host
	}
	if authority != "" {
		dst = appendHpackField(dst, ":authority", authority)
	}
	dst = appendHpackLines(dst, l.fields, nil)
	if b.cookies > 0 {
		dst = appendHpackField(dst, "cookie", l.cookie)
	}
	return dst
}

func (m *mux) scheme() string {
	if m.c.tls != nil {
		return "https"
	}
	return "http"
}

// goFar gives a stream whose request the parser has read to the other engine.
func (l *loop) goFar(s *Conn) {
	h, buf := s.x.Head, s.x.Buf
	dst := appendHpackField(l.head[:0], ":method", h.Method.Of(buf))
	dst = appendHpackField(dst, ":scheme", s.stream.m.scheme())
	dst = appendHpackField(dst, ":path", h.Target.Of(buf))
	if h.Host.Len > 0 {
		dst = appendHpackField(dst, ":authority", h.Host.Of(buf))
	}
	for _, f := range h.Fields() {
		name := f.Name.Of(buf)
		if len(name) == 4 && wire.Fold(name, "host") || len(name) == 17 && wire.Fold(name, "transfer-encoding") {
			continue // ours
		}
		dst = appendHpackField(dst, name, f.Value.Of(buf))
	}
	if b := &s.stream.m.block; b.id == s.stream.id && b.trailer != "" {
		dst = appendHpackField(dst, "trailer", b.trailer)
	}
	l.sendFar(s, dst)
}

// sendFar gives a stream with this header block to the other engine, with what has come of its body.
func (l *loop) sendFar(s *Conn, block []byte) {
	l.head = block
	st := s.stream
	m := st.m
	b, err := l.overBridge(m)
	if err != nil {
		if l.e.short != nil {
			l.e.short(err)
		}
		st.said = true
		m.word(l, frameReset, st.id, codeRefused)
		l.dropStream(s, FailNone, nil)
		return
	}
	st.far, st.farID = true, b.next
	b.next += 2
	b.streams[st.farID] = s
	if l.e.director.Detour(s, st.farID) {
		block = appendHpackField(block, DetourField, strconv.FormatUint(uint64(st.farID), 10))
		l.head = block
	}
	body := st.body[st.at:]
	b.block(l, st.farID, block, st.ended && len(body) == 0)
	for len(body) > 0 {
		n := min(len(body), frameMost)
		var flags byte
		if st.ended && n == len(body) {
			flags = flagEndStream
		}
		b.untold += int64(n)
		b.frame(l, frameData, flags, st.farID, n)
		b.frames = append(b.frames, body[:n]...)
		body = body[n:]
	}
	l.bufs.put(st.body)
	l.bufs.put(s.in)
	st.body, st.at, s.in = nil, 0, nil
	l.recycle(s.x)
	s.x, s.phase = nil, phaseFar
	l.wheel.cancel(&s.timer)
}

// forgetFar ends what is left here of a stream that the other engine has had.
func (l *loop) forgetFar(s *Conn) {
	b := s.stream.m.bridge
	delete(b.streams, s.stream.farID)
	b.repay(l, len(s.out)-s.at) // what waits goes nowhere
	l.dropStream(s, FailNone, nil)
}

// bridgeEvent takes what the other engine sends.
func (l *loop) bridgeEvent(b *bridge) {
	m := b.m
	if b.blocked() {
		if _, e := l.flush(&b.sock); e != 0 {
			l.dropBridge(b)
			return
		}
	}
	for b.is(canRead) && m.waiting() < muxStuffed && m.bridge == b {
		if len(b.in) == cap(b.in) {
			larger := append(l.bufs.get(len(b.in)+1), b.in...)
			l.bufs.put(b.in)
			b.in = larger
		}
		n, e := b.read(b.in[len(b.in):cap(b.in)])
		switch {
		case e == unix.EAGAIN:
		case e != 0 || n == 0:
			l.dropBridge(b)
			return
		}
		b.in = b.in[:len(b.in)+n]
		used := l.takeFar(b)
		if m.bridge != b {
			return
		}
		b.in = b.in[:copy(b.in, b.in[used:])]
	}
	if len(b.in) == 0 {
		l.bufs.put(b.in)
		b.in = nil
	}
	if b.is(canRead) {
		m.starved = true
	}
}

// takeFar acts on the frames that are complete in b.in. A header block is taken as a whole, because nothing may come between its frames.
func (l *loop) takeFar(b *bridge) (used int) {
	for b.m.bridge == b {
		n, ok := unitLen(b.in[used:])
		if !ok {
			return used
		}
		unit := b.in[used : used+n]
		used += n
		l.takeUnit(b, unit)
	}
	return used
}

// unitLen is the length of the frame that p begins with, and of those that go on with its header block; false when it is not complete.
func unitLen(p []byte) (int, bool) {
	n := 0
	for {
		if len(p) < n+frameHeadLen {
			return 0, false
		}
		head := p[n:]
		block := head[3] == frameHeaders || head[3] == frameContinuation
		if n += frameHeadLen + int(head[0])<<16 + int(head[1])<<8 + int(head[2]); len(p) < n {
			return 0, false
		}
		if !block || head[4]&flagEndHeaders != 0 {
			return n, true
		}
	}
}

func (l *loop) takeUnit(b *bridge, unit []byte) {
	m := b.m
	kind, flags, p := unit[3], unit[4], unit[frameHeadLen:]
	id := binary.BigEndian.Uint32(unit[5:]) &^ (1 << 31)
	s := b.streams[id]
	switch kind {
	case frameSettings:
		if flags&flagAck == 0 {
			b.frame(l, frameSettings, flagAck, 0, 0)
		}
	case framePing:
		if flags&flagAck == 0 {
			b.frame(l, framePing, flagAck, 0, len(p))
			b.frames = append(b.frames, p...)
		}
	case frameWindow:
		n := int64(binary.BigEndian.Uint32(p))
		switch {
		case id != 0 && s != nil:
			s.stream.takes += n
			m.credit(l, s.stream.id, n)
		case id == 0 && !b.raised: // the client has heard of ours
			b.raised = true
		case id == 0:
			m.takes += n
			b.untold -= n
			m.credit(l, 0, n)
		}
	case frameData:
		l.dataBack(b, s, flags, p)
	case frameHeaders, frameReset:
		switch {
		case s == nil:
		case s.blocked() && (kind == frameHeaders || binary.BigEndian.Uint32(p) == codeNone):
			s.stream.tail = append(s.stream.tail, unit...)
		default: // also a reset that tells of a failure: nobody wants what waits of such a response
			l.passBack(s, unit)
		}
	}
}

// dataBack hands a piece of a body of the other engine to the client, as much of it as the windows take. A client may open them by less than a frame, and only when nothing is left of them: who
// waited for room for a whole frame would wait for ever. The rest is kept, of all streams no more than the bridge's own window.
func (l *loop) dataBack(b *bridge, s *Conn, flags byte, p []byte) {
	data, ok := unpadded(flags, p)
	if s == nil || !ok {
		b.repay(l, len(p))
		return
	}
	st := s.stream
	if padding := len(p) - len(data); padding > 0 { // it goes no further
		b.repay(l, padding)
		b.word(l, frameWindow, st.farID, uint32(padding))
	}
	st.last = flags&flagEndStream != 0
	if !s.blocked() {
		n := st.farOpen(len(data))
		if end := st.last && n == len(data); n > 0 || end {
			l.data(st, data[:n], end)
			b.repay(l, n)
		}
		data = data[n:]
	}
	if len(data) > 0 {
		l.one[0] = data
		l.keep(&s.sock, l.one[:], 0)
		l.one[0] = nil
	}
	l.farSaid(s)
}

// farOpen is how many of n bytes the client takes at the moment. It notes when the rest waits for more than the stream's own window.
func (st *stream) farOpen(n int) int {
	open := st.open()
	if open < n && st.window > int64(open) {
		st.m.hungry.add(st)
	}
	return min(n, open)
}

// flushFar has a stream of the other engine go on, of which something waits.
func (l *loop) flushFar(s *Conn) {
	st := s.stream
	if !s.blocked() {
		return
	}
	n := st.farOpen(len(s.out) - s.at)
	if n == 0 {
		return
	}
	whole := n == len(s.out)-s.at
	l.data(st, s.out[s.at:s.at+n], st.last && whole)
	st.m.bridge.repay(l, n)
	if s.at += n; !whole {
		return
	}
	l.dropOut(&s.sock)
	tail := st.tail
	st.tail = nil
	l.farSaid(s)
	for len(tail) > 0 && s.phase == phaseFar {
		n, _ := unitLen(tail)
		l.passBack(s, tail[:n])
		tail = tail[n:]
	}
}

// passBack hands the frames of a header block, or a reset, of the other engine to the client.
func (l *loop) passBack(s *Conn, unit []byte) {
	st := s.stream
	m := st.m
	switch kind, flags, p := unit[3], unit[4], unit[frameHeadLen:]; kind {
	case frameHeaders:
		block := l.head[:0]
		for rest := unit; len(rest) > 0; {
			n := int(rest[0])<<16 | int(rest[1])<<8 | int(rest[2])
			block = append(block, rest[frameHeadLen:frameHeadLen+n]...)
			rest = rest[frameHeadLen+n:]
		}
		st.said = st.said || flags&flagEndStream != 0
		l.blockOut(st, block, flags&flagEndStream != 0)
		l.farSaid(s)
	case frameReset:
		m.frame(l, frameReset, 0, st.id, len(p))
		m.out = append(m.out, p...)
		l.forgetFar(s)
	}
}

// farSaid forgets a stream of which both sides have said all.
func (l *loop) farSaid(s *Conn) {
	if s.stream.said && s.stream.ended {
		l.forgetFar(s)
	}
}

// repay lets the other engine send as much again as has left.
func (b *bridge) repay(l *loop, n int) {
	if b.owed += int64(n); b.owed >= frameMost {
		b.word(l, frameWindow, 0, uint32(b.owed))
		b.owed = 0
	}
}

// sendBridge gives the frames to the kernel.
func (l *loop) sendBridge(b *bridge) {
	if len(b.frames) == 0 {
		return
	}
	l.parts = append(l.parts[:0], b.frames)
	e := l.push(&b.sock)
	l.bufs.put(b.frames)
	b.frames = nil
	if e != 0 {
		l.dropBridge(b)
	}
}

// dropBridge closes the way to the other engine. The streams that it still has end with it.
func (l *loop) dropBridge(b *bridge) {
	m := b.m
	m.bridge = nil
	m.refund(l, int(max(b.untold, 0)))
	for id, s := range b.streams {
		delete(b.streams, id)
		if m.c.phase == phaseMux && !s.stream.said {
			m.word(l, frameReset, s.stream.id, codeInternal)
		}
		l.dropStream(s, FailNone, nil)
	}
	l.dropOut(&b.sock)
	l.bufs.put(b.in)
	l.bufs.put(b.frames)
	b.in, b.frames = nil, nil
	l.giveBack(b.slot)
	rawClose(b.fd)
}

package h1

import (
	"encoding/binary"

	"github.com/holdfast-lb/holdfast/lb/h2"
)

// What a client ends its connection with.
var (
	errPreface    = broke(codeProtocol, "invalid preface")
	errFrameSize  = broke(codeSize, "invalid size of a frame")
	errFrameOrder = broke(codeProtocol, "frame that is not allowed here")
	errStreamID   = broke(codeProtocol, "invalid stream")
	errPadding    = broke(codeProtocol, "invalid padding")
	errSetting    = broke(codeProtocol, "invalid setting")
	errWindow     = broke(codeFlow, "window too large")
	errFlow       = broke(codeFlow, "more than the window allows")
	errIncrement  = broke(codeProtocol, "window update of nothing")
	errBlock      = broke(codeCompression, "invalid header block")
	errBomb       = broke(codeCalm, "header block that unpacks to far more than is taken")
	errBlockLong  = broke(codeProtocol, "header block too large")
	errShut       = broke(codeCalm, "window shut for too long")
	errHeadSlow   = broke(codeCalm, h2.ErrHeadTimeout.Reason)
)

// takeFrames acts on the frames that are complete in b, and gives how many bytes those are. Afterwards the connection may be over.
func (l *loop) takeFrames(c *Conn, b []byte) (used int) {
	m := c.mux
	if !m.prefaced {
		n := min(len(b), len(h2.Preface))
		if string(b[:n]) != h2.Preface[:n] {
			l.breakMux(c, errPreface)
			return 0
		}
		if n < len(h2.Preface) {
			return 0
		}
		m.prefaced = true
		used = n
	}
	for c.phase == phaseMux && len(b)-used >= frameHeadLen {
		head := b[used:]
		length, kind, flags := int(head[0])<<16|int(head[1])<<8|int(head[2]), head[3], head[4]
		id := binary.BigEndian.Uint32(head[5:]) &^ (1 << 31)
		if length > frameMost {
			l.breakMux(c, errFrameSize)
			return used
		}
		if len(head) < frameHeadLen+length {
			if m.block.since == 0 && (kind == frameHeaders || kind == frameContinuation) {
				m.block.since = l.now
			}
			break
		}
		used += frameHeadLen + length
		if v := m.watch.Take(kind, flags, length, id); v != nil {
			l.breakMux(c, broke(codeCalm, v.Reason))
			return used
		}
		bad := l.takeFrame(m, kind, flags, id, head[frameHeadLen:frameHeadLen+length])
		if bad == nil {
			bad = m.cut
		}
		if bad != nil && c.phase == phaseMux {
			l.breakMux(c, bad)
			return used
		}
	}
	if m.opened && c.phase == phaseMux {
		m.opened = false
		l.feed(m) // once for all frames
	}
	return used
}

func (l *loop) takeFrame(m *mux, kind, flags byte, id uint32, p []byte) *connError {
	switch {
	case m.block.open && (kind != frameContinuation || id != m.block.id), !m.block.open && kind == frameContinuation:
		return errFrameOrder
	case !m.greeted && (kind != frameSettings || flags&flagAck != 0):
		return errFrameOrder
	}
	switch kind {
	case frameData:
		return l.takeData(m, flags, id, p)
	case frameHeaders:
		return l.takeHeaders(m, flags, id, p)
	case frameContinuation:
		return l.takeFragment(m, flags, p)
	case frameReset:
		return l.takeReset(m, id, p)
	case frameSettings:
		return l.takeSettings(m, flags, id, p)
	case frameWindow:
		return l.takeWindow(m, id, p)
	case framePing:
		return l.takePing(m, flags, id, p)
	case framePriority:
		return l.takePriority(m, id, p)
	case frameGoAway: // it begins nothing more, and may say so
		if id != 0 {
			return errStreamID
		}
		if len(p) < 8 {
			return errFrameSize
		}
	case framePush:
		return errFrameOrder
	}
	return nil
}

// takePriority: priorities are not followed, so that one of a stream on itself alone is wrong.
func (l *loop) takePriority(m *mux, id uint32, p []byte) *connError {
	switch {
	case id == 0:
		return errStreamID
	case len(p) != 5:
		if id > m.last {
			return errFrameSize
		}
		l.resetID(m, id, codeSize)
	case binary.BigEndian.Uint32(p)&^(1<<31) == id:
		l.resetID(m, id, codeProtocol)
	}
	return nil
}

func (l *loop) takePing(m *mux, flags byte, id uint32, p []byte) *connError {
	switch {
	case id != 0:
		return errStreamID
	case len(p) != 8:
		return errFrameSize
	case flags&flagAck == 0:
		m.frame(l, framePing, flagAck, 0, 8)
		m.out = append(m.out, p...)
	}
	return nil
}

func (l *loop) takeSettings(m *mux, flags byte, id uint32, p []byte) *connError {
	switch {
	case id != 0:
		return errStreamID
	case len(p)%6 != 0 || flags&flagAck != 0 && len(p) > 0:
		return errFrameSize
	case flags&flagAck != 0:
		m.confirmed = true
		return nil
	}
	m.greeted = true
	opening, table := m.opening, uint32(0)
	for ; len(p) > 0; p = p[6:] {
		name, value := binary.BigEndian.Uint16(p), binary.BigEndian.Uint32(p[2:])
		if !h2.SettingAllowed(name, value) {
			if name == settingWindow {
				return errWindow
			}
			return errSetting
		}
		switch name {
		case settingWindow:
			opening = int64(value)
		case settingTable:
			m.shrunk = m.shrunk || value < 4096 || value < table
			table = value
		}
	}
	m.frame(l, frameSettings, flagAck, 0, 0)
	if by := opening - m.opening; by != 0 {
		m.opening = opening
		for _, s := range m.streams {
			st := s.stream
			was := st.window
			if st.window += by; st.window > mostWindow {
				return errWindow
			}
			if was <= 0 && st.window > 0 && (st.shut != 0 || st.far && s.blocked()) {
				m.hungry.add(st)
			}
		}
		if m.bridge != nil {
			m.bridge.settings(l, opening)
		}
		m.opened = m.opened || by > 0
	}
	return nil
}

func (l *loop) takeWindow(m *mux, id uint32, p []byte) *connError {
	if len(p) != 4 {
		return errFrameSize
	}
	n := int64(binary.BigEndian.Uint32(p) &^ (1 << 31))
	switch {
	case id > m.last && !m.final || id != 0 && id%2 == 0:
		return errStreamID
	case id == 0 && n == 0:
		return errIncrement
	case id == 0:
		if m.window += n; m.window > mostWindow {
			return errWindow
		}
		m.opened = true
		return nil
	}
	s := m.streams[id]
	switch {
	case s == nil: // its end may have been on its way
	case n == 0:
		l.resetStream(s, codeProtocol, errGone)
	case s.stream.window+n > mostWindow:
		l.resetStream(s, codeFlow, errGone)
	default:
		if s.stream.far {
			m.bridge.pass(l, frameWindow, 0, id, p)
		}
		s.stream.window += n
		l.feedStream(s)
	}
	return nil
}

func (l *loop) takeReset(m *mux, id uint32, p []byte) *connError {
	switch {
	case id == 0 || id > m.last && !m.final || id%2 == 0:
		return errStreamID
	case len(p) != 4:
		return errFrameSize
	}
	s := m.streams[id]
	if s == nil {
		return nil
	}
	if s.stream.far {
		m.bridge.pass(l, frameReset, 0, id, p)
		l.forgetFar(s)
		return nil
	}
	s.stream.said = true // nothing more is sent on it
	l.fail(s, FailClient, errGone)
	return nil
}

// takeData takes a piece of a body.
func (l *loop) takeData(m *mux, flags byte, id uint32, p []byte) *connError {
	if id == 0 || id > m.last && !m.final || id%2 == 0 {
		return errStreamID
	}
	data, ok := unpadded(flags, p)
	if !ok {
		return errPadding
	}
	if m.takes -= int64(len(p)); m.takes < 0 {
		return errFlow
	}
	s := m.streams[id]
	if s == nil || len(data) == 0 && flags&flagPadded != 0 && flags&flagEndStream == 0 {
		if v := m.watch.Idle(); v != nil {
			return broke(codeCalm, v.Reason)
		}
	}
	if s == nil || s.stream.ended {
		m.refund(l, len(p))
		if s != nil {
			l.resetStream(s, codeClosed, errGone)
		} else if id <= m.last && !m.hasReset(id) { // else it was opened before the client heard that it would not be served
			m.word(l, frameReset, id, codeClosed)
		}
		return nil
	}
	st := s.stream
	if st.takes -= int64(len(p)); st.takes < 0 {
		m.refund(l, len(p))
		l.resetStream(s, codeFlow, errGone)
		return nil
	}
	st.got += int64(len(data))
	st.ended = flags&flagEndStream != 0
	if st.declared >= 0 && (st.got > st.declared || st.ended && st.got != st.declared) {
		m.refund(l, len(p))
		l.resetStream(s, codeProtocol, errGone)
		return nil
	}
	if st.far {
		m.bridge.untold += int64(len(p))
		m.bridge.pass(l, frameData, flags, id, p) // the other engine says when the client may send more
		if st.ended && st.said {
			l.forgetFar(s)
		}
		return nil
	}
	m.refund(l, len(p)-len(data)) // padding
	st.takes += int64(len(p) - len(data))
	if len(p) > len(data) {
		m.credit(l, id, int64(len(p)-len(data)))
	}
	l.takeBody(s, data)
	return nil
}

// unpadded takes the padding of DATA and HEADERS off.
func unpadded(flags byte, p []byte) ([]byte, bool) {
	if flags&flagPadded == 0 {
		return p, true
	}
	if len(p) == 0 || int(p[0]) >= len(p) {
		return nil, false
	}
	return p[1 : len(p)-int(p[0])], true
}

package h2

import "time"

// Preface is what a client begins with (RFC 9113, section 3.4).
const Preface = preface

// Watch judges a client's frames for an engine that reads them itself, by the bounds that a Conn has. One goroutine at a time uses it.
type Watch struct{ watch watch }

// NewWatch makes one for a connection that begins.
func NewWatch(now func() time.Time) *Watch { return &Watch{newWatch(now)} }

// Take judges a frame of the client, of which length is the payload in bytes. The engine must not act on one that is too many.
func (w *Watch) Take(kind, flags byte, length int, stream uint32) *Violation {
	return w.watch.take(frame{length: length, kind: kind, flags: flags, stream: stream})
}

// Sent notes a frame that goes to the client: it explains some of the client's own. cut says that it is DATA which end where a window of the client does.
func (w *Watch) Sent(kind, flags byte, length int, cut bool) {
	if kind == typeData {
		switch {
		case cut && flags&flagEndStream == 0:
			w.watch.sentCut(length)
		case length >= littleData:
			w.watch.control.earn(perData)
		default:
			w.watch.control.earn(perLittle)
		}
	}
	if (kind == typeData || kind == typeHeaders) && flags&flagEndStream != 0 {
		w.watch.resets.earn(1)
	}
}

// Idle counts a frame that Take could not know to be no work for anybody.
func (w *Watch) Idle() *Violation { return w.watch.idle() }

// Broken counts a stream that is reset because of what the client does, as one that it takes back.
func (w *Watch) Broken() *Violation {
	if !w.watch.resets.spend(w.watch.now) {
		return ErrResets
	}
	return nil
}

// SettingAllowed reports whether a setting may have the value (RFC 9113, section 6.5.2, and 8441, section 3).
func SettingAllowed(id uint16, value uint32) bool { return allowed(id, value) }

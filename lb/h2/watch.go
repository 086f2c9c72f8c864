package h2

import "time"

// Violation is why a client is cut off. The values are fixed and few: they are fit for a log and as a label of a metric.
type Violation struct{ Reason string }

// Error gives "http/2: reason".
func (v *Violation) Error() string { return "http/2: " + v.Reason }

// What a client is cut off for.
var (
	ErrResets        = &Violation{"too many requests taken back"}
	ErrControl       = &Violation{"too many frames that ask for nothing"}
	ErrContinuations = &Violation{"header block in too many frames"}
	ErrHeadTimeout   = &Violation{"header block not received in time"}
)

// The bounds. A browser sends some twenty control frames to begin with and one or two WINDOW_UPDATE for each few DATA frames that it gets; gRPC a PING for each
// round trip while data flows.
const (
	controlMost, controlPerSecond = 1000, 100
	// perData is what a DATA frame of some size explains, perLittle one that is smaller than littleData: a client must not be able to have its own
	// tiny windows pay for more of them.
	perData, perLittle, littleData = 10, 2, 256
	// A DATA frame that ends where a window does explains something only when a WINDOW_UPDATE has opened one: SETTINGS open those of all streams at once. While such frames are small,
	// each cutPart bytes explain one WINDOW_UPDATE: a client that has little room is served, and one that opens its window by a byte does not pay for the next one.
	cutPart = 32
	// perRequest is what a request explains: PRIORITY and WINDOW_UPDATE for its stream.
	perRequest = 10
	// Who has all of its requests answered may take back as many.
	resetsMost, resetsPerSecond = 500, 50
	// continuationsMost is many times what the largest head needs.
	continuationsMost = 8
)

// watch judges what a client sends. It belongs to the goroutine that reads.
type watch struct {
	now     func() time.Time
	control budget
	resets  budget
	opened  int // WINDOW_UPDATE that were counted, and that have let out no DATA so far
	cut     int // bytes of small DATA that were let out and have explained nothing

	last    uint32 // the highest stream of the client's
	block   bool   // a header block has begun and not ended
	further int    // frames of it after the first
}

func newWatch(now func() time.Time) watch {
	t := now()
	return watch{now: now, control: newBudget(controlMost, controlPerSecond, t), resets: newBudget(resetsMost, resetsPerSecond, t)}
}

// take judges a frame of the client.
func (w *watch) take(f frame) *Violation {
	switch f.kind {
	case typeHeaders:
		w.block, w.further = f.flags&flagEndHeaders == 0, 0
		if f.stream > w.last {
			w.last = f.stream
			w.control.earn(perRequest)
		}
	case typeContinuation:
		if w.further++; w.further > continuationsMost {
			return ErrContinuations
		}
		w.block = w.block && f.flags&flagEndHeaders == 0
	case typeReset:
		if !w.resets.spend(w.now) {
			return ErrResets
		}
	case typeData:
		switch {
		case f.flags&(flagPadded|flagEndStream) != 0: // one END_STREAM for each stream; of padding nothing is known
		case f.length > 0:
			w.control.earn(1)
		default:
			return w.idle()
		}
	case typeWindow:
		w.opened = min(w.opened+1, controlMost)
		return w.idle()
	default:
		return w.idle()
	}
	return nil
}

// sentCut notes a DATA frame that ends where a window of the client does.
func (w *watch) sentCut(length int) {
	if length >= littleData && w.opened > 0 {
		w.opened--
		w.control.earn(perData)
		return
	}
	w.cut = min(w.cut+length, littleData)
	for w.cut >= cutPart && w.opened > 0 {
		w.cut -= cutPart
		w.opened--
		w.control.earn(1)
	}
}

// idle counts a frame that is no work for anybody.
func (w *watch) idle() *Violation {
	if !w.control.spend(w.now) {
		return ErrControl
	}
	return nil
}

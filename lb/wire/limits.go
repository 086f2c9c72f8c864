package wire

import "time"

// Limits bounds what one connection may ask for. A zero field means its
// default; a negative duration switches that bound off.
type Limits struct {
	Head   int // bytes of a request head, empty line before it included: 32 KiB, at most 65535; beyond it 431
	Target int // bytes of a request target: 8 KiB; beyond it 414
	Lines  int // header field lines: 100, at most 128; beyond it 431

	HeadTimeout time.Duration // from the first byte of a head to its last: 10 s; then 408
	// From the end of a response to the first byte of the next request, and from
	// the start of the connection to the first byte: off, where net/http's
	// IdleTimeout holds alone, and HeadTimeout. Then a silent close.
	Idle time.Duration
	// From the start of the connection to the first byte, where that is not to be
	// as long as Idle.
	First time.Duration

	// A connection that begins with the preface of HTTP/2 is given up for who speaks that, see Conn.Preface; else it is refused with 505.
	HTTP2 bool

	Linger      time.Duration // how long a refused client may go on sending so that it can read the answer: 1 s
	LingerBytes int           // how many bytes of it are read and dropped: 256 KiB
}

const (
	maxHead = 1<<16 - 1 // Span keeps offsets in 16 bits
	// MaxOptions is how many options Connection may have in one head, in all of its lines: there are three that everybody knows, and each other one names a field.
	MaxOptions = 64
	maxLines   = 128 // fields of a Head
	maxMethod  = 32  // longest registered method has 17 bytes (UPDATEREDIRECTREF)
)

func (l Limits) withDefaults() Limits {
	l.Head = bounded(l.Head, 32<<10, maxHead)
	l.Target = bounded(l.Target, 8<<10, maxHead)
	l.Lines = bounded(l.Lines, 100, maxLines)
	l.LingerBytes = bounded(l.LingerBytes, 256<<10, 1<<30)
	if l.HeadTimeout == 0 {
		l.HeadTimeout = 10 * time.Second
	}
	if l.Linger == 0 {
		l.Linger = time.Second
	}
	return l
}

func bounded(n, standard, most int) int {
	if n <= 0 {
		return standard
	}
	return min(n, most)
}

// Stats is told what the guard refused. Calls come from the goroutines of the
// connections, also at once, and must not block.
type Stats interface {
	// Violation counts one refused request. The set of values is small and fixed.
	Violation(*Error)
}

type noStats struct{}

func (noStats) Violation(*Error) {}

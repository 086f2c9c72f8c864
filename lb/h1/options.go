package h1

import (
	"log/slog"
	"time"

	"github.com/holdfast-lb/holdfast/lb/wire"
)

// Options are what New needs. A zero field means its default.
type Options struct {
	Director Director // required
	Loops    int      // event loops; one for each processor that the process may use, at most 8; see MakeRoom
	Limits   Limits
	Stats    wire.Stats   // is told of refused requests; may be nil. Calls come from the loops
	Log      *slog.Logger // default: none
	// Files gives the descriptor from which on no more connections are accepted until others have ended; nil: no bound. Short is told why none are accepted for a moment: EMFILE for
	// that as well; it may be nil. Both are called from the loops and must not block.
	Files func() int
	Short func(error)
	// Shut is how long a client of HTTP/2 may keep the window of a response shut that waits for it: 5 min. ShutMany is the same where more than a few do so on its connection: 1 min.
	Shut, ShutMany time.Duration
	// Latest gives the limits that a connection is to have now; it is asked where a head begins. nil: those that it has. It may be nil itself.
	Latest func(*Conn) *Limits
	Own    []string // fields in lower case that only the director adds: interim responses and trailers lose them
}

// Limits bounds what a connection may do. A zero field means its default, a negative duration switches that bound off.
type Limits struct {
	Wire wire.Limits // of request heads, with HeadTimeout, Idle and Linger

	Connect     time.Duration // for a connection to an instance: 5 s
	Write       time.Duration // in which a client must take something of what it is sent, and so an instance where Trip.Timeout says nothing: 30 s
	Body        time.Duration // in which a client must send something of its body: 60 s
	AnswerBody  time.Duration // in which an instance must send something of its response after the head: off
	OriginIdle  time.Duration // how long a connection to an instance is kept without use: 15 s
	OriginsKept int           // how many idle connections to one origin a loop keeps: 256
	Interim     int           // 1xx responses to one request: 100
	AnswerHead  int           // bytes of a response head: 64 KiB - 1, which is also the most
}

// Complete gives the limits with every default filled in.
func (l Limits) Complete() *Limits {
	set := func(d *time.Duration, standard time.Duration) {
		if *d == 0 {
			*d = standard
		}
	}
	set(&l.Connect, 5*time.Second)
	set(&l.Write, 30*time.Second)
	set(&l.Body, time.Minute)
	set(&l.OriginIdle, 15*time.Second)
	set(&l.Wire.HeadTimeout, 10*time.Second)
	set(&l.Wire.Idle, 75*time.Second)
	set(&l.Wire.Linger, time.Second)
	if l.Wire.LingerBytes <= 0 {
		l.Wire.LingerBytes = 256 << 10
	}
	if l.OriginsKept <= 0 {
		l.OriginsKept = 256
	}
	if l.Interim <= 0 {
		l.Interim = 100
	}
	if l.AnswerHead <= 0 || l.AnswerHead > 1<<16-1 {
		l.AnswerHead = 1<<16 - 1
	}
	return &l
}

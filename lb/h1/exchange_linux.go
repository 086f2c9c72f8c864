package h1

import (
	"time"

	"github.com/holdfast-lb/holdfast/lb/wire"
)

// exchange is what a request needs while it is under way, or its head while that comes in. A loop lends it to a connection.
type exchange struct {
	Trip
	limits *Limits // that the parsers have
	parser *wire.Parser
	answer wire.AnswerParser

	up       *upstream
	stale    *Origin // one of its kept connections broke without an answer: the next attempt there gets a fresh one
	hop      lines   // of the request's head
	used     int     // bytes of the connection's buffer that belong to the request
	early    []byte
	interim  int // 1xx responses so far
	request  flow
	response flow

	waiting  waiting       // for Conn.Resume
	counted  bool          // Done has to follow
	replied  bool          // the head of the final response is on its way
	last     bool          // the connection ends after this response
	waits    bool          // the head in work needs more bytes than are there
	cut      bool          // the instance takes no more of the request
	hung     bool          // the instance has been told that the client has ended its stream
	progress time.Duration // when something moved last
}

// waiting is what the director is asked again after Conn.Resume.
type waiting uint8

const (
	waitsForNothing waiting = iota
	waitsInDirect
	waitsInAnswer
)

// flow is a body on its way.
type flow struct {
	framing wire.Framing // how it comes
	chunk   bool         // goes on in the chunked coding
	done    bool         // all of it has been read and sent, or waits to be taken
	left    int64        // of FramingLength
	moved   int64        // bytes of content so far
	chunks  wire.Dechunker
	surplus bool  // more came than the body
	pipe    *pipe // holds some of it
}

func (f *flow) begin(framing wire.Framing, length int64, chunk bool) {
	f.framing, f.left, f.chunk, f.moved, f.surplus = framing, length, chunk, 0, false
	f.done = framing == wire.FramingNone
	f.chunks.Reset()
}

// ready makes the exchange fit for another request of c.
func (x *exchange) ready(c *Conn) {
	if x.limits != c.limits {
		x.limits = c.limits
		x.parser.Limit(c.limits.Wire)
		x.answer.Limit(c.limits.AnswerHead)
	}
	x.Trip.reset(c)
	x.parser.Reset()
	x.up, x.stale, x.hop, x.used, x.interim = nil, nil, lines{}, 0, 0
	x.waiting = waitsForNothing
	x.counted, x.replied, x.last, x.cut, x.hung, x.waits = false, false, false, false, false, false
}

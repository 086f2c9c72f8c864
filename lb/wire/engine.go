package wire

// What an engine needs that has its connections itself, without a Conn.

import "time"

// Refusal gives the whole response that a client gets for a violation: it says that the connection ends. bodiless leaves out its content, as for HEAD.
func Refusal(e *Error, bodiless bool, now time.Time) []byte { return response(e, bodiless, now) }

// IsHead reports whether the request is HEAD. It holds from when the method was complete.
func (p *Parser) IsHead() bool { return p.isHead }

// Violations that only the owner of a connection can find.
var (
	HeadTimeout = errTimeout // the head did not come in time
	HeadCut     = errCut     // the stream ended within it
	BodyTimeout = refuse(408, "request body not received in time")
	BodyCut     = refuse(400, "incomplete request body")
)

// Limit gives the parser other limits, from the next Reset on.
func (p *Parser) Limit(l Limits) {
	l = l.withDefaults()
	p.head, p.target, p.lines = l.Head, l.Target, l.Lines
}

package lb

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"strings"
)

// traceContext is the place of a request in a trace (W3C Trace Context). The zero value is that of a node that does not trace.
type traceContext struct {
	trace      [16]byte
	parent, id [8]byte // parent is zero in a trace that begins here; id is the span of this node
	flags      byte
	on         bool // instances are told
	goesOn     bool // the trace came with the request, and so its tracestate stays
}

const (
	flagSampled = 1
	flagRandom  = 2 // of level 2: the trace id is random
	// traceparentLen is that of version 00.
	traceparentLen = 55
)

func (c *traceContext) sampled() bool { return c.flags&flagSampled != 0 }

// parseTraceparent reads the lines of traceparent. There must be exactly one, in lower case, with ids that are not all zeros; a later version may have more behind what this
// one has (section 3.2.2 and 4.3).
func parseTraceparent(lines []string) (c traceContext, ok bool) {
	if len(lines) != 1 || len(lines[0]) < traceparentLen {
		return c, false
	}
	s := lines[0]
	var version, flags [1]byte
	if s[2] != '-' || s[35] != '-' || s[52] != '-' || !lowerHex(version[:], s[:2]) || version[0] == 0xff ||
		!lowerHex(c.trace[:], s[3:35]) || !lowerHex(c.parent[:], s[36:52]) || !lowerHex(flags[:], s[53:55]) || c.trace == [16]byte{} || c.parent == [8]byte{} {
		return traceContext{}, false
	}
	if len(s) > traceparentLen && (version[0] == 0 || s[traceparentLen] != '-') {
		return traceContext{}, false
	}
	c.flags = flags[0] & (flagSampled | flagRandom) // of others nobody knows what they mean
	return c, true
}

// lowerHex decodes text of twice the length of to.
func lowerHex(to []byte, text string) bool {
	for i := range to {
		high, low := strings.IndexByte(hexDigits, text[2*i]), strings.IndexByte(hexDigits, text[2*i+1])
		if high < 0 || low < 0 {
			return false
		}
		to[i] = byte(high<<4 | low)
	}
	return true
}

// appendTo writes the value of traceparent for the instance.
func (c *traceContext) appendTo(b []byte) []byte {
	b = append(b, "00-"...)
	b = append(hex.AppendEncode(b, c.trace[:]), '-')
	b = append(hex.AppendEncode(b, c.id[:]), '-')
	return append(b, '0', hexDigits[c.flags])
}

// traceID is that of logs, "" without one.
func (c *traceContext) traceID() string {
	if !c.on {
		return ""
	}
	return hex.EncodeToString(c.trace[:])
}

// Bounds of a tracestate that is passed on (section 3.3.1.1: at least 512 characters must be, and 32 members are all that there may be).
const (
	maxTracestate        = 2 << 10
	maxTracestateMembers = 32
)

// fitsTracestate reports whether a tracestate is passed on. One that is too long goes away as a whole: who cuts must know what the members mean.
func fitsTracestate(lines []string) bool {
	length, members := 0, 0
	for _, line := range lines {
		length += len(line) + 1
		members += strings.Count(line, ",") + 1
		for i := range len(line) {
			if line[i] != '\t' && (line[i] < ' ' || line[i] > '~') {
				return false
			}
		}
	}
	return length <= maxTracestate && members <= maxTracestateMembers
}

// tracing is what a node that traces keeps to. It is immutable.
type tracing struct {
	bound  uint64 // a new trace is sampled when the low 63 bits of its id are below
	trust  string // whose traces go on here: proxies, all, none
	export func(*Span)
}

func newTracing(o *Tracing) *tracing {
	if o == nil {
		return nil
	}
	t := &tracing{trust: o.Trust, export: o.Export}
	switch {
	case o.Sample >= 1:
		t.bound = 1 << 63
	case o.Sample > 0:
		t.bound = uint64(o.Sample * (1 << 63))
	}
	return t
}

// begin gives a request its place: in the trace that it comes with, if that is believed, or in a new one. A trace that goes on is sampled when whoever began it has said so.
func (t *tracing) begin(traceparent []string, trusted bool) traceContext {
	var c traceContext
	ok := false
	if t.trust == "all" || t.trust == "proxies" && trusted {
		c, ok = parseTraceparent(traceparent)
	}
	if c.goesOn = ok; !ok {
		c.flags = flagRandom
		for c.trace == [16]byte{} {
			binary.BigEndian.PutUint64(c.trace[:8], rand.Uint64())
			binary.BigEndian.PutUint64(c.trace[8:], rand.Uint64())
		}
		if binary.BigEndian.Uint64(c.trace[8:])>>1 < t.bound { // as TraceIDRatioBased of OpenTelemetry: all who go by it agree
			c.flags |= flagSampled
		}
	}
	for c.id == [8]byte{} {
		binary.BigEndian.PutUint64(c.id[:], rand.Uint64())
	}
	c.on = true
	return c
}

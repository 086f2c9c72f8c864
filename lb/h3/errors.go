package h3

import (
	"fmt"

	"github.com/quic-go/quic-go"
)

// Codes of RFC 9114, section 8.1, and RFC 9204, section 6.
const (
	codeNone             = 0x100
	codeInternal         = 0x102
	codeStreamCreation   = 0x103
	codeClosedCritical   = 0x104
	codeFrameUnexpected  = 0x105
	codeFrame            = 0x106
	codeExcessiveLoad    = 0x107
	codeID               = 0x108
	codeSettings         = 0x109
	codeMissingSettings  = 0x10a
	codeRequestRejected  = 0x10b
	codeRequestCancelled = 0x10c
	codeIncomplete       = 0x10d
	codeMessage          = 0x10e
	codeDecompression    = 0x200
	codeEncoderStream    = 0x201
)

// connError ends the connection.
type connError struct {
	code   quic.ApplicationErrorCode
	reason string // few and fixed: it is a label of a metric
}

// Error says what the client did.
func (e *connError) Error() string { return fmt.Sprintf("HTTP/3: %s (%#x)", e.reason, uint64(e.code)) }

// streamError ends the stream.
type streamError struct {
	code   quic.StreamErrorCode
	reason string // the same
}

// Error says what the client did.
func (e *streamError) Error() string {
	return fmt.Sprintf("HTTP/3: %s (%#x)", e.reason, uint64(e.code))
}

// tooLarge is a head that goes beyond a bound: it is answered.
type tooLarge struct{ reason string }

// Error says which bound.
func (e *tooLarge) Error() string { return "HTTP/3: " + e.reason }

var (
	errTruncated  = &connError{codeFrame, "truncated frame"}
	errUnexpected = &connError{codeFrameUnexpected, "unexpected frame"}
	errFlood      = &connError{codeExcessiveLoad, "flood"}
	errReset      = &connError{codeExcessiveLoad, "rapid reset"}
	errHeads      = &connError{codeExcessiveLoad, "unfinished heads"}
	errIncomplete = &streamError{codeIncomplete, "request incomplete"}
	errLength     = &streamError{codeMessage, "body and Content-Length differ"}
	errHeadLong   = &tooLarge{"head too large"}
	errFieldsMany = &tooLarge{"too many fields"}
)

func malformed(reason string) error { return &streamError{codeMessage, reason} }

package wire

import "strconv"

// Error is a violation of HTTP/1.1 or of a limit. The values are shared and
// fixed: neither field ever holds a byte of the request, so both are safe as
// a response body, in a log and as a metric label.
type Error struct {
	Status int    // the status code of the answer, 400 to 599
	Reason string // one line for the client, without its end
}

// Error gives "http/1.1: 400: reason".
func (e *Error) Error() string {
	return "http/1.1: " + strconv.Itoa(e.Status) + ": " + e.Reason
}

func refuse(status int, reason string) *Error { return &Error{Status: status, Reason: reason} }

// Violations of the request line.
var (
	errMethod      = refuse(400, "invalid request method")
	errMethodLong  = refuse(501, "request method not supported") // RFC 9112 section 3
	errConnect     = refuse(501, "CONNECT is not supported")     // RFC 9110 section 15.6.2
	errTarget      = refuse(400, "invalid request target")
	errTargetLong  = refuse(414, "request target too long")
	errTargetForm  = refuse(400, "request target form not allowed for this method")
	errEscape      = refuse(400, "invalid percent-encoding in the request target")
	errAuthority   = refuse(400, "request target and Host differ")
	errVersion     = refuse(400, "malformed HTTP version")
	errVersionUnkn = refuse(505, "only HTTP/1.1 and HTTP/1.0 are served here")
	errBlank       = refuse(400, "carriage return without line feed")
)

// Violations of the header section.
var (
	errHeadLong   = refuse(431, "request head too large")
	errHeadLines  = refuse(431, "too many header fields")
	errBareLF     = refuse(400, "line feed without carriage return")
	errFold       = refuse(400, "folded header line")
	errFieldName  = refuse(400, "invalid header field name")
	errFieldValue = refuse(400, "invalid byte in a header field value")
	errOptions    = refuse(400, "too many options in Connection")
	errHostNone   = refuse(400, "Host is missing")
	errHostTwice  = refuse(400, "more than one Host")
	errHost       = refuse(400, "invalid Host")
	errTimeout    = refuse(408, "request head not received in time")
	errCut        = refuse(400, "incomplete request head")
)

// Violations of the message framing.
var (
	errLength      = refuse(400, "invalid Content-Length")
	errLengthTwice = refuse(400, "more than one Content-Length")
	errLengthLarge = refuse(400, "Content-Length out of range")
	errBoth        = refuse(400, "both Content-Length and Transfer-Encoding")
	errCoding      = refuse(400, "invalid Transfer-Encoding")
	errCodingTwice = refuse(400, "more than one Transfer-Encoding")
	errCodingOld   = refuse(400, "Transfer-Encoding in an HTTP/1.0 request")
	errCodingUnkn  = refuse(501, "transfer coding not supported")
)

// Violations of a chunked body.
var (
	errChunkSize    = refuse(400, "invalid chunk size")
	errChunkLarge   = refuse(400, "chunk size out of range")
	errChunkExt     = refuse(400, "invalid chunk extension")
	errChunkExtLong = refuse(400, "chunk extensions too long")
	errChunkEnd     = refuse(400, "chunk does not end where its size says")
	errTrailer      = refuse(400, "invalid trailer field")
	errTrailerName  = refuse(400, "field not allowed in a trailer")
	errTrailerLong  = refuse(431, "trailer section too large")
)

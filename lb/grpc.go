package lb

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// What gRPC makes of HTTP/2: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md. Calls are requests like any other; only what Holdfast itself has to
// say, and how long it waits, is said and read in gRPC's way.

// callOf tells whether the request is a call, and how long its client waits for it; 0 when it does not say.
func callOf(r *http.Request) (bool, time.Duration) {
	if r.ProtoMajor < 2 || r.Method != http.MethodPost {
		return false, 0
	}
	kind := r.Header.Get("Content-Type")
	rest, ok := strings.CutPrefix(kind, "application/grpc")
	if !ok || rest != "" && rest[0] != '+' && rest[0] != ';' {
		return false, 0
	}
	return true, grpcTimeout(r.Header.Get("Grpc-Timeout"))
}

// grpcTimeout reads at most 8 digits and a unit; 0 for what is none.
func grpcTimeout(text string) time.Duration {
	if len(text) < 2 || len(text) > 9 {
		return 0
	}
	n, err := strconv.ParseUint(text[:len(text)-1], 10, 32)
	if err != nil {
		return 0
	}
	unit := map[byte]time.Duration{'H': time.Hour, 'M': time.Minute, 'S': time.Second, 'm': time.Millisecond, 'u': time.Microsecond, 'n': time.Nanosecond}[text[len(text)-1]]
	return min(time.Duration(n), grpcTimeoutMost/max(unit, 1)) * unit
}

const (
	grpcTimeoutMost = 365 * 24 * time.Hour
	// grpcGrace is how much longer than its client a call is waited for: client and instance know its deadline too, and say so themselves.
	grpcGrace = 250 * time.Millisecond
)

// patience is how long the head of a response is waited for; 0: no bound.
func (x *exchange) patience() time.Duration {
	if x.deadline > 0 {
		return x.deadline + grpcGrace
	}
	return x.mod.cluster.responseTimeout
}

// atDeadline reports whether an attempt has ended because the client's time is over.
func (x *exchange) atDeadline(err error) bool {
	_, late := errors.AsType[*responseTimeoutError](err)
	return late && x.deadline > 0
}

// pastDeadline reports whether the client's time is over. An instance that notices it first may just reset the stream.
func (x *exchange) pastDeadline() bool { return x.deadline > 0 && time.Since(x.start) >= x.deadline }

// Codes of gRPC's status.
const (
	grpcDeadlineExceeded  = 4
	grpcResourceExhausted = 8
	grpcUnimplemented     = 12
	grpcInternal          = 13
	grpcUnavailable       = 14
)

// grpcCode says a failure in gRPC's words, as gRPC maps statuses of HTTP, but for what Holdfast knows better.
func grpcCode(status int) int {
	switch status {
	case http.StatusNotFound:
		return grpcUnimplemented
	case http.StatusGatewayTimeout:
		return grpcDeadlineExceeded
	case http.StatusRequestEntityTooLarge:
		return grpcResourceExhausted
	case http.StatusBadRequest:
		return grpcInternal
	}
	return grpcUnavailable
}

// writeStatus answers a call for Holdfast itself, with a head that is a trailer too.
func (x *exchange) writeStatus(f failure) int64 {
	x.edge.pages.use(&f) // it may say another status
	h := x.w.Header()
	x.tellRequestID(h)
	h["Content-Type"] = []string{"application/grpc"}
	h["Grpc-Status"], h["Grpc-Message"] = []string{strconv.Itoa(grpcCode(f.status))}, []string{grpcMessage(f.text)}
	x.w.WriteHeader(http.StatusOK)
	return 0
}

// endCall ends a call whose instance has failed in the middle of its response.
func (x *exchange) endCall() {
	h := x.w.Header()
	code, text := grpcUnavailable, "The application failed in the middle of its answer."
	if x.pastDeadline() {
		code, text = grpcDeadlineExceeded, "The time of the call is over."
	}
	h[http.TrailerPrefix+"Grpc-Status"] = []string{strconv.Itoa(code)}
	h[http.TrailerPrefix+"Grpc-Message"] = []string{grpcMessage(text)}
}

// grpcMessage encodes a message: everything but visible ASCII and blanks, and the percent sign.
func grpcMessage(text string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' || c == '%' {
			b.Write([]byte{'%', hex[c>>4], hex[c&15]})
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

package proxyproto

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
)

// MaxLen is the length of the longest header that is read, in bytes. Version 2 allows 64 KiB; this is room for addresses and the names of a TLS client, not
// for whole certificates.
const MaxLen = 16 + 4096

// Header is what a proxy says about a connection.
type Header struct {
	// Version is 1 or 2.
	Version int
	// Source and Destination are the two ends of the client's connection, IPv4 as such. Both are invalid when the header names none: the proxy speaks for
	// itself (LOCAL), or does not know (UNKNOWN, AF_UNSPEC), or the client came by a UNIX socket. Then the connection's own addresses count.
	Source, Destination netip.AddrPort
	// TLS says that the client spoke TLS to the proxy (version 2 only).
	TLS bool
}

// Named reports whether the header names a client.
func (h *Header) Named() bool { return h.Source.IsValid() }

// Error is why a header is refused: it breaks the specification.
type Error struct{ Reason string }

func (e *Error) Error() string { return "PROXY protocol: " + e.Reason }

var (
	// ErrShort says that the header may go on: more bytes are needed.
	ErrShort = errors.New("PROXY protocol: the header is not complete")
	// ErrNone says that what is there cannot begin a header.
	ErrNone = errors.New("PROXY protocol: no header")
)

var (
	signature1 = []byte("PROXY ")
	signature2 = []byte("\r\n\r\n\x00\r\nQUIT\n")
)

// Parse reads the header that b begins with and gives its length. The error is ErrShort, ErrNone or an *Error.
func Parse(b []byte) (h Header, n int, err error) {
	switch {
	case begins(b, signature2):
		return parse2(b)
	case begins(b, signature1):
		return parse1(b)
	}
	return Header{}, 0, ErrNone
}

// MayBegin reports whether b is the beginning of a header as far as it goes; the empty text is.
func MayBegin(b []byte) bool { return begins(b, signature1) || begins(b, signature2) }

// Begins reports whether b has the whole signature of a header, whatever follows.
func Begins(b []byte) bool { return bytes.HasPrefix(b, signature1) || bytes.HasPrefix(b, signature2) }

func begins(b, signature []byte) bool {
	n := min(len(b), len(signature))
	return bytes.Equal(b[:n], signature[:n])
}

// Read reads one header from r, after what has been read of it already. rest is what has been read behind the header, or all that has been read when the
// error is ErrNone. Any other error is of r, or an *Error; io.ErrUnexpectedEOF is an end in the middle of a header, io.EOF one before it.
func Read(r io.Reader, before []byte) (h Header, rest []byte, err error) {
	b := before
	for {
		h, n, err := Parse(b)
		switch err {
		case nil:
			return h, b[n:], nil
		case ErrShort:
		default:
			return Header{}, b, err
		}
		if len(b) == cap(b) {
			b = append(make([]byte, 0, min(max(2*len(b), 512), MaxLen+1)), b...)
		}
		n, err = r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if n > 0 || err == nil {
			continue // the error comes again, if the header is not complete
		}
		if err == io.EOF && len(b) > 0 {
			err = io.ErrUnexpectedEOF
		}
		return Header{}, b, err
	}
}

// Package hello reads the name of the server that a TLS client asks for out of its first message (ClientHello, RFC 8446 4.1.2; server_name, RFC 6066 3), for who passes TLS on
// without ending it.
//
// What it promises: whatever bytes come, it gives a name, or says that there is none, that more bytes are needed, or what is wrong; it looks at no more than MaxLen
// bytes. A name that it gives is a DNS name in lower case. What it does not: it does not check what else is in the message, which is the server's business. With Encrypted Client Hello the
// name is that of the outer message.
package hello

import (
	"errors"
	"io"
	"strings"
)

// MaxLen is how many bytes of a connection are looked at. Messages with post-quantum key shares have some 2 KiB.
const MaxLen = 16 << 10

var (
	// ErrShort says that more bytes are needed.
	ErrShort = errors.New("TLS: the ClientHello is not complete")
	// ErrNone says that what is there does not begin with a ClientHello.
	ErrNone = errors.New("TLS: no ClientHello")
)

// Error is what is wrong with a ClientHello.
type Error struct{ Reason string }

func (e *Error) Error() string { return "TLS: " + e.Reason }

const (
	recordHandshake = 22
	messageHello    = 1
	extensionName   = 0
	nameHost        = 0
	maxRecord       = 1 << 14
)

// Name gives the name of the server, empty when the client names none. The error is ErrShort, ErrNone or an *Error.
func Name(b []byte) (string, error) {
	message, err := handshake(b)
	if err != nil {
		return "", err
	}
	if message[0] != messageHello {
		return "", ErrNone
	}
	rest := reader(message[4:])
	if !rest.skip(2+32) || !rest.skipVector(1) || !rest.skipVector(2) || !rest.skipVector(1) { // version and random, session id, suites, compression
		return "", &Error{"the ClientHello is cut off"}
	}
	if len(rest) == 0 {
		return "", nil // without extensions, as before TLS 1.2
	}
	extensions, ok := rest.vector(2)
	if !ok || len(rest) != 0 {
		return "", &Error{"the extensions of the ClientHello have another length"}
	}
	return nameIn(extensions)
}

// handshake gives the first message, put together from as many records as it takes, with its head of four bytes.
func handshake(b []byte) ([]byte, error) {
	var message []byte
	for whole := 4; ; {
		if len(message) >= 4 {
			whole = 4 + int(message[1])<<16 + int(message[2])<<8 + int(message[3])
			if whole > MaxLen {
				return nil, &Error{"the ClientHello is too long"}
			}
		}
		if len(message) >= whole && len(message) >= 4 {
			return message[:whole], nil
		}
		if len(b) > 0 && b[0] != recordHandshake || len(b) > 1 && b[1] != 3 {
			if message == nil {
				return nil, ErrNone
			}
			return nil, &Error{"the ClientHello is interrupted"}
		}
		if len(b) < 5 {
			return nil, ErrShort
		}
		n := int(b[3])<<8 + int(b[4])
		if n == 0 || n > maxRecord {
			return nil, &Error{"a record has no length that TLS allows"}
		}
		part := b[5:min(5+n, len(b))]
		message = append(message, part...)
		if len(part) < n && !complete(message) {
			return nil, ErrShort
		}
		b = b[5+len(part):]
	}
}

// complete reports whether the message is there as a whole.
func complete(message []byte) bool {
	return len(message) >= 4 && len(message) >= 4+int(message[1])<<16+int(message[2])<<8+int(message[3])
}

// nameIn finds the name among the extensions.
func nameIn(extensions reader) (string, error) {
	name, found := "", false
	for len(extensions) > 0 {
		kind, ok := extensions.number(2)
		value, ok2 := extensions.vector(2)
		switch {
		case !ok || !ok2:
			return "", &Error{"an extension of the ClientHello is cut off"}
		case kind != extensionName:
			continue
		case found:
			return "", &Error{"two server names"}
		}
		found = true
		list, ok := value.vector(2)
		if !ok || len(value) != 0 || len(list) == 0 {
			return "", &Error{"the list of server names is cut off"}
		}
		var err error
		if name, err = hostIn(list); err != nil {
			return "", err
		}
	}
	return name, nil
}

// hostIn gives the name of type host_name, of which there is one at most.
func hostIn(list reader) (name string, err error) {
	for len(list) > 0 {
		kind, ok := list.number(1)
		value, ok2 := list.vector(2)
		switch {
		case !ok || !ok2:
			return "", &Error{"a server name is cut off"}
		case kind != nameHost:
			continue
		case name != "":
			return "", &Error{"two server names"}
		}
		if name = strings.ToLower(string(value)); !validName(name) {
			return "", &Error{"the server name is not a DNS name"}
		}
	}
	return name, nil
}

// validName takes names of letters, digits, hyphens and underscores in labels, without a dot at the end (RFC 6066, 3).
func validName(name string) bool {
	if name == "" || len(name) > 253 {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 {
			return false
		}
		for _, c := range []byte(label) {
			if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_') {
				return false
			}
		}
	}
	return true
}

// reader takes a message apart from its beginning.
type reader []byte

func (r *reader) skip(n int) bool {
	if len(*r) < n {
		return false
	}
	*r = (*r)[n:]
	return true
}

// number reads one of the given number of bytes.
func (r *reader) number(size int) (n int, ok bool) {
	if len(*r) < size {
		return 0, false
	}
	for _, c := range (*r)[:size] {
		n = n<<8 | int(c)
	}
	return n, r.skip(size)
}

// vector reads what has its length in front, in a number of the given size.
func (r *reader) vector(size int) (v reader, ok bool) {
	n, ok := r.number(size)
	if !ok || len(*r) < n {
		return nil, false
	}
	v = (*r)[:n:n]
	return v, r.skip(n)
}

func (r *reader) skipVector(size int) bool {
	_, ok := r.vector(size)
	return ok
}

// Read reads from r, after what has been read of it already, until the name is certain. all is what has been read, whatever the error: of r, or of Name; ErrShort is a message longer
// than MaxLen.
func Read(r io.Reader, before []byte) (name string, all []byte, err error) {
	all = before
	for {
		name, err := Name(all)
		if err != ErrShort || len(all) >= MaxLen {
			return name, all, err
		}
		if len(all) == cap(all) {
			all = append(make([]byte, 0, min(max(2*len(all), 2<<10), MaxLen)), all...)
		}
		n, err := r.Read(all[len(all):min(cap(all), MaxLen)])
		if all = all[:len(all)+n]; n == 0 && err != nil {
			return "", all, err
		}
	}
}

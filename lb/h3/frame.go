package h3

import (
	"bufio"
	"io"

	"github.com/quic-go/quic-go/quicvarint"
)

// Types of frames (RFC 9114, section 7.2).
const (
	frameData        = 0x0
	frameHeaders     = 0x1
	frameCancelPush  = 0x3
	frameSettings    = 0x4
	framePushPromise = 0x5
	frameGoAway      = 0x7
	frameMaxPushID   = 0xd
)

// heldOver reports whether a frame has a type that HTTP/2 has, and HTTP/3 must not have.
func heldOver(kind uint64) bool { return kind == 0x2 || kind == 0x6 || kind == 0x8 || kind == 0x9 }

// nextFrame reads the head of a frame; io.EOF means that the stream has ended between two frames.
func nextFrame(in *bufio.Reader) (kind, length uint64, err error) {
	if _, err := in.Peek(1); err != nil {
		return 0, 0, err
	}
	if kind, err = quicvarint.Read(in); err == nil {
		length, err = quicvarint.Read(in)
	}
	return kind, length, cutShort(err)
}

// cutShort makes an end of the stream in the middle of a frame what it is.
func cutShort(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return errTruncated
	}
	return err
}

// skip drops the rest of a frame.
func skip(in *bufio.Reader, n uint64) error {
	for n > 0 {
		step := min(n, 1<<20)
		if _, err := in.Discard(int(step)); err != nil {
			return cutShort(err)
		}
		n -= step
	}
	return nil
}

// mostSkipped bounds the bytes of unknown frames before a head: padding needs no more.
const mostSkipped = 16 << 10

// readHead reads up to the end of the first HEADERS frame of a request and gives its block; most bounds it, in bytes. grow is asked before each piece of it is read.
func readHead(in *bufio.Reader, most int, grow func(n int) error) ([]byte, error) {
	skipped := uint64(0)
	for {
		kind, length, err := nextFrame(in)
		if err == io.EOF {
			return nil, errIncomplete
		}
		switch {
		case err != nil:
			return nil, err
		case kind == frameHeaders:
			return readBlock(in, length, most, grow)
		case knownFrame(kind):
			return nil, errUnexpected
		}
		if skipped += length + 2; skipped > mostSkipped {
			return nil, errFlood
		}
		if err := skip(in, length); err != nil {
			return nil, err
		}
	}
}

// knownFrame reports whether a type is one that has its place, which is not where unknown ones are passed over.
func knownFrame(kind uint64) bool {
	return kind <= frameGoAway && kind != frameHeaders || kind == frameMaxPushID || heldOver(kind)
}

// readBlock reads the payload of a HEADERS frame. It takes memory only as bytes come.
func readBlock(in *bufio.Reader, length uint64, most int, grow func(n int) error) ([]byte, error) {
	if length > uint64(most) {
		return nil, errHeadLong
	}
	const piece = 2 << 10
	var block []byte
	for left := int(length); left > 0; {
		n := min(left, piece)
		if err := grow(n); err != nil {
			return nil, err
		}
		at := len(block)
		block = append(block, make([]byte, n)...)
		if _, err := io.ReadFull(in, block[at:]); err != nil {
			return nil, cutShort(err)
		}
		left -= n
	}
	return block, nil
}

// appendFrame appends the head of a frame.
func appendFrame(b []byte, kind, length uint64) []byte {
	return quicvarint.Append(quicvarint.Append(b, kind), length)
}

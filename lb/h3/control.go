package h3

import (
	"bufio"
	"errors"
	"io"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/quicvarint"
)

// Types of streams that go one way (RFC 9114, section 6.2; RFC 9204, section 4.2).
const (
	streamControl = 0x0
	streamPush    = 0x1
	streamEncoder = 0x2
	streamDecoder = 0x3
)

var errCritical = &connError{codeClosedCritical, "critical stream ended"}

// acceptOneWay takes the streams that the client alone sends on.
func (c *Conn) acceptOneWay() {
	for {
		s, err := c.quic.AcceptUniStream(c.quic.Context())
		if err != nil {
			return
		}
		c.work.Go(func() {
			defer s.ReleaseStreamCredit()
			c.fail(c.oneWay(s))
		})
	}
}

// oneWay reads one of them to its end.
func (c *Conn) oneWay(s *quic.ReceiveStream) error {
	in := bufio.NewReaderSize(s, 512)
	kind, err := quicvarint.Read(in)
	if err != nil {
		return c.wasted() // it ended, as it may, before it had a type
	}
	switch kind {
	case streamControl, streamEncoder, streamDecoder:
		if c.critical[kind].Swap(true) {
			return &connError{codeStreamCreation, "critical stream twice"}
		}
	case streamPush:
		return &connError{codeStreamCreation, "push stream"}
	default:
		s.CancelRead(codeStreamCreation)
		return c.wasted()
	}
	switch kind {
	case streamControl:
		err = readControl(in, c.wasted)
	case streamEncoder:
		err = readEncoder(in)
	default:
		_, err = io.Copy(io.Discard, in) // of no use without a dynamic table
	}
	if ours, ok := errors.AsType[*connError](err); ok {
		return ours
	}
	return errCritical // in the end of the connection nobody hears it
}

// readControl reads the client's control stream. It says nothing that is needed. wasted is asked for each frame that asks for nothing.
func readControl(in *bufio.Reader, wasted func() error) error {
	kind, length, err := nextFrame(in)
	switch {
	case err != nil:
		return err
	case kind != frameSettings:
		return &connError{codeMissingSettings, "no settings"}
	case length > mostSettings:
		return &connError{codeExcessiveLoad, "settings too large"}
	}
	payload := make([]byte, length)
	if _, err := io.ReadFull(in, payload); err != nil {
		return cutShort(err)
	}
	if err := checkSettings(payload); err != nil {
		return err
	}
	for {
		kind, length, err := nextFrame(in)
		if err != nil {
			return err
		}
		switch {
		case kind == frameCancelPush:
			return &connError{codeID, "push that was never promised"}
		case kind == frameData, kind == frameHeaders, kind == frameSettings, kind == framePushPromise, heldOver(kind):
			return errUnexpected
		}
		if err := wasted(); err != nil {
			return err
		}
		if err := skip(in, length); err != nil {
			return err
		}
	}
}

// readEncoder reads the stream that changes our dynamic table. There is none: all that may come is that its size be 0.
func readEncoder(in *bufio.Reader) error {
	for {
		b, err := in.ReadByte()
		if err != nil {
			return err
		}
		if b != 0x20 {
			return &connError{codeEncoderStream, "QPACK"}
		}
	}
}

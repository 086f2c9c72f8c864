package h3

import (
	"bufio"
	"bytes"

	"github.com/quic-go/quic-go/quicvarint"
)

// Settings (RFC 9114, section 7.2.4.1; RFC 9220, section 3).
const (
	settingFieldSection    = 0x6
	settingExtendedConnect = 0x8
)

// mostSettings bounds the SETTINGS frame of a client, in bytes.
const mostSettings = 4 << 10

// ourSettings is the beginning of our control stream. There is no dynamic table: its size is 0 where nothing is said.
func ourSettings(head int) []byte {
	payload := quicvarint.Append(quicvarint.Append(nil, settingFieldSection), uint64(head))
	payload = quicvarint.Append(quicvarint.Append(payload, settingExtendedConnect), 1)
	b := quicvarint.Append(nil, streamControl)
	return append(appendFrame(b, frameSettings, uint64(len(payload))), payload...)
}

// checkSettings judges what a client says. Nothing of it is needed: what is sent has no dynamic table, and heads of instances have a bound.
func checkSettings(payload []byte) error {
	in := bufio.NewReader(bytes.NewReader(payload))
	seen := map[uint64]bool{}
	for {
		if _, err := in.Peek(1); err != nil {
			return nil
		}
		id, err := quicvarint.Read(in)
		if err != nil {
			return errTruncated
		}
		value, err := quicvarint.Read(in)
		if err != nil {
			return errTruncated
		}
		switch {
		case seen[id], id == 0x0, id >= 0x2 && id <= 0x5, id == settingExtendedConnect && value > 1:
			return &connError{codeSettings, "settings"}
		}
		seen[id] = true
	}
}

package handoff

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// On the stream between the two processes the old one says what it still does: a length of 4 bytes, little-endian, and so much JSON, again and again.

// MaxReport bounds a report in bytes.
const MaxReport = 8 << 20

// ErrStream is in the error of what cannot be read as it must be.
var ErrStream = errors.New("the stream between the two processes is broken")

// WriteReport sends what the old process has in flight.
func WriteReport(w io.Writer, report []byte) error {
	if len(report) > MaxReport {
		return fmt.Errorf("%w: a report of %d bytes, at most %d", ErrStream, len(report), MaxReport)
	}
	_, err := w.Write(append(binary.LittleEndian.AppendUint32(nil, uint32(len(report))), report...))
	return err
}

// ReadReport reads it. io.EOF: the old process has ended.
func ReadReport(r *bufio.Reader) ([]byte, error) {
	var h [4]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint32(h[:])
	if n > MaxReport {
		return nil, fmt.Errorf("%w: a report of %d bytes", ErrStream, n)
	}
	return readGrowing(r, int(n))
}

// readGrowing allocates as the bytes come, not as they are announced.
func readGrowing(r io.Reader, n int) ([]byte, error) {
	const step = 64 << 10
	var b []byte
	for len(b) < n {
		from := len(b)
		b = append(b, make([]byte, min(step, n-from))...)
		if _, err := io.ReadFull(r, b[from:]); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
	return b, nil
}

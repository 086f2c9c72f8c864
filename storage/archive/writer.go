package archive

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"math"

	"github.com/klauspost/compress/zstd"
)

// Writer writes an archive. The state goes through Write; only after Close is the archive whole.
type Writer struct {
	w      io.Writer
	total  hash.Hash // SHA-256 of all bytes so far
	enc    *zstd.Encoder
	buf    []byte // state that does not fill a section yet
	packed []byte
	number uint32 // of the next section
	state  uint64
	err    error // the first one; nothing is written after it
	closed bool
}

// NewWriter writes prefix and header to w. It does not close w.
func NewWriter(w io.Writer, h Header) (*Writer, error) {
	content, err := h.encode()
	if err != nil {
		return nil, err
	}
	// What comes is packed in most part already; this finds what repeats in it and costs little.
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false),
		zstd.WithSingleSegment(true))
	if err != nil {
		return nil, fmt.Errorf("write archive: %w", err)
	}
	a := &Writer{w: w, total: sha256.New(), enc: enc, buf: make([]byte, 0, maxSection)}
	prefix := make([]byte, prefixSize)
	copy(prefix, magic)
	binary.LittleEndian.PutUint32(prefix[8:], version)
	a.write(prefix)
	a.section(kindHeader, content)
	return a, a.err
}

// Write takes the next bytes of the state.
func (a *Writer) Write(p []byte) (int, error) {
	if a.closed {
		return 0, errors.New("write archive: it is closed")
	}
	n := 0
	for n < len(p) && a.err == nil {
		part := min(len(p)-n, maxSection-len(a.buf))
		a.buf = append(a.buf, p[n:n+part]...)
		n += part
		if len(a.buf) == maxSection {
			a.flush()
		}
	}
	return n, a.err
}

// Close writes what is left and the end. A second call does nothing.
func (a *Writer) Close() error {
	if a.closed {
		return a.err
	}
	a.closed = true
	a.flush()
	content := binary.LittleEndian.AppendUint64(make([]byte, 0, endSize), a.state)
	content = binary.LittleEndian.AppendUint32(content, a.number)
	content = binary.LittleEndian.AppendUint32(content, 0)
	a.section(kindEnd, a.total.Sum(content))
	// It holds no stream, so there is nothing left that could fail.
	_ = a.enc.Close()
	return a.err
}

func (a *Writer) flush() {
	if len(a.buf) > 0 {
		a.state += uint64(len(a.buf))
		a.section(kindState, a.buf)
		a.buf = a.buf[:0]
	}
}

func (a *Writer) section(kind byte, content []byte) {
	if a.number == math.MaxUint32 && a.err == nil {
		a.err = errors.New("write archive: it is too large")
	}
	stored, codec := content, byte(codecRaw)
	if kind != kindEnd {
		if a.packed = a.enc.EncodeAll(content, a.packed[:0]); len(a.packed) < len(content) {
			stored, codec = a.packed, codecZstd
		}
	}
	head := sectionHead{kind, codec, a.number, uint32(len(content)), uint32(len(stored))}.encode()
	a.write(head[:])
	a.write(sectionHash(head[:], stored))
	a.write(stored)
	a.number++
}

func (a *Writer) write(b []byte) {
	if a.err != nil {
		return
	}
	a.total.Write(b)
	if _, err := a.w.Write(b); err != nil {
		a.err = fmt.Errorf("write archive: %w", err)
	}
}

package archive

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/klauspost/compress/zstd"
)

// Reader reads an archive and gives the state that is in it. Each byte that Read gives is one that was written; io.EOF means
// that the archive is whole.
type Reader struct {
	r      io.Reader
	total  hash.Hash // SHA-256 of all bytes so far, without the end
	sum    hash.Hash // SHA-256 of all bytes
	dec    *zstd.Decoder
	stored []byte
	raw    []byte
	rest   []byte // of the section that is being given out
	number uint32 // of the next section
	state  uint64
	size   uint64
	header Header
	err    error // the first one, io.EOF for the end
}

// NewReader reads prefix and header. An error is an ErrDamaged, an ErrNewer, or one of r's own. Close gives the memory back.
func NewReader(r io.Reader) (*Reader, error) {
	// A whole section is read at a time, so r needs no buffer. The limits of the decoder come on top of those of a section.
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxSection), zstd.WithDecoderMaxWindow(maxSection),
		zstd.WithDecodeAllCapLimit(true))
	if err != nil {
		return nil, fmt.Errorf("read archive: %w", err)
	}
	a := &Reader{r: r, total: sha256.New(), sum: sha256.New(), dec: dec}
	if err := a.begin(); err != nil {
		a.Close()
		return nil, fmt.Errorf("read archive: %w", err)
	}
	return a, nil
}

// Header says what is in the archive.
func (a *Reader) Header() Header { return a.header }

// Size is how many bytes of the archive have been read, State how many of the state have been given out.
func (a *Reader) Size() uint64 { return a.size }

// State is how many bytes of the state have been unpacked so far.
func (a *Reader) State() uint64 { return a.state }

// Hash is the SHA-256 of the whole file in hexadecimal digits, once Read has given io.EOF: what sha256sum prints.
func (a *Reader) Hash() string { return hex.EncodeToString(a.sum.Sum(nil)) }

// Close gives the memory back. It does not close what is read from.
func (a *Reader) Close() {
	if a.dec != nil {
		a.dec.Close()
		a.dec = nil
	}
}

// Read gives the next bytes of the state.
func (a *Reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for len(a.rest) == 0 {
		if a.err == nil {
			if a.dec == nil {
				return 0, errors.New("read archive: it is closed")
			}
			a.err = a.next()
		}
		if errors.Is(a.err, io.EOF) {
			return 0, io.EOF
		}
		if a.err != nil {
			return 0, fmt.Errorf("read archive: %w", a.err)
		}
	}
	n := copy(p, a.rest)
	a.rest = a.rest[n:]
	return n, nil
}

func (a *Reader) begin() error {
	prefix, err := a.take(nil, prefixSize)
	if err != nil {
		return err
	}
	if string(prefix[:8]) != magic {
		return fmt.Errorf("%w: this is no backup of Holdfast", ErrDamaged)
	}
	if v := binary.LittleEndian.Uint32(prefix[8:]); v == 0 {
		return fmt.Errorf("%w: version 0", ErrDamaged)
	} else if v > version {
		return fmt.Errorf("%w: it has format %d, this program reads up to %d: use a program that is as new as the one that wrote it", ErrNewer, v, version)
	}
	if binary.LittleEndian.Uint32(prefix[12:]) != 0 {
		return fmt.Errorf("%w: its first bytes", ErrDamaged)
	}
	a.total.Write(prefix)
	head, content, err := a.section()
	if err != nil {
		return err
	}
	if head.kind != kindHeader {
		return fmt.Errorf("%w: it has no header", ErrDamaged)
	}
	a.header, err = decodeHeader(content)
	return err
}

// next makes a.rest the next state section; io.EOF at the end.
func (a *Reader) next() error {
	head, content, err := a.section()
	switch {
	case err != nil:
		return err
	case head.kind == kindState:
		a.rest = content
		a.state += uint64(len(content))
		return nil
	case head.kind == kindEnd:
		return a.end(content)
	case head.kind >= kindSkip:
		return nil
	}
	return fmt.Errorf("%w: it has a part of kind %d", ErrNewer, head.kind)
}

// section reads one section, checks it and unpacks it. The content is valid until the next one.
func (a *Reader) section() (sectionHead, []byte, error) {
	var b [sectionHeadSize + sha256.Size]byte
	if _, err := a.take(b[:0], len(b)); err != nil {
		return sectionHead{}, nil, err
	}
	head := decodeSectionHead(b[:])
	if head.number != a.number || head.encode() != [sectionHeadSize]byte(b[:sectionHeadSize]) || head.codec > codecZstd ||
		head.raw > maxSection || head.stored > head.raw || head.codec == codecRaw && head.stored != head.raw {
		return head, nil, fmt.Errorf("%w: section %d is not possible", ErrDamaged, a.number)
	}
	var err error
	if a.stored, err = a.take(a.stored[:0], int(head.stored)); err != nil {
		return head, nil, err
	}
	if !bytes.Equal(sectionHash(b[:sectionHeadSize], a.stored), b[sectionHeadSize:]) {
		return head, nil, fmt.Errorf("%w: section %d has another hash than it says", ErrDamaged, a.number)
	}
	content := a.stored
	if head.codec == codecZstd {
		if content, err = a.unpack(int(head.raw)); err != nil {
			return head, nil, fmt.Errorf("%w: section %d: %w", ErrDamaged, a.number, err)
		}
	}
	if head.kind != kindEnd {
		a.total.Write(b[:])
		a.total.Write(a.stored)
		a.number++
	}
	return head, content, nil
}

func (a *Reader) unpack(raw int) (out []byte, err error) {
	if cap(a.raw) < raw {
		a.raw = make([]byte, 0, maxSection)
	}
	// The capacity is the limit: what would become larger is refused before it is.
	if out, err = a.dec.DecodeAll(a.stored, a.raw[:0:raw]); err != nil {
		return nil, err
	}
	if len(out) != raw {
		return nil, fmt.Errorf("it unpacks to %d bytes, not %d", len(out), raw)
	}
	return out, nil
}

// end checks what only the whole can show.
func (a *Reader) end(content []byte) error {
	if len(content) != endSize || binary.LittleEndian.Uint32(content[12:]) != 0 {
		return fmt.Errorf("%w: its end", ErrDamaged)
	}
	if state := binary.LittleEndian.Uint64(content); state != a.state {
		return fmt.Errorf("%w: %d bytes of state, %d were written", ErrDamaged, a.state, state)
	}
	if n := binary.LittleEndian.Uint32(content[8:]); n != a.number {
		return fmt.Errorf("%w: %d sections, %d were written", ErrDamaged, a.number, n)
	}
	if !bytes.Equal(content[16:], a.total.Sum(nil)) {
		return fmt.Errorf("%w: wrong hash over all", ErrDamaged)
	}
	var one [1]byte
	switch n, err := io.ReadFull(a.r, one[:]); {
	case n > 0:
		return fmt.Errorf("%w: there are bytes after its end", ErrDamaged)
	case errors.Is(err, io.EOF):
		return io.EOF
	default:
		return err
	}
}

// take reads n bytes, at most maxSection, behind buf.
func (a *Reader) take(buf []byte, n int) ([]byte, error) {
	// Bounded by maxSection, so a length that lies costs no more than one that does not.
	if cap(buf) < n {
		buf = make([]byte, 0, n)
	}
	buf = buf[:n]
	got, err := io.ReadFull(a.r, buf)
	a.size += uint64(got)
	a.sum.Write(buf[:got])
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, fmt.Errorf("%w: it is cut off after %d bytes", ErrDamaged, a.size)
	}
	return buf, err
}

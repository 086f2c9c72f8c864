package archive

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
)

// ErrTorn means that a segment ends in the middle of a block: its writer was stopped there. What came before is whole.
var ErrTorn = errors.New("torn segment")

// SegmentReader reads a segment, in a file or while it arrives. It trusts nothing: indexes follow one another, terms do not fall, and each mark proves the bytes
// before it.
type SegmentReader struct {
	r    io.Reader
	sum  hash.Hash
	head SegmentHead
	buf  []byte
	last uint64
	term uint64
	size int64 // of the whole blocks so far
	err  error
	// unproven: bytes before were passed over, so that the hashes of marks, which cover them, prove nothing.
	unproven bool
}

// Record is an entry or a mark.
type Record struct {
	Entry *LogEntry
	Mark  *Mark
}

// NewSegmentReader reads prefix and head. An error is an ErrDamaged, an ErrNewer, an ErrTorn or one of r's own.
func NewSegmentReader(r io.Reader) (*SegmentReader, error) {
	s := &SegmentReader{r: r, sum: sha256.New()}
	if err := s.begin(); err != nil {
		return nil, fmt.Errorf("read segment: %w", err)
	}
	return s, nil
}

// Head says what the segment follows.
func (s *SegmentReader) Head() SegmentHead { return s.head }

// Last is the last entry that was read, or what the segment follows, and its term.
func (s *SegmentReader) Last() (index, term uint64) { return s.last, s.term }

// Whole is how many bytes the blocks have that were read so far.
func (s *SegmentReader) Whole() int64 { return s.size }

// Hash is the SHA-256 of these bytes.
func (s *SegmentReader) Hash() string { return hex.EncodeToString(s.sum.Sum(nil)) }

// Next gives the next entry or mark, io.EOF at an end behind a block, an ErrTorn at one within a block. The data of an entry is the caller's.
func (s *SegmentReader) Next() (Record, error) {
	for s.err == nil {
		rec, ok, err := s.next()
		if err != nil {
			s.err = err
			break
		}
		if ok {
			return rec, nil
		}
	}
	if errors.Is(s.err, io.EOF) {
		return Record{}, io.EOF
	}
	return Record{}, fmt.Errorf("read segment: %w", s.err)
}

func (s *SegmentReader) begin() error {
	var prefix [prefixSize]byte
	if err := s.full(prefix[:]); err != nil {
		return torn(err)
	}
	if string(prefix[:8]) != segmentMagic {
		return fmt.Errorf("%w: this is no segment of Holdfast's log", ErrDamaged)
	}
	if v := binary.LittleEndian.Uint32(prefix[8:]); v > segmentVersion {
		return fmt.Errorf("%w: it has format %d, this program reads up to %d: use a program that is as new as the one that wrote it", ErrNewer, v, segmentVersion)
	} else if v == 0 || binary.LittleEndian.Uint32(prefix[12:]) != 0 {
		return fmt.Errorf("%w: its first bytes", ErrDamaged)
	}
	s.sum.Write(prefix[:])
	s.size = prefixSize
	kind, content, err := s.block()
	if err != nil {
		return torn(err)
	}
	if kind != blockHead {
		return fmt.Errorf("%w: it has no head", ErrDamaged)
	}
	if s.head, err = decodeSegmentHead(content); err != nil {
		return err
	}
	s.took()
	s.last, s.term = s.head.After, s.head.AfterTerm
	return nil
}

// torn makes the end of the input one in the middle.
func torn(err error) error {
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: its last block is not whole", ErrTorn)
	}
	return err
}

func (s *SegmentReader) next() (rec Record, ok bool, err error) {
	kind, content, err := s.block()
	if err != nil {
		return Record{}, false, err
	}
	switch {
	case kind == blockEntry:
		e, ok := decodeEntry(content)
		if !ok {
			return Record{}, false, fmt.Errorf("%w: the entry behind entry %d is not possible", ErrDamaged, s.last)
		}
		if err := follows(s.last, s.term, e); err != nil {
			return Record{}, false, fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		e.Data = bytes.Clone(e.Data)
		s.last, s.term = e.Index, e.Term
		rec = Record{Entry: &e}
	case kind == blockMark:
		m, hash, ok := decodeMark(content)
		if !ok {
			return Record{}, false, fmt.Errorf("%w: the mark behind entry %d is not possible", ErrDamaged, s.last)
		}
		if !s.unproven && !bytes.Equal(hash, s.sum.Sum(nil)) {
			return Record{}, false, fmt.Errorf("%w: %w behind entry %d", ErrDamaged, ErrMark, s.last)
		}
		rec = Record{Mark: &m}
	case kind < kindSkip:
		return Record{}, false, fmt.Errorf("%w: it has a part of kind %d", ErrNewer, kind)
	}
	s.took()
	return rec, rec != Record{}, nil
}

// block reads a block into s.buf; io.EOF when there is no more, ErrTorn when there is less than one.
func (s *SegmentReader) block() (kind byte, content []byte, err error) {
	if cap(s.buf) < blockHeadSize {
		s.buf = make([]byte, 0, 4<<10)
	}
	s.buf = s.buf[:blockHeadSize]
	if err := s.full(s.buf); err != nil {
		return 0, nil, err
	}
	h := s.buf
	size := binary.LittleEndian.Uint32(h[8:])
	if binary.LittleEndian.Uint32(h) != blockMarker || h[5]|h[6]|h[7] != 0 || size > maxBlock {
		return 0, nil, fmt.Errorf("%w: no block behind entry %d", ErrDamaged, s.last)
	}
	const step = 64 << 10 // a length is not believed before the bytes are there
	for left := int(size); left > 0; {
		n := min(left, step)
		have := len(s.buf)
		s.buf = append(s.buf, make([]byte, n)...)
		if err := s.full(s.buf[have:]); err != nil {
			return 0, nil, torn(err)
		}
		left -= n
	}
	crc := crc32.Update(crc32.Checksum(s.buf[:12], castagnoli), castagnoli, s.buf[blockHeadSize:])
	if crc != binary.LittleEndian.Uint32(s.buf[12:]) {
		return 0, nil, fmt.Errorf("%w: wrong CRC of what follows entry %d", ErrDamaged, s.last)
	}
	return s.buf[4], s.buf[blockHeadSize:], nil
}

// took counts the block in s.buf.
func (s *SegmentReader) took() {
	s.sum.Write(s.buf)
	s.size += int64(len(s.buf))
}

// full is io.ReadFull with the end in the middle as an ErrTorn.
func (s *SegmentReader) full(b []byte) error {
	_, err := io.ReadFull(s.r, b)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: its last block is not whole", ErrTorn)
	}
	return err
}

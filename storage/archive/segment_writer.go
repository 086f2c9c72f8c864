package archive

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
)

// SegmentWriter writes a segment. What was written is on its way when the call returns; making it durable is the owner's of the file.
type SegmentWriter struct {
	w     io.Writer
	sum   hash.Hash // SHA-256 of all bytes so far
	buf   []byte
	after uint64
	last  uint64
	term  uint64
	bytes int64
	err   error // the first one; nothing is written after it
}

// NewSegmentWriter writes prefix and head to w. It does not close w.
func NewSegmentWriter(w io.Writer, h SegmentHead) (*SegmentWriter, error) {
	content, err := h.encode()
	if err != nil {
		return nil, err
	}
	s := &SegmentWriter{w: w, sum: sha256.New(), after: h.After, last: h.After, term: h.AfterTerm}
	s.buf = append(s.buf, segmentMagic...)
	s.buf = binary.LittleEndian.AppendUint32(s.buf, segmentVersion)
	s.buf = binary.LittleEndian.AppendUint32(s.buf, 0)
	s.buf = appendBlock(s.buf, blockHead, content)
	s.flush()
	return s, s.err
}

// Entry writes the next entry: its index is the last one and one, and its term at least that of the last one.
func (s *SegmentWriter) Entry(e LogEntry) error {
	if s.err != nil {
		return s.err
	}
	if err := follows(s.last, s.term, e); err != nil {
		return fmt.Errorf("write segment: %w", err)
	}
	if len(e.Data) > maxBlock-entryFixed {
		return fmt.Errorf("write segment: entry %d has %d bytes", e.Index, len(e.Data))
	}
	var fixed [entryFixed]byte
	binary.LittleEndian.PutUint64(fixed[:], e.Index)
	binary.LittleEndian.PutUint64(fixed[8:], e.Term)
	if e.Command {
		fixed[16] = 1
	}
	s.buf = appendBlock(s.buf, blockEntry, fixed[:], e.Data)
	s.last, s.term = e.Index, e.Term
	return s.flush()
}

// Mark closes what was written so far.
func (s *SegmentWriter) Mark(m Mark) error {
	if s.err != nil {
		return s.err
	}
	content, err := m.encode(s.sum.Sum(nil))
	if err != nil {
		return fmt.Errorf("write segment: %w", err)
	}
	s.buf = appendBlock(s.buf, blockMark, content)
	return s.flush()
}

// Last is the last entry that was written, or what the segment follows, and its term.
func (s *SegmentWriter) Last() (index, term uint64) { return s.last, s.term }

// Size is how many bytes were written.
func (s *SegmentWriter) Size() int64 { return s.bytes }

// Hash is the SHA-256 of all bytes so far, for the head of the next segment.
func (s *SegmentWriter) Hash() string { return hex.EncodeToString(s.sum.Sum(nil)) }

func (s *SegmentWriter) flush() error {
	n, err := s.w.Write(s.buf)
	s.bytes += int64(n)
	s.sum.Write(s.buf)
	s.buf = s.buf[:0]
	if err != nil {
		s.err = fmt.Errorf("write segment: %w", err)
	}
	return s.err
}

// follows says why e cannot come behind the entry last of term.
func follows(last, term uint64, e LogEntry) error {
	switch {
	case e.Index != last+1:
		return fmt.Errorf("entry %d behind entry %d", e.Index, last)
	case e.Term < term:
		return fmt.Errorf("entry %d is of term %d, the one before it of term %d", e.Index, e.Term, term)
	case !e.Command && len(e.Data) > 0:
		return fmt.Errorf("entry %d is no command and has data", e.Index)
	}
	return nil
}

package fsm

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"

	"github.com/klauspost/compress/zstd"
)

// Layout of a snapshot; all integers little-endian.
//
//	file header, 32 bytes
//	  0   magic    8 bytes "HOLDFAST"
//	  8   version  u32, snapshotV2; snapshotV1 is still read
//	  12  zero     u32
//	  16  index    u64, the last applied index
//	  24  now      i64, replicated time, Unix milliseconds
//	sections, by rising item number (version 1: itemGroup to itemSlot, version 2: all but itemSlot), an item may have several
//	  0   item     u8, what is in it (digest.go), sectionEnd for the last
//	  1   codec    u8, codecRaw or codecZstd
//	  2   zero     u16
//	  4   count    u32, how many things are in it
//	  8   raw      u32, size of the content
//	  12  stored   u32, size of what follows
//	  16  crc      u32, CRC-32C of the 16 bytes before it and of what follows
//	  20  content
//	the last section: digest 16 bytes, SHA-256 of all bytes before this section's header 32 bytes; then the end of the file
//
// The content of the table's sections is described in snapshot_table.go, that of the others is a list of u32 length and
// canonical form.
const (
	snapshotMagic = "HOLDFAST"
	snapshotV1    = 1
	snapshotV2    = 2

	fileHeaderSize    = 32
	sectionHeaderSize = 20
	endSize           = 16 + sha256.Size

	sectionEnd item = 0xff

	codecRaw  = 0
	codecZstd = 1

	// maxSection bounds the content of one section, hence what hostile bytes can make Restore allocate at once. The largest
	// item, a revision, is smaller than the entry that brought it.
	maxSection = MaxEntrySize + 1<<20
	// sectionTarget is the size at which a writer begins another section.
	sectionTarget = 64 << 10
	// minCompress is the size under which compression is not tried.
	minCompress = 4 << 10
)

// The reasons for which Restore refuses a snapshot.
var (
	// ErrSnapshotDamaged means that the bytes are not a whole snapshot as it was written.
	ErrSnapshotDamaged = errors.New("damaged snapshot")
	// ErrSnapshotUnknown means that the snapshot is of a newer version: the program has to be upgraded.
	ErrSnapshotUnknown = errors.New("snapshot of a newer version")
)

// sectionWriter writes the frame of a snapshot. After the first error it writes no more; err keeps it.
type sectionWriter struct {
	w     io.Writer
	total hash.Hash // SHA-256 of all bytes so far
	n     int64
	err   error
	enc   *zstd.Encoder
	buf   []byte // of the encoder
}

func newSectionWriter(w io.Writer) *sectionWriter {
	return &sectionWriter{w: w, total: sha256.New()}
}

func (w *sectionWriter) write(b []byte) {
	if w.err != nil {
		return
	}
	var n int
	n, w.err = w.w.Write(b)
	w.n += int64(n)
	w.total.Write(b)
}

func (w *sectionWriter) fileHeader(index uint64, now int64) {
	b := make([]byte, 0, fileHeaderSize)
	b = append(b, snapshotMagic...)
	b = appendU32(b, snapshotV2)
	b = appendU32(b, 0)
	b = appendU64(b, index)
	w.write(appendU64(b, uint64(now)))
}

// section writes one section of count things, compressed when that makes it smaller.
func (w *sectionWriter) section(it item, count uint32, content []byte) {
	codec, stored := byte(codecRaw), content
	if len(content) >= minCompress && w.compress(content) {
		codec, stored = codecZstd, w.buf
	}
	h := make([]byte, 0, sectionHeaderSize)
	h = append(h, byte(it), codec, 0, 0)
	h = appendU32(h, count)
	h = appendU32(h, uint32(len(content)))
	h = appendU32(h, uint32(len(stored)))
	h = appendU32(h, crc32.Update(crc32.Checksum(h, castagnoli), castagnoli, stored))
	w.write(h)
	w.write(stored)
}

// compress leaves the compressed content in w.buf and tells whether it is worth it.
func (w *sectionWriter) compress(content []byte) bool {
	if w.enc == nil {
		// One block at a time: a snapshot runs beside traffic and must leave it the other cores.
		w.enc, w.err = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
			zstd.WithEncoderCRC(false), zstd.WithSingleSegment(true))
		if w.err != nil {
			return false
		}
	}
	w.buf = w.enc.EncodeAll(content, w.buf[:0])
	return len(w.buf) < len(content)
}

func (w *sectionWriter) end(d Digest) {
	content := append(make([]byte, 0, endSize), d[:]...)
	w.section(sectionEnd, 1, w.total.Sum(content))
}

// section is one that was read; content is valid until the next one.
type section struct {
	item    item
	count   uint32
	content []byte
}

// sectionReader reads the frame of a snapshot and trusts nothing.
type sectionReader struct {
	r     io.Reader
	total hash.Hash // SHA-256 of all sections so far; the end section is compared with it
	dec   *zstd.Decoder
	old   bool   // snapshotV1
	in    []byte // what is stored
	out   []byte // what it decompresses to
}

func (r *sectionReader) close() {
	if r.dec != nil {
		r.dec.Close()
	}
}

// full reads n bytes into buf, which grows only as bytes arrive: a length is not believed before they are there.
func (r *sectionReader) full(buf []byte, n int) ([]byte, error) {
	const step = 64 << 10
	buf = buf[:0]
	for len(buf) < n {
		have := len(buf)
		part := min(step, n-have)
		if cap(buf)-have < part {
			buf = append(buf, make([]byte, part)...)
		}
		buf = buf[:have+part]
		if _, err := io.ReadFull(r.r, buf[have:]); err != nil {
			return buf, cut(err)
		}
	}
	return buf, nil
}

// cut turns the end of the file in the wrong place into damage; other errors are the reader's own.
func cut(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: it is cut off", ErrSnapshotDamaged)
	}
	return fmt.Errorf("read: %w", err)
}

func (r *sectionReader) fileHeader() (index uint64, now int64, err error) {
	b, err := r.full(nil, fileHeaderSize)
	if err != nil {
		return 0, 0, err
	}
	if string(b[:8]) != snapshotMagic {
		return 0, 0, fmt.Errorf("%w: this is no snapshot of Holdfast", ErrSnapshotDamaged)
	}
	v := binary.LittleEndian.Uint32(b[8:])
	if v != snapshotV1 && v != snapshotV2 {
		return 0, 0, fmt.Errorf("%w: version %d, this program reads %d and %d", ErrSnapshotUnknown, v, snapshotV1, snapshotV2)
	}
	r.old = v == snapshotV1
	index, now = binary.LittleEndian.Uint64(b[16:]), int64(binary.LittleEndian.Uint64(b[24:]))
	if binary.LittleEndian.Uint32(b[12:]) != 0 || now < 0 || now > maxNow {
		return 0, 0, fmt.Errorf("%w: file header", ErrSnapshotDamaged)
	}
	r.total.Write(b)
	return index, now, nil
}

// next reads a section and checks its size and CRC, and for the last one the hash over all.
func (r *sectionReader) next() (section, error) {
	var h [sectionHeaderSize]byte
	if _, err := io.ReadFull(r.r, h[:]); err != nil {
		return section{}, cut(err)
	}
	s := section{item: item(h[0]), count: binary.LittleEndian.Uint32(h[4:])}
	codec, raw, stored := h[1], binary.LittleEndian.Uint32(h[8:]), binary.LittleEndian.Uint32(h[12:])
	if raw > maxSection || stored > raw || codec == codecRaw && stored != raw {
		return section{}, fmt.Errorf("%w: section %d: impossible size", ErrSnapshotDamaged, s.item)
	}
	var err error
	if r.in, err = r.full(r.in, int(stored)); err != nil {
		return section{}, err
	}
	if crc32.Update(crc32.Checksum(h[:16], castagnoli), castagnoli, r.in) != binary.LittleEndian.Uint32(h[16:]) {
		return section{}, fmt.Errorf("%w: section %d: wrong CRC", ErrSnapshotDamaged, s.item)
	}
	if codec > codecZstd || h[2]|h[3] != 0 {
		return section{}, fmt.Errorf("%w: section %d: codec %d", ErrSnapshotUnknown, s.item, codec)
	}
	if s.content = r.in; codec == codecZstd {
		if s.content, err = r.decompress(int(raw)); err != nil {
			return section{}, fmt.Errorf("%w: section %d: %w", ErrSnapshotDamaged, s.item, err)
		}
	}
	if s.item == sectionEnd {
		return s, r.checkEnd(s)
	}
	r.total.Write(h[:])
	r.total.Write(r.in)
	return s, nil
}

func (r *sectionReader) decompress(raw int) (out []byte, err error) {
	if r.dec == nil {
		r.dec, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxSection),
			zstd.WithDecoderMaxWindow(maxSection))
		if err != nil {
			return nil, err
		}
	}
	if r.out, err = r.dec.DecodeAll(r.in, r.out[:0]); err != nil {
		return nil, err
	}
	if len(r.out) != raw {
		return nil, fmt.Errorf("decompresses to %d bytes, not %d", len(r.out), raw)
	}
	return r.out, nil
}

// checkEnd compares the hash over all and makes sure that nothing follows.
func (r *sectionReader) checkEnd(s section) error {
	if len(s.content) != endSize || s.count != 1 {
		return fmt.Errorf("%w: last section", ErrSnapshotDamaged)
	}
	if string(r.total.Sum(nil)) != string(s.content[16:]) {
		return fmt.Errorf("%w: wrong hash over all", ErrSnapshotDamaged)
	}
	var one [1]byte
	switch n, err := io.ReadFull(r.r, one[:]); {
	case n > 0:
		return fmt.Errorf("%w: bytes after its end", ErrSnapshotDamaged)
	case errors.Is(err, io.EOF):
		return nil
	default:
		return fmt.Errorf("read: %w", err)
	}
}

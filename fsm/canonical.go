package fsm

import (
	"encoding/binary"
	"math"
	"time"
)

// Each rare item has one canonical byte form: the digest hashes it and a snapshot contains it. It is written by hand, not
// by encoding/json, so that no release of Go can change a group's digests. Integers are little-endian and fixed in width,
// bytes and strings have a 4-byte length before them. A field that a later version adds is appended, and only when it is
// not zero, so that the digest of what an older version knows stays the same.

func appendU32(b []byte, v uint32) []byte { return binary.LittleEndian.AppendUint32(b, v) }
func appendU64(b []byte, v uint64) []byte { return binary.LittleEndian.AppendUint64(b, v) }

func appendBytes[T ~string | ~[]byte](b []byte, v T) []byte {
	return append(appendU32(b, uint32(len(v))), v...)
}

// noTime stands for the zero time, which has no sensible Unix milliseconds.
const noTime = math.MinInt64

func appendTime(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return appendU64(b, 1<<63)
	}
	return appendU64(b, uint64(t.UnixMilli()))
}

// canonicalTime drops what the canonical form does not carry, so that a restored state equals the one it came from.
func canonicalTime(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return time.UnixMilli(t.UnixMilli()).UTC()
}

// parser reads canonical forms. After the first error everything reads as zero and ok is false.
type parser struct {
	b   []byte
	bad bool
}

// done tells whether all was read and nothing is left.
func (p *parser) done() bool { return !p.bad && len(p.b) == 0 }

func (p *parser) take(n uint64) []byte {
	if p.bad || n > uint64(len(p.b)) {
		p.bad = true
		return nil
	}
	out := p.b[:n:n]
	p.b = p.b[n:]
	return out
}

func (p *parser) u8() uint8 {
	if b := p.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (p *parser) u32() uint32 {
	if b := p.take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (p *parser) u64() uint64 {
	if b := p.take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

func (p *parser) string() string { return string(p.take(uint64(p.u32()))) }

// bytes returns a copy, nil when there are none: what is parsed outlives the buffer.
func (p *parser) bytes() []byte { return append([]byte(nil), p.take(uint64(p.u32()))...) }

func (p *parser) time() time.Time {
	ms := int64(p.u64())
	if ms == noTime || p.bad {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

//go:build !wasip1

package storage

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/hashicorp/raft"
)

// seal is the last record of every transaction: what the log must consist of. It is stored as an entry with the highest
// index there is, through the same StoreLogs call as the entries, so that both are durable or none is. It says in which
// bbolt transaction it was written, and the transaction number is in bbolt's checksummed meta page: a page of an earlier
// transaction that a damaged pointer brings back does not fit. It also carries what must be atomic with the entries (the
// commit index) and raft's few stable values, which then need no page and no checksum of their own.
type seal struct {
	tx      uint64 // bbolt transaction that wrote it
	commit  uint64 // commit index that was staged when entries were last stored
	lastSum uint32 // checksum of the last entry, 0 when the log is empty
	entries spans
	pending span // a deletion that is declared but perhaps not finished; its entries are not part of the log any more
	values  map[string][]byte
}

const (
	sealIndex = math.MaxUint64
	sealType  = raft.LogType(0xff)
	sealMajor = 1

	maxValueKey  = 256
	maxValueSize = 16 << 10
	maxValues    = 64
)

var errSeal = errors.New("seal cannot be read")

// with gives the values with one more or another one; the present map is shared with readers and stays as it is.
func (s *seal) with(key string, value []byte) map[string][]byte {
	out := maps.Clone(s.values)
	if out == nil {
		out = make(map[string][]byte)
	}
	out[key] = slices.Clone(value)
	return out
}

func (s *seal) encode() *raft.Log {
	le := binary.LittleEndian
	b := make([]byte, 0, 64+16*len(s.entries))
	b = append(b, sealMajor)
	b = le.AppendUint64(b, s.tx)
	b = le.AppendUint64(b, s.commit)
	b = le.AppendUint32(b, s.lastSum)
	b = le.AppendUint64(b, s.pending.lo)
	b = le.AppendUint64(b, s.pending.hi)
	b = le.AppendUint32(b, uint32(len(s.entries)))
	for _, p := range s.entries {
		b = le.AppendUint64(b, p.lo)
		b = le.AppendUint64(b, p.hi)
	}
	b = le.AppendUint32(b, uint32(len(s.values)))
	for _, k := range slices.Sorted(maps.Keys(s.values)) {
		b = le.AppendUint32(b, uint32(len(k)))
		b = append(b, k...)
		b = le.AppendUint32(b, uint32(len(s.values[k])))
		b = append(b, s.values[k]...)
	}
	return &raft.Log{Index: sealIndex, Term: s.tx, Type: sealType, Data: b}
}

func decodeSeal(l *raft.Log) (seal, error) {
	if l.Type != sealType || len(l.Data) == 0 {
		return seal{}, errSeal
	}
	if l.Data[0] != sealMajor {
		return seal{}, fmt.Errorf("%w: format %d, known is %d", errSeal, l.Data[0], sealMajor)
	}
	r := sealReader{b: l.Data[1:]}
	s := seal{tx: r.u64(), commit: r.u64(), lastSum: r.u32(), pending: span{r.u64(), r.u64()}}
	if s.pending.lo > s.pending.hi {
		r.bad = true
	}
	for range r.count(maxSpans, 16) {
		p := span{r.u64(), r.u64()}
		if p.lo == 0 || p.lo > p.hi || p.hi == sealIndex || (len(s.entries) > 0 && p.lo <= s.entries.last()+1) {
			r.bad = true
			break
		}
		s.entries = append(s.entries, p)
	}
	for range r.count(maxValues, 8) {
		k := string(r.bytes(r.count(maxValueKey, 1)))
		v := r.bytes(r.count(maxValueSize, 1))
		s.values = s.with(k, v)
	}
	if r.bad || len(r.b) != 0 || l.Term != s.tx || s.commit > s.entries.last() {
		return seal{}, errSeal
	}
	return s, nil
}

// sealReader takes fields off the front; a short input makes it bad, and everything after that zero.
type sealReader struct {
	b   []byte
	bad bool
}

func (r *sealReader) bytes(n int) []byte {
	if r.bad || len(r.b) < n {
		r.bad = true
		return make([]byte, n)
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *sealReader) u64() uint64 { return binary.LittleEndian.Uint64(r.bytes(8)) }
func (r *sealReader) u32() uint32 { return binary.LittleEndian.Uint32(r.bytes(4)) }

// count reads a number of items of at least size bytes each, bounded by limit and by what is left.
func (r *sealReader) count(limit, size int) int {
	n := r.u32()
	if r.bad || n > uint32(limit) || int(n)*size > len(r.b) {
		r.bad = true
		return 0
	}
	return int(n)
}

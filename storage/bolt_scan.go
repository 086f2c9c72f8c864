//go:build !wasip1

package storage

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

const (
	branchPage     = 0x01
	leafPage       = 0x02
	bucketLeafFlag = 0x01
	elementSize    = 16
	maxDepth       = 32
)

// record is one key of the logs bucket. The value points into the mapped file.
type record struct {
	index uint64
	value []byte
}

// boltScan walks the pages of a raft.db without bbolt and checks all that bbolt takes for granted: bbolt follows a damaged
// page number or length wherever it leads, part of it on goroutines whose faults nobody can catch.
type boltScan struct {
	data    []byte
	meta    boltMeta
	seen    []bool
	records []record
}

// scanBolt gives the records of the logs bucket in ascending order, or why the file is not what bbolt wrote. bbolt packs
// each page without holes, so a wrong count or length anywhere breaks the sum.
func scanBolt(data []byte) (_ boltMeta, _ []record, reason string) {
	meta, reason, err := newestMeta(bytes.NewReader(data))
	if err != nil { // it is cut
		reason += ": " + err.Error()
	}
	if reason != "" {
		return meta, nil, reason
	}
	if meta.end > uint64(len(data))/meta.pageSize {
		return meta, nil, fmt.Sprintf("it is cut: %d bytes of %d pages of %d", len(data), meta.end, meta.pageSize)
	}
	if meta.freelist != noFreelist {
		return meta, nil, "another program has written it"
	}
	s := &boltScan{data: data, meta: meta, seen: make([]bool, meta.end)}
	buckets := make(map[string][]byte)
	reason = s.page(meta.root, 0, nil, nil, func(flags uint32, key, value []byte) string {
		if flags != bucketLeafFlag || (string(key) != "conf" && string(key) != "logs") {
			return "it holds something that is not a Raft log"
		}
		buckets[string(key)] = value
		return ""
	})
	if reason != "" {
		return meta, nil, reason
	}
	if len(buckets) != 2 {
		return meta, nil, "a bucket is missing"
	}
	if reason := s.bucket(buckets["conf"], func(uint32, []byte, []byte) string { return "bucket conf is not empty" }); reason != "" {
		return meta, nil, reason
	}
	reason = s.bucket(buckets["logs"], func(flags uint32, key, value []byte) string {
		if flags != 0 || len(key) != 8 {
			return "it holds a key that is not a log index"
		}
		s.records = append(s.records, record{binary.BigEndian.Uint64(key), value})
		return ""
	})
	return meta, s.records, reason
}

type visitor func(flags uint32, key, value []byte) string

// bucket walks a bucket from its header: a page number and a sequence, and for a small bucket its only page inline.
func (s *boltScan) bucket(header []byte, visit visitor) string {
	if len(header) < pageHeaderSize {
		return "bucket header is cut"
	}
	if root := binary.NativeEndian.Uint64(header); root != 0 {
		return s.page(root, 0, nil, nil, visit)
	}
	inline := header[pageHeaderSize:]
	if len(inline) < pageHeaderSize || binary.NativeEndian.Uint16(inline[8:]) != leafPage {
		return "inline bucket is not a leaf"
	}
	return s.leaf(inline, nil, nil, visit)
}

// page walks the tree below page id, whose keys must be in [lo, hi); nil means no bound.
func (s *boltScan) page(id uint64, depth int, lo, hi []byte, visit visitor) string {
	ne := binary.NativeEndian
	if id < 2 || id >= s.meta.end {
		return fmt.Sprintf("page number %d is out of bounds", id)
	}
	p := s.data[id*s.meta.pageSize:]
	overflow := uint64(ne.Uint32(p[12:]))
	if ne.Uint64(p) != id || overflow >= s.meta.end-id {
		return fmt.Sprintf("page %d: wrong header", id)
	}
	for i := id; i <= id+overflow; i++ {
		if s.seen[i] {
			return fmt.Sprintf("page %d is used twice", i)
		}
		s.seen[i] = true
	}
	p = p[:(overflow+1)*s.meta.pageSize]
	var reason string
	switch flags := ne.Uint16(p[8:]); {
	case flags == leafPage:
		reason = s.leaf(p, lo, hi, visit)
	case flags == branchPage && depth < maxDepth:
		return s.branch(id, p, depth, lo, hi, visit)
	default:
		reason = "wrong type"
	}
	if reason != "" {
		return fmt.Sprintf("page %d: %s", id, reason)
	}
	return ""
}

func (s *boltScan) leaf(p []byte, lo, hi []byte, visit visitor) string {
	ne := binary.NativeEndian
	count := int(ne.Uint16(p[10:]))
	next := pageHeaderSize + count*elementSize
	if next > len(p) {
		return "wrong count"
	}
	var before []byte
	for i := range count {
		at := pageHeaderSize + i*elementSize
		e := p[at:]
		flags, pos, ksize, vsize := ne.Uint32(e), int(ne.Uint32(e[4:])), int(ne.Uint32(e[8:])), int(ne.Uint32(e[12:]))
		if at+pos != next || ksize == 0 || next+ksize+vsize > len(p) {
			return "elements do not fit"
		}
		key := p[next : next+ksize]
		value := p[next+ksize : next+ksize+vsize]
		if i > 0 && bytes.Compare(key, before) <= 0 || lo != nil && bytes.Compare(key, lo) < 0 || hi != nil && bytes.Compare(key, hi) >= 0 {
			return "key out of order"
		}
		if reason := visit(flags, key, value); reason != "" {
			return reason
		}
		before = key
		next += ksize + vsize
	}
	return ""
}

func (s *boltScan) branch(id uint64, p []byte, depth int, lo, hi []byte, visit visitor) string {
	ne := binary.NativeEndian
	count := int(ne.Uint16(p[10:]))
	next := pageHeaderSize + count*elementSize
	if count == 0 || next > len(p) {
		return fmt.Sprintf("page %d: wrong count", id)
	}
	type child struct {
		key []byte
		id  uint64
	}
	children := make([]child, count)
	for i := range count {
		at := pageHeaderSize + i*elementSize
		e := p[at:]
		pos, ksize, pgid := int(ne.Uint32(e)), int(ne.Uint32(e[4:])), ne.Uint64(e[8:])
		if at+pos != next || ksize == 0 || next+ksize > len(p) {
			return fmt.Sprintf("page %d: elements do not fit", id)
		}
		key := p[next : next+ksize]
		if i > 0 && bytes.Compare(key, children[i-1].key) <= 0 || lo != nil && bytes.Compare(key, lo) < 0 || hi != nil && bytes.Compare(key, hi) >= 0 {
			return fmt.Sprintf("page %d: key out of order", id)
		}
		children[i] = child{key, pgid}
		next += ksize
	}
	for i, c := range children {
		end := hi
		if i+1 < count {
			end = children[i+1].key
		}
		if reason := s.page(c.id, depth+1, c.key, end, visit); reason != "" {
			return reason
		}
	}
	return ""
}

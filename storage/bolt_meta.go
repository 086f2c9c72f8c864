//go:build !wasip1

package storage

import (
	"encoding/binary"
	"hash/fnv"
	"io"
	"math"
	"os"
)

// The file format of bbolt (internal/common/{meta,page,inode,bucket}.go of v1.5.0; the same since Bolt 1.0). It is in the
// machine's byte order.
const (
	metaMagic      = 0xED0CDAED
	metaVersion    = 2
	pageHeaderSize = 16
	metaSize       = 64
	noFreelist     = math.MaxUint64
	minPageSize    = 1 << 10
	maxPageSize    = 1 << 24
)

// boltMeta is what one of the two meta pages says.
type boltMeta struct {
	pageSize uint64
	root     uint64 // page of the root bucket
	freelist uint64
	end      uint64 // number of pages in use: every page number is below it
	tx       uint64 // number of the transaction that wrote it
}

func parseMeta(b []byte) (boltMeta, string) {
	ne := binary.NativeEndian
	if len(b) < metaSize {
		return boltMeta{}, "it is cut"
	}
	if ne.Uint32(b) != metaMagic || ne.Uint32(b[4:]) != metaVersion {
		return boltMeta{}, "it is not a bbolt meta page"
	}
	h := fnv.New64a()
	_, _ = h.Write(b[:56])
	if h.Sum64() != ne.Uint64(b[56:]) {
		return boltMeta{}, "checksum mismatch"
	}
	m := boltMeta{
		pageSize: uint64(ne.Uint32(b[8:])),
		root:     ne.Uint64(b[16:]),
		freelist: ne.Uint64(b[32:]),
		end:      ne.Uint64(b[40:]),
		tx:       ne.Uint64(b[48:]),
	}
	if m.pageSize < minPageSize || m.pageSize > maxPageSize || m.pageSize&(m.pageSize-1) != 0 {
		return boltMeta{}, "impossible page size"
	}
	return m, ""
}

// newestMeta gives the valid state of a bbolt file. bbolt itself falls back to the older meta page when the newer one is
// damaged, which takes back the last acknowledged transaction. A power failure does not damage one: its 64 bytes are within
// one sector, which a disk writes whole or not at all. So both must be good, and of consecutive transactions.
// err is why the system does not give one of them.
func newestMeta(f io.ReaderAt) (_ boltMeta, reason string, err error) {
	var buf [pageHeaderSize + metaSize]byte
	read := func(off int64, what string) (boltMeta, string, error) {
		if _, err := f.ReadAt(buf[:], off); err != nil {
			return boltMeta{}, "reading the " + what + " meta page failed", err
		}
		m, reason := parseMeta(buf[pageHeaderSize:])
		if reason != "" {
			reason = what + " meta page: " + reason
		}
		return m, reason, nil
	}
	a, reason, err := read(0, "first")
	if reason != "" {
		return boltMeta{}, reason, err
	}
	b, reason, err := read(int64(a.pageSize), "second")
	if reason != "" {
		return boltMeta{}, reason, err
	}
	if b.tx > a.tx {
		a, b = b, a
	}
	if a.tx != b.tx+1 || a.pageSize != b.pageSize {
		return boltMeta{}, "the two meta pages do not belong together", nil
	}
	return a, "", nil
}

// readTx gives the number of the transaction that a file holds.
func readTx(path string) (uint64, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close() }()
	m, reason, err := newestMeta(f)
	if reason != "" {
		return 0, &CorruptError{Path: path, Reason: reason, Err: err}
	}
	return m.tx, nil
}

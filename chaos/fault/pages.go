package fault

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
)

// logFile is a node's log: a file of bbolt with the bucket "logs", which has an entry by index.
const logFile = "raft.db"

// span is a run of bytes of a file.
type span struct{ at, size int }

// placeOf gives the place of the so many-th byte of all spans.
func placeOf(spans []span, n int) int {
	for _, s := range spans {
		if n < s.size {
			return s.at + n
		}
		n -= s.size
	}
	panic("BUG: a byte behind the last span")
}

// entriesOf gives where a node's log has its entries, with their keys and the table of each page: that is what a node reads. The rest of the file, most of it in a group that has lived for a moment, is pages of older states, which nobody reads any more.
//
// The format is that of bbolt (internal/common/{meta,page,inode,bucket}.go of go.etcd.io/bbolt v1.5.0; the same since Bolt 1.0), in the machine's byte order.
func entriesOf(data []byte) ([]span, error) {
	b, root, err := boltOf(data)
	if err != nil {
		return nil, err
	}
	logs := -1
	err = b.leaves(root, func(leaf int) error {
		return b.elements(leaf, func(flags uint32, key, value span) error {
			if flags == 1 && string(data[key.at:key.at+key.size]) == "logs" { // a bucket
				logs = value.at
			}
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	if logs < 0 || logs+boltHead > len(data) {
		return nil, errors.New("the log has no bucket of entries")
	}
	var list []span
	add := func(leaf int) error {
		s := span{at: leaf + boltHead}
		err := b.elements(leaf, func(_ uint32, _, value span) error {
			s.size = max(s.size, value.at+value.size-s.at)
			return nil
		})
		if s.size > 0 {
			list = append(list, s)
		}
		return err
	}
	if top := binary.NativeEndian.Uint64(data[logs:]); top == 0 { // so small that its only page is in the bucket's own value
		err = add(logs + boltHead)
	} else {
		err = b.leaves(top, add)
	}
	if err == nil && len(list) == 0 {
		err = errors.New("the log has no entries")
	}
	return list, err
}

const (
	boltHead    = 16 // bytes of the head of a page, of one line of its table, and of a bucket
	boltBranch  = 1  // flags of a page
	boltLeaf    = 2
	boltDeepest = 32
)

type bolt struct {
	data []byte
	page uint64 // its size
}

// boltOf reads the newer one of the two pages that say where the tree begins.
func boltOf(data []byte) (b bolt, root uint64, err error) {
	ne := binary.NativeEndian
	newest := uint64(0)
	for _, size := range []uint64{0, 1 << 10, 1 << 11, 1 << 12, 1 << 13, 1 << 14, 1 << 15, 1 << 16} { // the second one is at the size of a page
		if size+boltHead+64 > uint64(len(data)) {
			break
		}
		meta := data[size+boltHead:]
		sum := fnv.New64a()
		_, _ = sum.Write(meta[:56])
		if ne.Uint32(meta) != 0xED0CDAED || sum.Sum64() != ne.Uint64(meta[56:]) {
			continue
		}
		if tx := ne.Uint64(meta[48:]); root == 0 || tx > newest {
			newest, root, b = tx, ne.Uint64(meta[16:]), bolt{data, uint64(ne.Uint32(meta[8:]))}
		}
	}
	if root == 0 || b.page == 0 {
		return b, 0, errors.New("it is no file of bbolt")
	}
	return b, root, nil
}

var errPage = errors.New("a page of the log is not what bbolt writes")

// leaves visits the leaf pages of a tree, by where they begin.
func (b bolt) leaves(root uint64, visit func(leaf int) error) error { return b.below(root, 0, visit) }

func (b bolt) below(id uint64, depth int, visit func(leaf int) error) error {
	ne := binary.NativeEndian
	if id >= uint64(len(b.data))/b.page || depth > boltDeepest {
		return fmt.Errorf("%w: number %d", errPage, id)
	}
	at := int(id * b.page)
	count := int(ne.Uint16(b.data[at+10:]))
	switch ne.Uint16(b.data[at+8:]) {
	case boltLeaf:
		return visit(at)
	case boltBranch:
		for i := range count {
			line := at + boltHead*(i+1)
			if line+boltHead > len(b.data) {
				return errPage
			}
			if err := b.below(ne.Uint64(b.data[line+8:]), depth+1, visit); err != nil {
				return err
			}
		}
		return nil
	}
	return fmt.Errorf("%w: number %d", errPage, id)
}

// elements visits the elements of a leaf page.
func (b bolt) elements(leaf int, visit func(flags uint32, key, value span) error) error {
	ne := binary.NativeEndian
	if leaf+boltHead > len(b.data) {
		return errPage
	}
	for i := range int(ne.Uint16(b.data[leaf+10:])) {
		line := leaf + boltHead*(i+1)
		if line+boltHead > len(b.data) {
			return errPage
		}
		e := b.data[line:]
		key := span{line + int(ne.Uint32(e[4:])), int(ne.Uint32(e[8:]))}
		value := span{key.at + key.size, int(ne.Uint32(e[12:]))}
		if value.at+value.size > len(b.data) {
			return errPage
		}
		if err := visit(ne.Uint32(e), key, value); err != nil {
			return err
		}
	}
	return nil
}

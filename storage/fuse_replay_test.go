//go:build fuse

package storage

import (
	"bytes"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// diskModel is a disk as the record leaves it: what is durable, and what was done after the last sync and may be there or not. It is as harsh as POSIX lets it be:
// writes of one file reach the disk in any order, each directory keeps its names apart from all others, and nothing but its own sync makes a file or a name durable.
type diskModel struct {
	inodes map[int]*diskInode
	marks  [][]byte
}

type diskInode struct {
	dir     bool
	content []byte         // durable, of a file
	names   map[string]int // durable, of a directory
	pending []diskOp
}

func newDiskModel() *diskModel {
	return &diskModel{inodes: map[int]*diskInode{rootInode: {dir: true, names: map[string]int{}}}}
}

func (m *diskModel) apply(op diskOp) {
	switch in := m.inodes[op.inode]; op.kind {
	case opMark:
		m.marks = append(m.marks, op.data)
	case opSync:
		for _, p := range in.pending {
			in.do(p)
		}
		in.pending = nil
	case opLink:
		child := &diskInode{dir: op.dir}
		if op.dir {
			child.names = map[string]int{}
		}
		m.inodes[op.target] = child
		fallthrough
	default:
		in.pending = append(in.pending, op)
	}
}

// do has an operation reach the disk.
func (in *diskInode) do(op diskOp) {
	switch op.kind {
	case opLink:
		in.names[op.name] = op.target
	case opUnlink:
		delete(in.names, op.name)
	case opRename:
		in.names[op.to] = in.names[op.name]
		delete(in.names, op.name)
	case opWrite:
		in.content = resized(in.content, max(len(in.content), int(op.off)+len(op.data)))
		copy(in.content[op.off:], op.data)
	case opTruncate:
		in.content = resized(in.content, int(op.off))
	}
}

func resized(b []byte, size int) []byte {
	if size <= len(b) {
		return b[:size]
	}
	return append(b, make([]byte, size-len(b))...)
}

// outage says what of the unsynced is there after the power went off.
type outage int

const (
	losesAll     outage = iota
	losesNothing        // as when only the process dies
	losesSome           // each write or not, the names of a directory up to some operation
	tears               // as losesSome, and one write in some of its sectors only
	outages
)

const sector = 512

// leave gives the inode as it is after an outage.
func (in *diskInode) leave(o outage, rnd *rand.Rand) *diskInode {
	out := &diskInode{dir: in.dir, content: bytes.Clone(in.content), names: maps.Clone(in.names)}
	if o == losesAll {
		return out
	}
	torn := -1
	if n := len(in.pending); o == tears && n > 0 {
		torn = rnd.IntN(n)
	}
	upto := len(in.pending)
	if in.dir && o != losesNothing {
		upto = rnd.IntN(upto + 1)
	}
	for i, op := range in.pending[:upto] {
		switch {
		case i == torn && op.kind == opWrite:
			for at := 0; at < len(op.data); at += sector {
				if rnd.IntN(2) == 0 {
					out.do(diskOp{kind: opWrite, off: op.off + int64(at), data: op.data[at:min(at+sector, len(op.data))]})
				}
			}
		case in.dir || o == losesNothing || rnd.IntN(2) == 0:
			out.do(op)
		}
	}
	return out
}

// write makes the directory that is found below the root under name after an outage; false when its name is not there.
func (m *diskModel) write(t *testing.T, to, name string, o outage, rnd *rand.Rand) bool {
	t.Helper()
	id, ok := m.inodes[rootInode].leave(o, rnd).names[name]
	if ok {
		m.writeInode(t, to, id, o, rnd)
	}
	return ok
}

func (m *diskModel) writeInode(t *testing.T, to string, id int, o outage, rnd *rand.Rand) {
	t.Helper()
	left := m.inodes[id].leave(o, rnd)
	if !left.dir {
		writeFile(t, to, left.content)
		return
	}
	if err := os.Mkdir(to, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range slices.Sorted(maps.Keys(left.names)) {
		m.writeInode(t, filepath.Join(to, name), left.names[name], o, rnd)
	}
}

//go:build fuse

package storage

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// The file system of these tests passes everything on and takes it down, in order: what was written where, which name was given to what, and what was synced. From that
// record the state of a disk can be made at which the power went off after any operation (fuse_replay_test.go). It also fails operations as told.
//
// Whoever uses it must be another process: a page fault on a mapped file is served by this one, which could not do so in the middle of a garbage collection.

type diskOpKind int

const (
	opWrite    diskOpKind = iota // data at off of inode
	opTruncate                   // inode to size off
	opSync                       // inode, a file or a directory
	opLink                       // name in directory inode is target, which is new
	opUnlink                     // name in directory inode is nothing
	opRename                     // name in directory inode becomes to
	opMark                       // data is what the process was promised
)

type diskOp struct {
	kind   diskOpKind
	inode  int
	off    int64
	data   []byte
	name   string
	to     string
	target int
	dir    bool // of opLink: target is a directory
}

const (
	rootInode = 0
	markName  = "marks" // what is written to this file below the root is a mark
)

type recorder struct {
	mu    sync.Mutex
	ops   []diskOp
	ids   map[fs.StableAttr]int
	names map[int]string // the last name that an inode was given
	made  int            // inodes so far
	// fault looks at each operation before it is done.
	fault func(name string, op diskOp) syscall.Errno
}

// do runs f and takes op down if it succeeds.
func (r *recorder) do(op diskOp, f func() syscall.Errno) syscall.Errno {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.names[op.inode] == markName && op.kind == opWrite {
		op.kind = opMark
	}
	if r.fault != nil {
		if errno := r.fault(r.names[op.inode], op); errno != 0 {
			return errno
		}
	}
	errno := f()
	if errno == 0 {
		r.ops = append(r.ops, op)
	}
	return errno
}

// recordedNode is a file or a directory.
type recordedNode struct {
	*fs.LoopbackNode
	r *recorder
}

var (
	_ = (fs.NodeWrapChilder)((*recordedNode)(nil))
	_ = (fs.NodeWriter)((*recordedNode)(nil))
	_ = (fs.NodeFsyncer)((*recordedNode)(nil))
)

func (n *recordedNode) WrapChild(_ context.Context, child fs.InodeEmbedder) fs.InodeEmbedder {
	return &recordedNode{LoopbackNode: child.(*fs.LoopbackNode), r: n.r}
}

func (n *recordedNode) inode() int {
	n.r.mu.Lock()
	defer n.r.mu.Unlock()
	return n.r.ids[n.StableAttr()]
}

// link takes a new name for a new inode down; made gives that.
func (n *recordedNode) link(name string, dir bool, made func() (*fs.Inode, syscall.Errno)) syscall.Errno {
	r := n.r
	parent := n.inode()
	r.mu.Lock()
	defer r.mu.Unlock()
	target := r.made + 1
	op := diskOp{kind: opLink, inode: parent, name: name, target: target, dir: dir}
	if r.fault != nil {
		if errno := r.fault(name, op); errno != 0 {
			return errno
		}
	}
	in, errno := made()
	if errno != 0 {
		return errno
	}
	r.made = target
	r.ids[in.StableAttr()] = target
	r.names[target] = name
	r.ops = append(r.ops, op)
	return 0
}

func (n *recordedNode) Create(ctx context.Context, name string, flags, mode uint32, out *fuse.EntryOut) (in *fs.Inode, fh fs.FileHandle, fuseFlags uint32, errno syscall.Errno) {
	errno = n.link(name, false, func() (*fs.Inode, syscall.Errno) {
		var e syscall.Errno
		in, fh, fuseFlags, e = n.LoopbackNode.Create(ctx, name, flags, mode, out)
		fh = through(fh)
		return in, e
	})
	return in, fh, fuseFlags, errno
}

func (n *recordedNode) Mkdir(ctx context.Context, name string, mode uint32, out *fuse.EntryOut) (in *fs.Inode, errno syscall.Errno) {
	errno = n.link(name, true, func() (*fs.Inode, syscall.Errno) {
		var e syscall.Errno
		in, e = n.LoopbackNode.Mkdir(ctx, name, mode, out)
		return in, e
	})
	return in, errno
}

func (n *recordedNode) Unlink(ctx context.Context, name string) syscall.Errno {
	return n.r.do(diskOp{kind: opUnlink, inode: n.inode(), name: name}, func() syscall.Errno { return n.LoopbackNode.Unlink(ctx, name) })
}

func (n *recordedNode) Rmdir(ctx context.Context, name string) syscall.Errno {
	return n.r.do(diskOp{kind: opUnlink, inode: n.inode(), name: name}, func() syscall.Errno { return n.LoopbackNode.Rmdir(ctx, name) })
}

func (n *recordedNode) Rename(ctx context.Context, name string, newParent fs.InodeEmbedder, newName string, flags uint32) syscall.Errno {
	if newParent.EmbeddedInode() != n.EmbeddedInode() || flags != 0 {
		return syscall.EXDEV // the record has no such operation, and storage needs none
	}
	child := n.GetChild(name)
	return n.r.do(diskOp{kind: opRename, inode: n.inode(), name: name, to: newName}, func() syscall.Errno {
		errno := n.LoopbackNode.Rename(ctx, name, newParent, newName, flags)
		if errno == 0 && child != nil {
			n.r.names[n.r.ids[child.StableAttr()]] = newName
		}
		return errno
	})
}

func (n *recordedNode) Open(ctx context.Context, flags uint32) (fh fs.FileHandle, fuseFlags uint32, errno syscall.Errno) {
	if flags&syscall.O_TRUNC == 0 {
		fh, fuseFlags, errno = n.LoopbackNode.Open(ctx, flags)
		return through(fh), fuseFlags, errno
	}
	errno = n.r.do(diskOp{kind: opTruncate, inode: n.inode()}, func() (e syscall.Errno) {
		fh, fuseFlags, e = n.LoopbackNode.Open(ctx, flags)
		fh = through(fh)
		return e
	})
	return fh, fuseFlags, errno
}

func (n *recordedNode) Setattr(ctx context.Context, f fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	size, ok := in.GetSize()
	if !ok {
		return n.LoopbackNode.Setattr(ctx, f, in, out)
	}
	return n.r.do(diskOp{kind: opTruncate, inode: n.inode(), off: int64(size)}, func() syscall.Errno { return n.LoopbackNode.Setattr(ctx, f, in, out) })
}

func (n *recordedNode) Write(ctx context.Context, f fs.FileHandle, data []byte, off int64) (written uint32, errno syscall.Errno) {
	errno = n.r.do(diskOp{kind: opWrite, inode: n.inode(), off: off, data: bytes.Clone(data)}, func() (e syscall.Errno) {
		written, e = f.(fs.FileWriter).Write(ctx, data, off)
		return e
	})
	return written, errno
}

func (n *recordedNode) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno {
	return n.r.do(diskOp{kind: opSync, inode: n.inode()}, func() syscall.Errno { return 0 })
}

// OpendirHandle gives a handle that can only be read: its own sync would pass the record by, and without one Fsync is called.
func (n *recordedNode) OpendirHandle(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	h, fuseFlags, errno := n.LoopbackNode.OpendirHandle(ctx, flags)
	if errno != 0 {
		return nil, 0, errno
	}
	return readOnlyDir{h.(dirReader)}, fuseFlags, 0
}

// recordedFile is a file handle without what would let the kernel write past this process.
type recordedFile struct{ loopbackFile }

type loopbackFile interface {
	fs.FileReader
	fs.FileWriter
	fs.FileGetattrer
	fs.FileSetattrer
	fs.FileFlusher
	fs.FileReleaser
}

func through(fh fs.FileHandle) fs.FileHandle {
	if fh == nil {
		return nil
	}
	return recordedFile{fh.(loopbackFile)}
}

type dirReader interface {
	fs.FileReaddirenter
	fs.FileReleasedirer
}

type readOnlyDir struct{ dirReader }

// mountRecorded gives a directory on a recorded file system.
func mountRecorded(t *testing.T) (*recorder, string) {
	t.Helper()
	below, mount := scratch(t), filepath.Join(t.TempDir(), "disk")
	if err := os.Mkdir(mount, 0o700); err != nil {
		t.Fatal(err)
	}
	r := &recorder{ids: make(map[fs.StableAttr]int), names: make(map[int]string)}
	var st syscall.Stat_t
	if err := syscall.Stat(below, &st); err != nil {
		t.Fatal(err)
	}
	root := &recordedNode{&fs.LoopbackNode{RootData: &fs.LoopbackRoot{Path: below, Dev: uint64(st.Dev)}}, r}
	root.RootData.RootNode = root
	server, err := fs.Mount(mount, root, &fs.Options{MountOptions: fuse.MountOptions{DirectMount: true, FsName: "hfG3-recorded"}})
	if err != nil {
		t.Fatalf("mount (needs root and /dev/fuse): %v", err)
	}
	t.Cleanup(func() {
		if err := server.Unmount(); err != nil {
			t.Errorf("unmount %s: %v", mount, err)
		}
	})
	r.ids[root.StableAttr()] = rootInode
	return r, mount
}

// scratch is a directory in memory where there is one: these tests open thousands of data directories.
func scratch(t *testing.T) string {
	t.Helper()
	base := "/dev/shm"
	if _, err := os.Stat(base); err != nil {
		base = ""
	}
	dir, err := os.MkdirTemp(base, "holdfast-disk-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

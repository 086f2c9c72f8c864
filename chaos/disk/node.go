package disk

import (
	"context"
	"path/filepath"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// node is a file or a directory of the disk.
type node struct {
	*fs.LoopbackNode
	disk *Disk
}

var (
	_ = (fs.NodeWrapChilder)((*node)(nil))
	_ = (fs.NodeCreater)((*node)(nil))
	_ = (fs.NodeOpener)((*node)(nil))
	_ = (fs.NodeMkdirer)((*node)(nil))
	_ = (fs.NodeWriter)((*node)(nil))
	_ = (fs.NodeFsyncer)((*node)(nil))
	_ = (fs.NodeSetattrer)((*node)(nil))
)

func (n *node) WrapChild(_ context.Context, child fs.InodeEmbedder) fs.InodeEmbedder {
	return &node{child.(*fs.LoopbackNode), n.disk}
}

func (n *node) Create(ctx context.Context, name string, flags, mode uint32, out *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	if errno := n.disk.room(); errno != 0 {
		return nil, nil, 0, errno
	}
	in, fh, fuseFlags, errno := n.LoopbackNode.Create(ctx, name, flags, mode, out)
	return in, guarded(fh), fuseFlags | fuse.FOPEN_KEEP_CACHE, errno
}

func (n *node) Open(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	fh, fuseFlags, errno := n.LoopbackNode.Open(ctx, flags)
	return guarded(fh), fuseFlags | fuse.FOPEN_KEEP_CACHE, errno
}

func (n *node) Mkdir(ctx context.Context, name string, mode uint32, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	if errno := n.disk.room(); errno != 0 {
		return nil, errno
	}
	return n.LoopbackNode.Mkdir(ctx, name, mode, out)
}

func (n *node) Write(ctx context.Context, f fs.FileHandle, data []byte, off int64) (uint32, syscall.Errno) {
	if errno := n.disk.room(); errno != 0 && !has(f, off, len(data)) {
		return 0, errno
	}
	n.disk.power.RLock()
	defer n.disk.power.RUnlock()
	if n.disk.off {
		return 0, syscall.EIO
	}
	n.unsynced(off, len(data), -1)
	return f.(fs.FileWriter).Write(ctx, data, off)
}

// has says whether the file has room of its own for all of that: a full disk takes what replaces something.
func has(f fs.FileHandle, off int64, length int) bool {
	of, ok := f.(file)
	if !ok {
		return false
	}
	p, ok := of.passed.(fs.FilePassthroughFder)
	if !ok {
		return false
	}
	fd, ok := p.PassthroughFd()
	if !ok {
		return false
	}
	hole, err := unix.Seek(fd, off, unix.SEEK_HOLE)
	return err == nil && hole >= off+int64(length)
}

// Fsync does not sync: the data is with this process' kernel, and this machine does not fail. What was written before is safe from a power cut from now on.
func (n *node) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno {
	begun := n.begun()
	errno := n.disk.sync()
	if errno == 0 {
		n.synced(begun)
	}
	return errno
}

// below is where the file is kept.
func (n *node) below() string {
	return filepath.Join(n.RootData.Path, n.Path(n.RootData.RootNode.EmbeddedInode()))
}

// OpendirHandle gives a handle that can only be read, so that syncs of directories are asked of the node, too.
func (n *node) OpendirHandle(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	h, fuseFlags, errno := n.LoopbackNode.OpendirHandle(ctx, flags)
	if errno != 0 {
		return nil, 0, errno
	}
	return directory{h.(entries)}, fuseFlags, 0
}

// file is a file handle without what would let the kernel, or a sync, pass the disk by. Locks belong to it: a data directory is locked by flock(2).
type file struct{ passed }

// Read copies: what is spliced would be read when the answer is sent, after later writes.
func (f file) Read(ctx context.Context, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	r, errno := f.passed.Read(ctx, dest, off)
	if errno != 0 {
		return nil, errno
	}
	data, status := r.Bytes(dest)
	r.Done()
	return fuse.ReadResultData(data), syscall.Errno(status)
}

type passed interface {
	fs.FileReader
	fs.FileWriter
	fs.FileGetattrer
	fs.FileSetattrer
	fs.FileFlusher
	fs.FileReleaser
}

func guarded(fh fs.FileHandle) fs.FileHandle {
	if fh == nil {
		return nil
	}
	return file{fh.(passed)}
}

type directory struct{ entries }

type entries interface {
	fs.FileReaddirenter
	fs.FileReleasedirer
}

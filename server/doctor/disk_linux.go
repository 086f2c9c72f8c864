package doctor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// fileSystems are those that do not keep what a node was promised, with why.
var fileSystems = map[int64]struct {
	name, text, fix string
	state           State
}{
	unix.TMPFS_MAGIC:           {"tmpfs", "it is in memory: after a power cut, or a restart of the machine, this node has nothing", "put the data directory on a disk", Warning},
	unix.RAMFS_MAGIC:           {"ramfs", "it is in memory: after a power cut, or a restart of the machine, this node has nothing", "put the data directory on a disk", Warning},
	unix.OVERLAYFS_SUPER_MAGIC: {"overlay", "it is the layer of a container and goes with it", "mount a volume at the data directory", Warning},
	unix.NFS_SUPER_MAGIC:       {"NFS", "locks and syncs depend on a server, which all nodes may share: that is one place for all of them to fail", "put the data directory on a disk of this machine", Warning},
	unix.SMB_SUPER_MAGIC:       {"SMB", "locks and syncs depend on a server, which all nodes may share: that is one place for all of them to fail", "put the data directory on a disk of this machine", Warning},
	unix.SMB2_SUPER_MAGIC:      {"SMB", "locks and syncs depend on a server, which all nodes may share: that is one place for all of them to fail", "put the data directory on a disk of this machine", Warning},
	unix.CIFS_SUPER_MAGIC:      {"CIFS", "locks and syncs depend on a server, which all nodes may share: that is one place for all of them to fail", "put the data directory on a disk of this machine", Warning},
}

func (v *visit) fileSystem(dir string) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		v.find("disk", "file system", Skipped, "", "%s: %v", dir, err)
		return
	}
	if st.Flags&unix.ST_RDONLY != 0 {
		v.find("disk", "file system", Fault, "mount it for writing (dmesg says whether the kernel has made it read-only after an error)", "the file system of %s is mounted read-only", dir)
		return
	}
	if known, bad := fileSystems[int64(st.Type)]; bad {
		v.find("disk", "file system", known.state, known.fix, "%s is on %s: %s", dir, known.name, known.text)
		return
	}
	if st.Files > 0 && st.Ffree < 1000 {
		v.find("disk", "file system", Fault, "remove files: a snapshot needs some", "%d more files can be made below %s", st.Ffree, dir)
		return
	}
	v.find("disk", "file system", OK, "", "%s is on a file system that keeps what was synced", dir)
}

// timeSyncs measures how long a small write takes to be durable, in a file that never has a name: whatever ends this process, nothing is left.
func timeSyncs(ctx context.Context, dir string) ([]time.Duration, error) {
	fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EISDIR) {
		return nil, errors.ErrUnsupported
	}
	if err != nil {
		return nil, &os.PathError{Op: "make a file in", Path: dir, Err: err}
	}
	f := os.NewFile(uintptr(fd), dir)
	defer f.Close()
	block := make([]byte, syncBytes)
	var times []time.Duration
	began := time.Now()
	for i := range syncs {
		if ctx.Err() != nil || time.Since(began) > syncTime && len(times) > 0 {
			break
		}
		start := time.Now()
		if _, err := f.WriteAt(block, int64(i)*syncBytes); err != nil {
			return nil, err
		}
		if err := f.Sync(); err != nil {
			return nil, err
		}
		times = append(times, time.Since(start))
	}
	if len(times) == 0 {
		return nil, fmt.Errorf("measure: %w", context.Cause(ctx))
	}
	return times, nil
}

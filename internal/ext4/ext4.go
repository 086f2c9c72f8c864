//go:build linux

// Package ext4 is for tests with a file system of their own, on a loop device, whose power can go off. It needs root, loop devices and mkfs.ext4.
//
// It promises that what PowerOff has not let through is not on the disk when it is attached again, as after a power cut: neither written pages nor the journal.
package ext4

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// EXT4_IOC_SHUTDOWN (fs/ext4/ext4.h) has a mounted file system stop at once; with noLogFlush nothing of the journal that is not on the disk yet goes there.
const (
	shutdown   = 0x8004587d
	noLogFlush = 2
)

// Disk is a file system in an image file. Its methods are not to be called at once.
type Disk struct {
	// Mount is the directory that it is mounted at.
	Mount string
	image string
	loop  string // its device while it is mounted; empty: it is not
}

// New makes a file system of size bytes in the files NAME.image and NAME below dir, and mounts it.
func New(dir, name string, size int64) (*Disk, error) {
	d := &Disk{image: filepath.Join(dir, name+".image"), Mount: filepath.Join(dir, name)}
	if err := os.WriteFile(d.image, nil, 0o600); err != nil {
		return nil, err
	}
	if err := os.Truncate(d.image, size); err != nil {
		return nil, err
	}
	if err := os.Mkdir(d.Mount, 0o700); err != nil {
		return nil, err
	}
	if _, err := run("mkfs.ext4", "-q", "-F", d.image); err != nil {
		return nil, err
	}
	return d, d.Attach()
}

func run(name string, args ...string) (string, error) {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s %s (needs root): %w: %s", name, strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out)), nil
}

// Attach mounts it; its journal is replayed. Each time it is another loop device: some other process's mount namespace may have a copy of the last mount, and with
// the same device the kernel would give back the file system that has stopped.
func (d *Disk) Attach() error {
	loop, err := run("losetup", "--find", "--show", d.image)
	if err != nil {
		return err
	}
	if _, err := run("mount", loop, d.Mount); err != nil {
		_, undo := run("losetup", "--detach", loop)
		return errors.Join(err, undo)
	}
	d.loop = loop
	return nil
}

// Detach unmounts it, unless it is not mounted. Nobody may have a file of it open.
func (d *Disk) Detach() error {
	if d.loop == "" {
		return nil
	}
	if _, err := run("umount", d.Mount); err != nil {
		return err
	}
	_, err := run("losetup", "--detach", d.loop)
	d.loop = ""
	return err
}

// PowerOff stops it. Whoever uses it gets errors from then on, until it was detached and attached again.
func (d *Disk) PowerOff() error {
	f, err := os.Open(d.Mount)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	if err := unix.IoctlSetPointerInt(int(f.Fd()), shutdown, noLogFlush); err != nil {
		return fmt.Errorf("shut %s down: %w", d.Mount, err)
	}
	return nil
}

package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
)

// ErrNoIdentity is returned for a write of Raft state before SetIdentity: a log that belongs to nobody must not exist.
var ErrNoIdentity = errors.New("node identity is not set yet")

// ErrNoSpace is returned (wrapped) when the disk is full. Nothing of the refused write is on disk; later writes are taken
// as soon as there is room.
var ErrNoSpace = errors.New("no space left on the disk")

// ErrKeyNotFound is returned by the stable store for a key that was never set. raft compares its text.
var ErrKeyNotFound = errors.New("not found")

// ErrClosed is returned after Close.
var ErrClosed = errors.New("data directory is closed")

const wayOut = "restore this file from a backup, or stop the node, move the data directory away and let the node join again: the other nodes have the data"

// CorruptError says that bytes on disk are not the ones that were written, or that the system does not give them (Unread).
type CorruptError struct {
	Path   string // the damaged file
	Index  uint64 // the damaged log entry, or the last entry in a damaged snapshot; 0 when the damage is not in one
	Reason string // what did not fit
	Err    error  // the cause, or nil
	Then   string // what follows from it for other files, or empty
}

// Error names the file, what is wrong in it, and what the operator can do.
func (e *CorruptError) Error() string {
	msg := fmt.Sprintf("%s is damaged: ", e.Path)
	if e.Unread() {
		msg = fmt.Sprintf("%s cannot be read, so whether it is whole is not known: ", e.Path)
	}
	if e.Index != 0 {
		msg += fmt.Sprintf("at entry %d: ", e.Index)
	}
	msg += e.Reason
	var file *fs.PathError
	switch cause := e.Err; {
	case errors.As(cause, &file) && file.Path == e.Path: // it is named already
		msg += ": " + file.Err.Error()
	case cause != nil:
		msg += ": " + cause.Error()
	}
	if e.Then != "" {
		msg += "; " + e.Then
	}
	return msg + " (" + wayOut + ")"
}

// Unwrap gives the cause.
func (e *CorruptError) Unwrap() error { return e.Err }

// Unread tells that the system has not given the bytes, so that nobody knows whether they are those that were written. A file that is missing is damage: it
// had been there.
func (e *CorruptError) Unread() bool {
	var errno syscall.Errno
	return errors.As(e.Err, &errno) && errno != syscall.ENOENT
}

// FatalError says that the disk refused a write or an fsync. What is on disk is unknown from there on, so that every later
// write of the same directory fails with it too; the process must stop and be started again.
type FatalError struct {
	Op   string // the operation that failed first
	Path string
	Err  error
}

// Error names the operation and the file.
func (e *FatalError) Error() string {
	return fmt.Sprintf("%s: write to %s failed, no further write is tried: %v", e.Op, e.Path, e.Err)
}

// Unwrap gives the cause.
func (e *FatalError) Unwrap() error { return e.Err }

// LockedError says that another process (or this one) has the data directory open.
type LockedError struct {
	Path string // the lock file
	PID  int    // its holder, 0 when it is not known
}

// Error names the holder.
func (e *LockedError) Error() string {
	who := "another process"
	if e.PID > 0 {
		who = fmt.Sprintf("process %d", e.PID)
	}
	return fmt.Sprintf("%s is locked: %s has this data directory open; stop it first, or use another directory", e.Path, who)
}

// FormatError says that a file was written by a version of Holdfast that this one does not know.
type FormatError struct {
	Path string
	Have int // the file's format
	Want int // the newest format that this version reads
}

// Error names the file and both formats.
func (e *FormatError) Error() string {
	return fmt.Sprintf("%s has format %d, this version reads up to %d: start a version that is as new as the one that wrote it", e.Path, e.Have, e.Want)
}

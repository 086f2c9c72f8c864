package server

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

// markFile is where it is kept, in the data directory.
const markFile = "event-mark"

// eventMark is the number of the last event that has, as far as this node knows, its line in the log of some node. It is kept in the data
// directory, so that the whole group can stop and start again without a second line for anything.
type eventMark struct {
	path string
	log  *slog.Logger

	seq atomic.Uint64

	file sync.Mutex // held while the file is written: a disk may let one wait for ever, and nobody else then
	kept uint64     // what the file says
	none bool       // there is no file, or none that can be read
}

// markBefore has the first leader of a group that begins again on a directory write event seq, its first one, to its log.
func markBefore(dir string, seq uint64) error {
	if err := os.WriteFile(filepath.Join(dir, markFile), []byte(strconv.FormatUint(seq-min(seq, 1), 10)+"\n"), 0o600); err != nil {
		return fmt.Errorf("note which events are in the log: %w", err)
	}
	return nil
}

// openEventMark reads the mark. last is the newest event of the restored state: without a file nothing up to it is written again.
func openEventMark(dir string, last uint64, log *slog.Logger) *eventMark {
	m := &eventMark{path: filepath.Join(dir, markFile), log: log}
	m.seq.Store(last)
	text, err := os.ReadFile(m.path)
	if m.none = true; errors.Is(err, fs.ErrNotExist) {
		// Noted at once: whoever is killed before the first line is written must not take that for written.
		m.keep()
		return m
	}
	if err == nil {
		var seq uint64
		if seq, err = strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64); err == nil {
			m.kept, m.none = seq, false
			m.seq.Store(seq)
			return m
		}
	}
	log.Warn("what is known about events in the log cannot be read: those up to the newest one count as written", "file", m.path, "error", err)
	return m
}

// get never waits for the disk.
func (m *eventMark) get() uint64 { return m.seq.Load() }

// raise takes what this node or another one has written.
func (m *eventMark) raise(seq uint64) {
	for was := m.seq.Load(); was < seq; was = m.seq.Load() {
		if m.seq.CompareAndSwap(was, seq) {
			m.keep()
			return
		}
	}
}

// limit takes back a mark beyond the newest event: it is from a log that this group does not have any more.
func (m *eventMark) limit(last uint64) {
	for was := m.seq.Load(); was > last; was = m.seq.Load() {
		if m.seq.CompareAndSwap(was, last) {
			m.keep()
			return
		}
	}
}

// keep writes the file without waiting for the disk to sync: a process that dies loses nothing, a machine that does can cost a second line. While another call writes it is left to
// that one.
func (m *eventMark) keep() {
	for m.file.TryLock() {
		seq := m.seq.Load()
		err := m.write(seq)
		m.file.Unlock()
		if err != nil {
			m.log.Warn("which events are in the log was not noted: they may get a second line after a restart", "file", m.path, "error", err)
			return
		}
		if m.seq.Load() == seq {
			return
		}
	}
}

// write is for whoever holds file.
func (m *eventMark) write(seq uint64) error {
	if seq == m.kept && !m.none {
		return nil
	}
	next := m.path + ".next"
	err := os.WriteFile(next, []byte(strconv.FormatUint(seq, 10)+"\n"), 0o600)
	if err == nil {
		err = os.Rename(next, m.path)
	}
	if err == nil {
		m.kept, m.none = seq, false
	}
	return err
}

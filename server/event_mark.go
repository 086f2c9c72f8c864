package server

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
)

// eventMark is the number of the last event that has, as far as this node knows, its line in the log of some node. It is kept in the data
// directory, so that the whole group can stop and start again without a second line for anything.
type eventMark struct {
	path string
	log  *slog.Logger

	mu   sync.Mutex
	seq  uint64
	kept uint64 // what the file says
	none bool   // there is no file, or none that can be read
}

// openEventMark reads the mark. last is the newest event of the restored state: without a file nothing up to it is written again.
func openEventMark(dir string, last uint64, log *slog.Logger) *eventMark {
	m := &eventMark{path: filepath.Join(dir, "event-mark"), log: log, seq: last}
	text, err := os.ReadFile(m.path)
	if m.none = true; errors.Is(err, fs.ErrNotExist) {
		// Noted at once: whoever is killed before the first line is written must not take that for written.
		m.keep()
		return m
	}
	if err == nil {
		var seq uint64
		if seq, err = strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64); err == nil {
			m.seq, m.kept, m.none = seq, seq, false
			return m
		}
	}
	log.Warn("what is known about events in the log cannot be read: those up to the newest one count as written", "file", m.path, "error", err)
	return m
}

func (m *eventMark) get() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.seq
}

// raise takes what this node or another one has written.
func (m *eventMark) raise(seq uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if seq > m.seq {
		m.seq = seq
		m.keep()
	}
}

// limit takes back a mark beyond the newest event: it is from a log that this group does not have any more.
func (m *eventMark) limit(last uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.seq > last {
		m.seq = last
		m.keep()
	}
}

// keep writes the file without waiting for the disk: a process that dies loses nothing, a machine that does can cost a second line. m.mu is held.
func (m *eventMark) keep() {
	if m.seq == m.kept && !m.none {
		return
	}
	next := m.path + ".next"
	err := os.WriteFile(next, []byte(strconv.FormatUint(m.seq, 10)+"\n"), 0o600)
	if err == nil {
		err = os.Rename(next, m.path)
	}
	if err != nil {
		m.log.Warn("which events are in the log was not noted: they may get a second line after a restart", "file", m.path, "error", err)
		return
	}
	m.kept, m.none = m.seq, false
}

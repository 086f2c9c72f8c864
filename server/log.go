package server

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// newLogger makes the logger of the process.
func newLogger(w io.Writer, c Config) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		return nil, fmt.Errorf("log level: %w", err)
	}
	options := &slog.HandlerOptions{Level: level}
	var handler slog.Handler = slog.NewTextHandler(w, options)
	if c.LogFormat == "json" {
		handler = slog.NewJSONHandler(w, options)
	}
	return slog.New(handler), nil
}

// logFile is a log that can be reopened after it has been moved away (SIGHUP, logrotate). A nil *logFile discards. Lines are written by a goroutine of its own: a disk that does not
// take them costs lines, and no request waits for it.
type logFile struct {
	path    string
	lines   chan []byte
	waiting atomic.Int64  // bytes in lines
	lost    atomic.Uint64 // lines
	done    chan struct{} // closed when all that was taken is written

	sending sync.RWMutex // held, to read, while a line is put into lines
	closed  bool

	mu sync.Mutex // held while a line is written
	f  *os.File
}

const (
	// logLines is how many writes wait for the disk, and logBytes how many bytes, before more are lost.
	logLines = 8192
	logBytes = 8 << 20
	// logCloseWait is how long Close waits for the disk to take what waits.
	logCloseWait = 2 * time.Second
)

// openLog opens the access log: a path, "-" for standard output, "" for none (nil).
func openLog(path string) (*logFile, error) {
	if path == "" {
		return nil, nil
	}
	l := &logFile{path: path, lines: make(chan []byte, logLines), done: make(chan struct{})}
	if path == "-" {
		l.f = os.Stdout
	} else if err := l.Reopen(); err != nil {
		return nil, err
	}
	go l.run()
	return l, nil
}

func (l *logFile) run() {
	defer close(l.done)
	for line := range l.lines {
		l.mu.Lock()
		n, err := l.f.Write(line)
		l.mu.Unlock()
		l.waiting.Add(-int64(len(line)))
		if err != nil || n < len(line) {
			l.lost.Add(uint64(bytes.Count(line[n:], []byte("\n"))))
		}
	}
}

// Write implements io.Writer. p is whole lines. It never waits; lines that cannot be kept are counted.
func (l *logFile) Write(p []byte) (int, error) {
	l.sending.RLock()
	defer l.sending.RUnlock()
	if l.closed {
		return 0, os.ErrClosed
	}
	taken := false
	if l.waiting.Add(int64(len(p))) <= logBytes {
		select {
		case l.lines <- bytes.Clone(p):
			taken = true
		default:
		}
	}
	if !taken {
		l.waiting.Add(-int64(len(p)))
		l.lost.Add(uint64(bytes.Count(p, []byte("\n"))))
	}
	return len(p), nil
}

// Lost is how many lines no disk has taken.
func (l *logFile) Lost() uint64 {
	if l == nil {
		return 0
	}
	return l.lost.Load()
}

// Reopen opens the path anew. When that fails the old file stays in use. While the disk takes nothing it waits for the line that is being written.
func (l *logFile) Reopen() error {
	if l == nil || l.path == "-" {
		return nil
	}
	f, err := os.OpenFile(l.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	if err != nil {
		return fmt.Errorf("open access log: %w", err)
	}
	l.mu.Lock()
	old := l.f
	l.f = f
	l.mu.Unlock()
	if old != nil {
		return old.Close()
	}
	return nil
}

// Close writes what was taken and closes the file; later writes fail. A disk that does not take it is given up after a while.
func (l *logFile) Close() error {
	if l == nil {
		return nil
	}
	l.sending.Lock()
	was := l.closed
	l.closed = true
	l.sending.Unlock()
	if was {
		return nil
	}
	close(l.lines)
	timer := time.NewTimer(logCloseWait)
	defer timer.Stop()
	select {
	case <-l.done:
	case <-timer.C:
		return fmt.Errorf("close access log: %s takes no more lines", l.path)
	}
	if l.path == "-" {
		return nil
	}
	return l.f.Close()
}

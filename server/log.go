package server

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
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

// logFile is a log that can be reopened after it has been moved away (SIGHUP, logrotate). A nil *logFile discards.
type logFile struct {
	path string

	mu sync.Mutex
	f  *os.File // nil once closed
}

// openLog opens the access log: a path, "-" for standard output, "" for none (nil).
func openLog(path string) (*logFile, error) {
	if path == "" {
		return nil, nil
	}
	l := &logFile{path: path}
	if path == "-" {
		l.f = os.Stdout
		return l, nil
	}
	return l, l.Reopen()
}

// Write implements io.Writer.
func (l *logFile) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.f == nil {
		return 0, os.ErrClosed
	}
	return l.f.Write(p)
}

// Reopen opens the path anew. When that fails the old file stays in use.
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

// Close closes the file; later writes fail.
func (l *logFile) Close() error {
	if l == nil || l.path == "-" {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.f == nil {
		return nil
	}
	err := l.f.Close()
	l.f = nil
	return err
}

package raftnode

import (
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

// quiet is how long the same warning of raft is kept from being repeated: it logs each failed heartbeat.
const quiet = 5 * time.Second

// raftLogger is an hclog.Logger on top of log/slog. raft's Info is Debug here: this package logs the events that matter to
// an operator itself. raft's errors are warnings: nearly all say that a peer does not answer.
type raftLogger struct {
	to   *slog.Logger
	name string
	args []any
	seen *seenMessages
}

var _ hclog.Logger = (*raftLogger)(nil)

// usual are raft's warnings of what is as it should be.
var usual = map[string]bool{
	"skipping application of old log":           true, // its answer to nodeLog.GetCommitIndex
	"peer has newer term, stopping replication": true, // in each hand-over: this node says itself that it does not lead any more
}

type seenMessages struct {
	mu   sync.Mutex
	last map[string]time.Time
}

// first tells whether msg has not been logged lately.
func (s *seenMessages) first(msg string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if now.Sub(s.last[msg]) < quiet {
		return false
	}
	if len(s.last) > 256 { // raft has fewer texts
		clear(s.last)
	}
	s.last[msg] = now
	return true
}

func newRaftLogger(to *slog.Logger) *raftLogger {
	return &raftLogger{to: to.With("component", "raft"), seen: &seenMessages{last: make(map[string]time.Time)}}
}

func (l *raftLogger) Log(level hclog.Level, msg string, args ...any) {
	out := slog.LevelDebug
	switch {
	case level == hclog.Off:
		return
	case level == hclog.Trace:
		out = slog.LevelDebug - 4
	case usual[msg]:
	case level >= hclog.Warn && l.seen.first(msg):
		out = slog.LevelWarn
	}
	ctx := context.Background()
	if !l.to.Enabled(ctx, out) {
		return
	}
	all := append(append(make([]any, 0, len(l.args)+len(args)), l.args...), args...)
	for i, a := range all {
		if f, ok := a.(hclog.Format); ok && len(f) > 0 {
			if text, ok := f[0].(string); ok {
				all[i] = fmt.Sprintf(text, f[1:]...)
			}
		}
	}
	l.to.Log(ctx, out, msg, all...)
}

func (l *raftLogger) Trace(msg string, args ...any) { l.Log(hclog.Trace, msg, args...) }
func (l *raftLogger) Debug(msg string, args ...any) { l.Log(hclog.Debug, msg, args...) }
func (l *raftLogger) Info(msg string, args ...any)  { l.Log(hclog.Info, msg, args...) }
func (l *raftLogger) Warn(msg string, args ...any)  { l.Log(hclog.Warn, msg, args...) }
func (l *raftLogger) Error(msg string, args ...any) { l.Log(hclog.Error, msg, args...) }

func (l *raftLogger) IsTrace() bool { return l.enabled(slog.LevelDebug - 4) }
func (l *raftLogger) IsDebug() bool { return l.enabled(slog.LevelDebug) }
func (l *raftLogger) IsInfo() bool  { return l.enabled(slog.LevelDebug) }
func (l *raftLogger) IsWarn() bool  { return l.enabled(slog.LevelWarn) }
func (l *raftLogger) IsError() bool { return l.enabled(slog.LevelWarn) }

func (l *raftLogger) enabled(level slog.Level) bool {
	return l.to.Enabled(context.Background(), level)
}

func (l *raftLogger) ImpliedArgs() []any { return l.args }
func (l *raftLogger) Name() string       { return l.name }

func (l *raftLogger) With(args ...any) hclog.Logger {
	c := *l
	c.args = append(append([]any(nil), l.args...), args...)
	return &c
}

func (l *raftLogger) Named(name string) hclog.Logger {
	c := *l
	c.name = name
	return &c
}

func (l *raftLogger) ResetNamed(name string) hclog.Logger { return l.Named(name) }

// SetLevel does nothing: the level is slog's.
func (l *raftLogger) SetLevel(hclog.Level) {}

func (l *raftLogger) GetLevel() hclog.Level { return hclog.Debug }

func (l *raftLogger) StandardLogger(*hclog.StandardLoggerOptions) *log.Logger {
	return slog.NewLogLogger(l.to.Handler(), slog.LevelDebug)
}

func (l *raftLogger) StandardWriter(o *hclog.StandardLoggerOptions) io.Writer {
	return l.StandardLogger(o).Writer()
}

package server

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// ownLogPatience is how long who logs waits for the line to be taken. It is far more than a pipe or a disk takes, and less than any election time-out.
	ownLogPatience = 50 * time.Millisecond
	ownLogLines    = 4096
)

// OwnLog takes the lines of a node's own log for whoever keeps them. What is written has been taken when Write returns, so that a process that is killed has said what it
// had to say; but where nobody takes it (a pipe that nobody reads, a disk that hangs) a line is waited for once, and from then on lines wait in memory, and are lost in the end,
// while the node goes on. Write may be called from any goroutine.
type OwnLog struct {
	to    io.Writer
	lines chan ownLine
	stuck atomic.Bool   // a line was not taken in time; until one is
	lost  atomic.Uint64 // lines
	done  chan struct{} // closed when everything has been taken after Close

	mu     sync.RWMutex // held, to read, while a line is put into lines
	closed bool
}

type ownLine struct {
	text  []byte
	taken chan struct{}
}

// NewOwnLog makes one for to, which stays the caller's. Close ends it.
func NewOwnLog(to io.Writer) *OwnLog {
	l := &OwnLog{to: to, lines: make(chan ownLine, ownLogLines), done: make(chan struct{})}
	go l.run()
	return l
}

func (l *OwnLog) run() {
	defer close(l.done)
	for line := range l.lines {
		n, err := l.to.Write(line.text)
		if err != nil || n < len(line.text) {
			l.lost.Add(1)
		}
		l.stuck.Store(false)
		close(line.taken)
	}
}

// Write implements io.Writer; p is one line. It gives no error but after Close.
func (l *OwnLog) Write(p []byte) (int, error) {
	line := ownLine{bytes.Clone(p), make(chan struct{})}
	l.mu.RLock()
	if l.closed {
		l.mu.RUnlock()
		return 0, errors.New("the log is closed")
	}
	queued := false
	select {
	case l.lines <- line:
		queued = true
	default:
		l.lost.Add(1)
	}
	l.mu.RUnlock()
	if !queued || l.stuck.Load() {
		return len(p), nil
	}
	patience := time.NewTimer(ownLogPatience)
	defer patience.Stop()
	select {
	case <-line.taken:
	case <-patience.C:
		l.stuck.Store(true)
	}
	return len(p), nil
}

// Lost is how many lines nobody has taken.
func (l *OwnLog) Lost() uint64 { return l.lost.Load() }

// Close waits a while until what was written has been taken.
func (l *OwnLog) Close() error {
	l.mu.Lock()
	was := l.closed
	l.closed = true
	l.mu.Unlock()
	if was {
		return nil
	}
	close(l.lines)
	patience := time.NewTimer(logCloseWait)
	defer patience.Stop()
	select {
	case <-l.done:
		return nil
	case <-patience.C:
		return errors.New("the log takes no more lines")
	}
}

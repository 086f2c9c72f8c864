package sim

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"sync"
	"time"
)

// trace is what happened, in its order: a line for each event that an observer outside could see, and a hash over these lines and over each message that was delivered.
type trace struct {
	began time.Time
	out   io.Writer // may be nil

	mu    sync.Mutex
	sum   hash.Hash
	lines int
}

func newTrace(out io.Writer) *trace { return &trace{began: time.Now(), sum: sha256.New(), out: out} }

// at is the virtual time since the beginning.
func (t *trace) at() time.Duration { return time.Since(t.began) }

// add notes one event.
func (t *trace) add(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	line := fmt.Sprintf("%14.9f  %s\n", t.at().Seconds(), fmt.Sprintf(format, args...))
	_, _ = io.WriteString(t.sum, line) // never fails
	t.lines++
	if t.out != nil {
		_, _ = io.WriteString(t.out, line)
	}
}

// silent notes what is too much to be printed: a message.
func (t *trace) silent(text string, data []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, _ = fmt.Fprintf(t.sum, "%d %s %d ", t.at(), text, len(data))
	_, _ = t.sum.Write(data)
}

// hash is that of everything so far.
func (t *trace) hash() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return hex.EncodeToString(t.sum.Sum(nil))
}

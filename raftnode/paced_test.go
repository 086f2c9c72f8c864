package raftnode

import (
	"bytes"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestPacedWriterRestsAsLongAsItWorked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		p := &pacedWriter{w: &out}
		for _, c := range []struct{ work, rest time.Duration }{
			{time.Millisecond, 0}, // the first write only starts the clock
			{2 * time.Millisecond, 2 * time.Millisecond},
			{50 * time.Microsecond, 0},
			{80 * time.Microsecond, 130 * time.Microsecond}, // together with the one before
			{time.Second, restMax},
		} {
			time.Sleep(c.work)
			start := time.Now()
			if n, err := p.Write([]byte("abc")); n != 3 || err != nil {
				t.Fatal(n, err)
			}
			if got := time.Since(start); got != c.rest {
				t.Errorf("after %v of work it rested %v, want %v", c.work, got, c.rest)
			}
		}
		if out.String() != "abcabcabcabcabc" {
			t.Errorf("wrote %q", out.String())
		}
	})
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 1, errors.New("broken") }

func TestPacedWriterPassesErrorsOn(t *testing.T) {
	if n, err := (&pacedWriter{w: brokenWriter{}}).Write([]byte("abc")); n != 1 || err == nil {
		t.Error(n, err)
	}
}

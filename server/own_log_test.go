package server

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestOwnLogIsWrittenWhenWriteReturns, in order.
func TestOwnLogIsWrittenWhenWriteReturns(t *testing.T) {
	to := new(logBuffer)
	l := NewOwnLog(to)
	var want strings.Builder
	for i := range 100 {
		line := fmt.Sprintf("line %d\n", i)
		want.WriteString(line)
		if n, err := io.WriteString(l, line); n != len(line) || err != nil {
			t.Fatal(n, err)
		}
		if to.String() != want.String() {
			t.Fatalf("%q after line %d", to.String(), i)
		}
	}
	if err := l.Close(); err != nil || l.Close() != nil || l.Lost() != 0 {
		t.Error(err, l.Lost())
	}
	if _, err := io.WriteString(l, "late\n"); err == nil {
		t.Error("it takes lines after its end")
	}
}

// blocked takes nothing until it is let go.
type blocked struct {
	logBuffer
	go_ chan struct{}
}

func (b *blocked) Write(p []byte) (int, error) {
	<-b.go_
	return b.logBuffer.Write(p)
}

// TestOwnLogThatHangs: UCD-22. Nobody waits for it but once; lines wait, then they are lost and counted; what has waited is written when it is taken again.
func TestOwnLogThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to := &blocked{go_: make(chan struct{})}
		l := NewOwnLog(to)
		start := time.Now()
		for range ownLogLines + 101 { // one of them is being written
			io.WriteString(l, "x\n")
		}
		if took := time.Since(start); took != ownLogPatience {
			t.Errorf("it took %v", took)
		}
		if l.Lost() != 100 {
			t.Errorf("%d lines are lost", l.Lost())
		}
		close(to.go_)
		synctest.Wait()
		io.WriteString(l, "again\n")
		if text := to.String(); strings.Count(text, "x\n") != ownLogLines+1 || !strings.HasSuffix(text, "again\n") {
			t.Errorf("%d bytes", len(text))
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}

		to = &blocked{go_: make(chan struct{})}
		l = NewOwnLog(to)
		io.WriteString(l, "x\n")
		start = time.Now()
		if err := l.Close(); err == nil || time.Since(start) != logCloseWait {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		close(to.go_)
	})
}

package server

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestAccessLogKeepsOrderAndMoves(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	l, err := openLog(path)
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 0, 64) // a writer may use its own again
	for i := range 3000 {
		buf = fmt.Appendf(buf[:0], "line %d\n", i)
		if n, err := l.Write(buf); n != len(buf) || err != nil {
			t.Fatal(n, err)
		}
	}
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	if err := l.Reopen(); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Write([]byte("line 3000\n")); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Write([]byte("late")); err == nil || l.Close() != nil {
		t.Error("written after the end, or closed twice with an error")
	}
	var all string
	for _, name := range []string{path + ".1", path} {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all += string(b)
	}
	var want strings.Builder
	for i := range 3001 {
		fmt.Fprintf(&want, "line %d\n", i)
	}
	if all != want.String() || l.Lost() != 0 {
		t.Errorf("%d bytes, want %d; %d lines lost", len(all), want.Len(), l.Lost())
	}
	var none *logFile
	if none.Close() != nil || none.Reopen() != nil || none.Lost() != 0 {
		t.Error("no access log is not nothing")
	}
}

// TestFullAccessLogStopsNobody: each line is refused, and counted.
func TestFullAccessLogStopsNobody(t *testing.T) {
	l, err := openLog("/dev/full")
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if _, err := l.Write([]byte("line\n")); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil || l.Lost() != 100 {
		t.Errorf("%v; %d lines lost", err, l.Lost())
	}
}

// TestHungAccessLogStopsNobody: nobody reads the pipe, so that writes to it hang as those to a hung disk do.
func TestHungAccessLogStopsNobody(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	reader, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	l, err := openLog(path)
	if err != nil {
		t.Fatal(err)
	}
	line := []byte(strings.Repeat("x", 1023) + "\n")
	start := time.Now()
	for range 2 * logLines {
		if _, err := l.Write(line); err != nil {
			t.Fatal(err)
		}
	}
	if l.Lost() == 0 || time.Since(start) > 10*time.Second {
		t.Errorf("%d lines lost in %v", l.Lost(), time.Since(start))
	}
	if err := l.Close(); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("close: %v", err)
	}
	if err := reader.Close(); err != nil { // the writer's end breaks
		t.Fatal(err)
	}
	select {
	case <-l.done:
	case <-time.After(10 * time.Second):
		t.Error("the writer is still there")
	}
}

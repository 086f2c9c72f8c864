package server

import (
	"log/slog"
	"sync"
	"testing"
	"time"
)

// TestEventMarkOnAHungDisk: while a write hangs, what the node says of itself, and what it is told, does not wait for it.
func TestEventMarkOnAHungDisk(t *testing.T) {
	dir := t.TempDir()
	log := slog.New(slog.DiscardHandler)
	m := openEventMark(dir, 5, log)
	m.file.Lock() // as the write that hangs does
	done := make(chan struct{})
	go func() {
		defer close(done)
		m.raise(9)
		m.limit(8)
		if got := m.get(); got != 8 {
			t.Errorf("mark %d", got)
		}
	}()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("it waits for the disk")
	}
	if got := openEventMark(dir, 0, log).get(); got != 5 {
		t.Errorf("the file says %d, and was not written", got)
	}
	m.file.Unlock()
	m.raise(10)
	if got := openEventMark(dir, 0, log).get(); got != 10 {
		t.Errorf("the file says %d", got)
	}
}

func TestEventMarkKeepsTheNewest(t *testing.T) {
	dir := t.TempDir()
	log := slog.New(slog.DiscardHandler)
	m := openEventMark(dir, 0, log)
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 50 {
				m.raise(uint64(i*8 + w + 1))
			}
		})
	}
	wg.Wait()
	if got := openEventMark(dir, 0, log).get(); got != 400 || m.get() != 400 {
		t.Errorf("the file says %d, the node %d", got, m.get())
	}
}

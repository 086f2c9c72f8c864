package lb

import (
	"context"
	"net"
	"os"
	"time"
)

const (
	// lastHandshakes is how long a listener that stops waits for handshakes that have begun: the round trip of a client on another continent.
	lastHandshakes = 250 * time.Millisecond
	// handshakePoll is short, because new clients are not refused yet but ignored meanwhile: they would try again after a second.
	handshakePoll = 2 * time.Millisecond
)

// finishListening gives the address up when every client that has a connection, or is about to, has been accepted. Closing at once would reset those
// in the listen queue: they have been told that they are connected, and what they have sent is lost. ctx, and lastHandshakes, bound it.
func (f *front) finishListening(ctx context.Context) {
	defer f.stopListening()
	f.cancel()
	f.mu.Lock()
	f.over = true
	ln := f.ln
	f.mu.Unlock()
	if ln == nil || f.leavesQueue() || ctx.Err() != nil || ignoreNew(ln) != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, lastHandshakes)
	defer cancel()
	poll := time.NewTicker(handshakePoll)
	defer poll.Stop()
	port := ln.Addr().(*net.TCPAddr).Port
	for listenQueue(ln) > 0 || handshakes(port) > 0 || listenQueue(ln) > 0 { // a handshake that ends goes into the queue
		select {
		case <-poll.C:
		case <-ctx.Done():
			return
		}
	}
}

// handshakes is the number of connections to a local port that have begun but are not established, as far as the kernel shows them.
func handshakes(port int) (n int) {
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		if text, err := os.ReadFile(table); err == nil {
			n += len(socketsIn(string(text), stateHandshake, uint16(port)))
		}
	}
	return n
}

package lb

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

var errBadUpgrade = errors.New("the instance switched to a protocol that nobody asked for")

// upgrade joins client and instance after 101 Switching Protocols until one of them ends. The request stays in flight so long.
func (x *exchange) upgrade(resp *http.Response) error {
	x.info.close()
	wanted, got := x.wanted, resp.Header.Get("Upgrade")
	instanceConn, ok := resp.Body.(io.ReadWriteCloser)
	if !ok || wanted == "" || !strings.EqualFold(wanted, got) {
		return errBadUpgrade
	}
	hijacker, ok := x.w.(http.Hijacker)
	if !ok {
		return errors.New("the client's connection cannot be taken over")
	}
	x.body.leave()
	conn, buffered, err := hijacker.Hijack()
	if err != nil {
		return fmt.Errorf("take over the client's connection: %w", err)
	}
	defer x.leaveBody(conn)()
	t := &tunnel{client: conn, instance: instanceConn}
	if !x.b.tunnels.add(t) {
		t.close()
		return errClosed
	}
	defer x.b.tunnels.remove(t)
	x.endBy(t.close)
	clientConnOf(x.r.Context()).upgraded()
	conn.SetWriteDeadline(time.Time{}) // that of an earlier response; an error means that it is closed already
	t.patience = x.edge.tunnel
	x.hideInstances(resp.Header)
	x.tellRequestID(resp.Header)
	x.tellHSTS(resp.Header)
	x.tellAltSvc(resp.Header)
	x.status = http.StatusSwitchingProtocols
	if err := writeSwitch(buffered.Writer, resp.Header); err != nil {
		t.close()
		x.problem = err.Error()
		return nil
	}
	x.endTrace() // with the handshake
	defer x.keepInUse()()
	early, _ := buffered.Reader.Peek(buffered.Reader.Buffered()) // cannot fail: they are there
	x.sent = t.run(early)
	return nil
}

// leaveBody waits until nobody reads the request's body any more: an instance may have switched before it has got all of it, and what the client sends from now on goes through
// the tunnel. The result is called at the tunnel's end, and lets go of http.Transport.
func (x *exchange) leaveBody(conn net.Conn) (end func()) {
	if x.body == nil {
		return func() {}
	}
	conn.SetReadDeadline(longAgo) // an error means that it is closed already
	x.body.turn.Lock()            // a read that was about to begin when the connection was taken over returns as well
	conn.SetReadDeadline(time.Time{})
	x.body.turn.Unlock()
	return func() {
		x.body.take()
		x.body = nil // there is nothing of it that could be read to its end
	}
}

// writeSwitch sends the head of the 101 response.
func writeSwitch(w *bufio.Writer, h http.Header) error {
	w.WriteString("HTTP/1.1 101 Switching Protocols\r\n")
	if err := h.Write(w); err != nil {
		return fmt.Errorf("%w: %w", errClientWrite, err)
	}
	w.WriteString("\r\n")
	if err := w.Flush(); err != nil {
		return fmt.Errorf("%w: %w", errClientWrite, err)
	}
	return nil
}

// halfOpenTime is how long one direction of a tunnel may go on after the other has ended.
const halfOpenTime = 30 * time.Second

// tunnel is a pair of joined connections.
type tunnel struct {
	client   io.ReadWriteCloser
	instance io.ReadWriteCloser
	patience time.Duration // how long neither side may send anything; 0: no bound
	moved    atomic.Int64  // pieces that have gone either way
	expired  atomic.Bool   // it has been closed because nothing came
}

func (t *tunnel) close() {
	t.client.Close()
	t.instance.Close()
}

// run copies both ways, early first to the instance, and returns the bytes that went to the client. An end of stream is passed on where the connection can
// be half-closed; otherwise, and after an error, both ends are closed.
func (t *tunnel) run(early []byte) int64 {
	var up sync.WaitGroup
	halfOpen := time.AfterFunc(time.Hour, t.close)
	halfOpen.Stop()
	defer halfOpen.Stop()
	defer t.watch()()
	up.Go(func() {
		defer halfOpen.Reset(halfOpenTime)
		if len(early) > 0 {
			if _, err := t.instance.Write(early); err != nil {
				t.close()
				return
			}
		}
		if _, err := t.pipe(t.instance, t.client); err != nil || closeWrite(t.instance) != nil {
			t.close()
		}
	})
	sent, err := t.pipe(t.client, t.instance)
	if err != nil || closeWrite(t.client) != nil {
		t.close()
	}
	halfOpen.Reset(halfOpenTime)
	up.Wait()
	t.close()
	return sent
}

// idleBuffer is what a direction of a tunnel waits with, in bytes: most tunnels are silent most of the time, and most of what is said on them is short.
const idleBuffer = 2 << 10

// pipe copies until from ends. A large buffer is there only while what comes fills what it is read into.
func (t *tunnel) pipe(to io.Writer, from io.Reader) (sent int64, err error) {
	small := make([]byte, idleBuffer)
	var large *[copyBufferLen]byte
	release := func() {
		if large != nil {
			copyBuffers.Put(large)
			large = nil
		}
	}
	defer release()
	for {
		buffer := small
		if large != nil {
			buffer = large[:]
		}
		n, end := from.Read(buffer)
		if n > 0 {
			t.moved.Add(1)
			wrote, err := to.Write(buffer[:n])
			if sent += int64(wrote); err != nil {
				return sent, err
			}
		}
		switch {
		case end == io.EOF:
			return sent, nil
		case end != nil:
			return sent, end
		case n < len(buffer):
			release()
		case large == nil:
			large = copyBuffers.Get().(*[copyBufferLen]byte)
		}
	}
}

// watch closes the tunnel once nothing has come from either side for as long as that may be; it looks four times in that time.
func (t *tunnel) watch() (stop func()) {
	if t.patience <= 0 {
		return func() {}
	}
	var mu sync.Mutex // held to set the timer again, or to stop it for good
	over := false
	last, since := t.moved.Load(), time.Now()
	var timer *time.Timer
	mu.Lock()
	defer mu.Unlock()
	timer = time.AfterFunc(t.patience/4, func() {
		mu.Lock()
		defer mu.Unlock()
		if now := t.moved.Load(); now != last {
			last, since = now, time.Now()
		}
		switch {
		case over:
		case time.Since(since) >= t.patience:
			t.expired.Store(true)
			t.close()
		default:
			timer.Reset(t.patience / 4)
		}
	})
	return func() {
		mu.Lock()
		defer mu.Unlock()
		over = true
		timer.Stop()
	}
}

func closeWrite(c any) error {
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return http.ErrNotSupported
}

// tunnels are the open ones: http.Server does not know them any more.
type tunnels struct {
	mu     sync.Mutex
	open   map[*tunnel]struct{}
	closed bool
}

func (s *tunnels) add(t *tunnel) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	if s.open == nil {
		s.open = make(map[*tunnel]struct{})
	}
	s.open[t] = struct{}{}
	return true
}

func (s *tunnels) remove(t *tunnel) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, t)
}

// closeAll ends all of them; new ones are refused from now on.
func (s *tunnels) closeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for t := range s.open {
		t.close()
	}
}

// upgradeWanted gives the protocol that the client wants to switch to, "" where that cannot be had: instances that are spoken to in HTTP/2 know no Upgrade.
func (x *exchange) upgradeWanted() string {
	if x.mod.cluster.h2 {
		return ""
	}
	return upgradeOf(x.r)
}

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
	conn, buffered, err := hijacker.Hijack()
	if err != nil {
		return fmt.Errorf("take over the client's connection: %w", err)
	}
	t := &tunnel{client: conn, instance: instanceConn}
	if !x.b.tunnels.add(t) {
		t.close()
		return errClosed
	}
	defer x.b.tunnels.remove(t)
	x.status = http.StatusSwitchingProtocols
	if err := writeSwitch(buffered.Writer, resp.Header); err != nil {
		t.close()
		x.problem = err.Error()
		return nil
	}
	defer x.keepInUse()()
	x.sent = t.run(buffered.Reader)
	return nil
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
	client   net.Conn
	instance io.ReadWriteCloser
}

func (t *tunnel) close() {
	t.client.Close()
	t.instance.Close()
}

// run copies both ways and returns the bytes that went to the client. An end of stream is passed on where the connection can
// be half-closed; otherwise, and after an error, both ends are closed.
func (t *tunnel) run(fromClient *bufio.Reader) int64 {
	var up sync.WaitGroup
	halfOpen := time.AfterFunc(time.Hour, t.close)
	halfOpen.Stop()
	defer halfOpen.Stop()
	up.Go(func() {
		defer halfOpen.Reset(halfOpenTime)
		if n := fromClient.Buffered(); n > 0 {
			early, _ := fromClient.Peek(n) // cannot fail: they are buffered
			if _, err := t.instance.Write(early); err != nil {
				t.close()
				return
			}
		}
		if _, err := pipe(t.instance, t.client); err != nil || closeWrite(t.instance) != nil {
			t.close()
		}
	})
	sent, err := pipe(t.client, t.instance)
	if err != nil || closeWrite(t.client) != nil {
		t.close()
	}
	halfOpen.Reset(halfOpenTime)
	up.Wait()
	t.close()
	return sent
}

func pipe(to io.Writer, from io.Reader) (int64, error) {
	buffer := copyBuffers.Get().(*[copyBufferLen]byte)
	defer copyBuffers.Put(buffer)
	return io.CopyBuffer(struct{ io.Writer }{to}, struct{ io.Reader }{from}, buffer[:])
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

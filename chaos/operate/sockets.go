package operate

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"golang.org/x/net/websocket"
)

// Sockets are open WebSockets to the sample application, which says its name first and then echoes.
type Sockets struct {
	conns []*websocket.Conn
	names []string
}

// OpenSockets opens n of them through the nodes of a target, in turn.
func OpenSockets(t Target, n int) (*Sockets, error) {
	s := &Sockets{conns: make([]*websocket.Conn, n), names: make([]string, n)}
	err := s.each(func(i int) error {
		node := t.Nodes[i%len(t.Nodes)]
		config, err := websocket.NewConfig("ws://"+node+t.Path, "http://"+node)
		if err != nil {
			return err
		}
		config.Dialer = &net.Dialer{Timeout: 10 * time.Second}
		if s.conns[i], err = config.DialContext(context.Background()); err != nil {
			return err
		}
		return websocket.Message.Receive(s.conns[i], &s.names[i])
	})
	if err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// Check sends a message through each and wants it back.
func (s *Sockets) Check() error {
	return s.each(func(i int) error {
		c := s.conns[i]
		if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
			return err
		}
		sent, got := fmt.Sprintf("still there %d", i), ""
		if err := websocket.Message.Send(c, sent); err != nil {
			return fmt.Errorf("WebSocket %d to %s: %w", i, s.names[i], err)
		}
		if err := websocket.Message.Receive(c, &got); err != nil {
			return fmt.Errorf("WebSocket %d to %s: %w", i, s.names[i], err)
		}
		if got != sent {
			return fmt.Errorf("WebSocket %d to %s: %q came back as %q", i, s.names[i], sent, got)
		}
		return nil
	})
}

// Len is how many there are.
func (s *Sockets) Len() int { return len(s.conns) }

// Close closes them.
func (s *Sockets) Close() {
	for _, c := range s.conns {
		if c != nil {
			_ = c.Close()
		}
	}
}

// each does the same for all, 16 at once.
func (s *Sockets) each(do func(i int) error) error {
	const workers = 16
	errs := make([]error, len(s.conns))
	var all sync.WaitGroup
	for w := range workers {
		all.Go(func() {
			for i := w; i < len(s.conns); i += workers {
				errs[i] = do(i)
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

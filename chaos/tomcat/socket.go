package main

import (
	"context"
	"fmt"
	"net"
	"time"

	"golang.org/x/net/websocket"

	"github.com/holdfast-lb/holdfast/chaos/group"
)

// socket is a WebSocket to the examples' echo endpoint.
type socket struct {
	conn *websocket.Conn
	node string
}

func (s *scenario) dialSocket(n *group.Node, endpoint, cookies string) (*socket, error) {
	config, err := websocket.NewConfig("ws://"+n.Traffic+"/examples/websocket/"+endpoint, "http://"+n.Traffic+"/")
	if err != nil {
		return nil, err
	}
	config.Dialer = &net.Dialer{Timeout: 5 * time.Second}
	if cookies != "" {
		config.Header.Set("Cookie", cookies)
	}
	conn, err := config.DialContext(context.Background())
	if err != nil {
		return nil, fmt.Errorf("WebSocket %s through node %s: %w", endpoint, n.Name, err)
	}
	return &socket{conn: conn, node: n.Name}, nil
}

// echo sends a text and expects it back.
func (s *socket) echo(text string) error {
	if err := s.conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	if err := websocket.Message.Send(s.conn, text); err != nil {
		return fmt.Errorf("WebSocket through node %s: %w", s.node, err)
	}
	var got string
	if err := websocket.Message.Receive(s.conn, &got); err != nil {
		return fmt.Errorf("WebSocket through node %s: %w", s.node, err)
	}
	if got != text {
		return fmt.Errorf("WebSocket through node %s: sent %q, got %q", s.node, text, got)
	}
	return nil
}

func (s *socket) close() { _ = s.conn.Close() }

// heldSocket opens a WebSocket through a node other than the one given, to see whether it outlives that one.
func (s *scenario) heldSocket(notThis *group.Node) (*socket, error) {
	held, err := s.dialSocket(s.group.Other(notThis), "echoProgrammatic", s.users[0].jar.Header())
	if err != nil {
		return nil, err
	}
	return held, held.echo("before")
}

// sockets echoes through every node, with a session and without one.
func (s *scenario) sockets(context.Context) error {
	began := time.Now()
	echoes := 0
	for _, n := range s.group.Nodes {
		for _, endpoint := range []string{"echoProgrammatic", "echoAnnotation"} {
			for _, cookies := range []string{"", s.users[1].jar.Header()} {
				conn, err := s.dialSocket(n, endpoint, cookies)
				if err != nil {
					return err
				}
				for i := range 10 {
					if err := conn.echo(fmt.Sprintf("message %d through %s", i, n.Name)); err != nil {
						return err
					}
					echoes++
				}
				conn.close()
			}
		}
	}
	s.table.rows = append(s.table.rows, row{mode: modeName(s.routed), phase: "WebSocket echoes", requests: echoes, took: time.Since(began)})
	s.say("%-18s %d messages through every node", "WebSocket echoes", echoes)
	return nil
}

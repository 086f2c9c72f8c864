package load

import (
	"fmt"
	"time"

	"golang.org/x/net/websocket"

	"github.com/holdfast-lb/holdfast/chaos/ledger"
)

const (
	// socketsOf requests of a session that has WebSockets one is the opening of such.
	socketsOf = 8
	// socketStays is how long one stays open at most.
	socketStays = time.Second
)

// socket opens a WebSocket of the session, hears from the application who it is, has a message come back, and again after a while. That it breaks in between is noted and nothing more: nodes die.
func (w *Worker) socket(s *Session, t Target, nonce string) (ledger.Answer, error) {
	deadline := time.Now().Add(w.load.options.Attempt)
	config, err := websocket.NewConfig("ws://"+t.Addr+s.Kind.Socket, "http://"+t.Addr)
	if err != nil {
		return ledger.Answer{}, err
	}
	config.Header.Set("Cookie", s.Jar.Header())
	conn, err := w.load.dial(t.Addr, deadline)
	if err != nil {
		return ledger.Answer{}, err
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(deadline); err != nil {
		return ledger.Answer{}, err
	}
	socket, err := websocket.NewClient(config, conn)
	if err != nil {
		return ledger.Answer{}, err
	}
	var name string
	if err := websocket.Message.Receive(socket, &name); err != nil {
		return ledger.Answer{}, fmt.Errorf("no greeting: %w", err)
	}
	got, err := echo(socket, nonce)
	if err != nil {
		return ledger.Answer{}, err
	}
	answer := ledger.Answer{At: time.Now(), Node: t.Node, Instance: name, Crossed: got != nonce}
	w.load.Record.Sockets.Add(1)
	later := time.NewTimer(time.Duration(w.random.Int64N(int64(socketStays))))
	defer later.Stop()
	<-later.C
	again := nonce + "-again"
	switch got, err := echo(socket, again); {
	case err != nil:
		w.load.Record.Broken.Add(1)
	case got != again:
		answer.Crossed = true
	}
	return answer, nil
}

func echo(socket *websocket.Conn, text string) (got string, err error) {
	if err := websocket.Message.Send(socket, text); err != nil {
		return "", err
	}
	err = websocket.Message.Receive(socket, &got)
	return got, err
}

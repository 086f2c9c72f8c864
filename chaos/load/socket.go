package load

import (
	"cmp"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
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

// What instances and clients of the harness send over WebSockets. Nothing on the way looks into frames, so random bytes of a faulty instance can come out of the library as a text; it is nobody's.
var (
	aGreeting = regexp.MustCompile("^[a-z][a-z0-9-]+$")
	aMessage  = regexp.MustCompile("^[0-9]+-[0-9]+(-again)?$") // see Worker.attempt
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
	answers := &opening{Conn: conn}
	socket, err := websocket.NewClient(config, answers)
	if err != nil {
		return ledger.Answer{}, cmp.Or(answers.status(), err)
	}
	var name string
	if err := websocket.Message.Receive(socket, &name); err != nil {
		return ledger.Answer{}, fmt.Errorf("no greeting: %w", err)
	}
	if !aGreeting.MatchString(name) {
		return ledger.Answer{}, fmt.Errorf("no greeting: %.40q", name)
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

// opening keeps the beginning of what comes: the library does not say with which status a WebSocket was refused.
type opening struct {
	net.Conn
	first []byte
}

func (o *opening) Read(b []byte) (int, error) {
	n, err := o.Conn.Read(b)
	o.first = append(o.first, b[:min(n, len("HTTP/1.1 500")-len(o.first))]...)
	return n, err
}

// status is the status of an answer that opens no WebSocket; nil: there was no such answer.
func (o *opening) status() error {
	text, found := strings.CutPrefix(string(o.first), "HTTP/1.1 ")
	if code, err := strconv.Atoi(text); found && err == nil && code != http.StatusSwitchingProtocols {
		return status(code)
	}
	return nil
}

// echo sends a message and gives the one that comes back, this or another client's.
func echo(socket *websocket.Conn, text string) (got string, err error) {
	if err := websocket.Message.Send(socket, text); err != nil {
		return "", err
	}
	if err := websocket.Message.Receive(socket, &got); err != nil {
		return "", err
	}
	if !aMessage.MatchString(got) {
		return "", fmt.Errorf("no client's message: %.40q after %q", got, text)
	}
	return got, nil
}

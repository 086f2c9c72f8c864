package load

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/holdfast-lb/holdfast/chaos/ledger"
)

// Any lets the worker draw the node.
const Any = -1

// reply is the part of internal/sampleapp.Answer that a client looks at. It is repeated here because the harness sees only
// what goes over the wire.
type reply struct {
	Instance string `json:"instance"`
	Session  string `json:"session"`
	Count    int    `json:"count"`
	New      bool   `json:"new"`
	Nonce    string `json:"nonce"`
	SHA256   string `json:"sha256"`
}

// Start makes a new session through a node and opens its entry. An error means that there was no answer in time.
func (w *Worker) Start(ctx context.Context, kind Kind, node int) (*Session, error) {
	s := &Session{Kind: kind}
	began := time.Now()
	seen := w.opens(s, true)
	answer, err := w.ask(ctx, s, node, &seen)
	if err != nil {
		w.load.tell(seen, answer, err)
		return nil, err
	}
	w.load.Record.Fresh.Add(answer.At.Sub(began))
	w.load.told(s, answer)
	w.load.tell(seen, answer, nil)
	return s, nil
}

// Visit sends one more request of a session and notes whether the answer keeps the promise. An error means that there was
// no answer in time; a broken promise is in the ledger.
func (w *Worker) Visit(ctx context.Context, s *Session, node int) error {
	began := time.Now()
	seen := w.opens(s, false)
	answer, err := w.ask(ctx, s, node, &seen)
	if err == nil {
		w.load.Record.Assigned.Add(answer.At.Sub(began))
		w.load.Ledger.Repeated(s.Entry, answer)
	}
	w.load.tell(seen, answer, err)
	return err
}

// ask sends the request to the node, then, as long as there is patience, to the next ones.
func (w *Worker) ask(ctx context.Context, s *Session, node int, seen *Request) (ledger.Answer, error) {
	o := &w.load.options
	if node == Any {
		node = w.random.IntN(len(o.Targets))
	}
	w.load.Record.Requests.Add(1)
	deadline := time.Now().Add(o.Patience)
	for attempt := 0; ; attempt++ {
		answer, err := w.attempt(s, (node+attempt)%len(o.Targets))
		if err == nil {
			answer.Sent = seen.Sent
			return answer, nil
		}
		seen.note(err)
		if time.Now().After(deadline) || ctx.Err() != nil {
			w.load.Record.Failed.Add(1)
			return ledger.Answer{}, fmt.Errorf("%s request: no answer after %d attempts: %w", s.Kind.Name, attempt+1, err)
		}
		w.load.Record.Retried.Add(1)
		w.load.Record.because(err)
		if attempt%len(o.Targets) == len(o.Targets)-1 { // all were asked: a browser's user waits before pressing again
			pause(ctx, 20*time.Millisecond)
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// attempt asks one node once. A kept connection that the node closed in the meantime is replaced without counting it as a
// failure, as every HTTP client does (RFC 9110, 9.2.2: GET is idempotent).
func (w *Worker) attempt(s *Session, node int) (ledger.Answer, error) {
	target := w.load.options.Targets[node]
	w.sent++
	nonce := w.prefix + strconv.FormatUint(w.sent, 10)
	if s.Kind.Socket != "" && s.Entry != nil && w.random.IntN(socketsOf) == 0 {
		answer, err := w.socket(s, target, nonce)
		if err != nil {
			return ledger.Answer{}, fmt.Errorf("node %s: WebSocket: %w", target.Node, err)
		}
		return answer, nil
	}
	body := w.upload(s)
	r, err := w.exchange(node, request{path: s.Kind.Path, cookie: s.Jar.Header(), nonce: nonce, body: body}, s)
	if err != nil {
		return ledger.Answer{}, fmt.Errorf("node %s: %w", target.Node, err)
	}
	at := time.Now()
	if r.status != 200 {
		return ledger.Answer{}, fmt.Errorf("node %s: %w: %.200s", target.Node, status(r.status), r.body)
	}
	var said reply
	if err := json.Unmarshal(r.body, &said); err != nil {
		return ledger.Answer{}, fmt.Errorf("node %s: %w in %.200q", target.Node, err, r.body)
	}
	s.take(r.setCookies, said.Instance)
	answer := ledger.Answer{
		At: at, Node: target.Node, Instance: said.Instance, Session: said.Session, Count: said.Count, New: said.New,
		Crossed: said.Nonce != nonce,
	}
	if body != nil {
		w.uploaded(s, body, &said, &answer)
	}
	return answer, nil
}

// exchange sends a request of a session, nil for none, and counts it there if it may not be repeated.
func (w *Worker) exchange(node int, r request, s *Session) (response, error) {
	deadline := time.Now().Add(w.load.options.Attempt)
	for {
		c := w.conns[node]
		if c == nil {
			addr := w.load.options.Targets[node].Addr
			made, err := w.load.dial(addr, deadline)
			if err != nil {
				return response{}, err
			}
			c = newConn(addr, made)
			w.conns[node] = c
		}
		if s != nil && r.body != nil { // what was not even sent cannot have been executed
			s.sent++
		}
		kept := c.used
		answer, err := c.do(r, deadline)
		if err != nil || answer.closes {
			c.close()
			w.conns[node] = nil
		}
		if err != nil && kept && time.Now().Before(deadline) {
			continue
		}
		return answer, err
	}
}

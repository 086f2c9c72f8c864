package hostile

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Answer is one response as a strict client reads it.
type Answer struct {
	Status    int
	Fields    []string // "name: value", names in lower case
	Framing   Framing
	Body      string
	Whole     bool
	Close     bool // it says that the connection ends
	Ambiguous []string
}

// Client is one connection that sends bytes as they are and reads answers with no leniency.
type Client struct {
	conn net.Conn
	in   *bufio.Reader
}

// Dial connects. The whole connection has to be over within the time.
func Dial(addr string, within time.Duration) (*Client, error) {
	conn, err := net.DialTimeout("tcp", addr, within)
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(time.Now().Add(within)); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return &Client{conn, bufio.NewReader(conn)}, nil
}

// Close ends the connection.
func (c *Client) Close() { _ = c.conn.Close() } // who closes has no use for an error

// Send writes the bytes in pieces that end at the cuts, with a pause after each. The other side may answer and hang up before the end, so an error says
// nothing: what it answers counts.
func (c *Client) Send(raw string, cuts []int, pause time.Duration) {
	at := 0
	for _, cut := range append(slices.Clone(cuts), len(raw)) {
		if _, err := io.WriteString(c.conn, raw[at:cut]); err != nil {
			return
		}
		if at = cut; at < len(raw) {
			time.Sleep(pause) // lets the other side see this piece alone
		}
	}
}

// End says that nothing more will be sent.
func (c *Client) End() {
	if half, ok := c.conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite() // the other side may have hung up
	}
}

// Answer reads the next final answer to a request with the method. io.EOF says that the connection ended in an orderly way, or was reset between answers.
func (c *Client) Answer(method string) (Answer, error) {
	for range 200 {
		h, err := readHead(c.in)
		if err != nil {
			return Answer{}, err
		}
		a := h.answer()
		if a.Status >= 100 && a.Status < 200 && a.Status != 101 {
			continue
		}
		empty := method == "HEAD" || a.Status == 204 || a.Status == 304
		switch {
		case empty:
			a.Whole = true
		case h.framing == None: // until the end
			rest, err := io.ReadAll(c.in)
			a.Body, a.Whole, a.Close = string(rest), err == nil, true
		default:
			a.Body, err = h.body(c.in)
			a.Whole = err == nil
		}
		a.Ambiguous = h.ambiguous
		return a, nil
	}
	return Answer{}, errors.New("200 interim answers and no final one")
}

// Rest reads to the end, which must come: it gives what came before it.
func (c *Client) Rest() (string, error) {
	b, err := io.ReadAll(io.LimitReader(c.in, 1<<20))
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return string(b), fmt.Errorf("the connection stays open: %w", err)
	}
	return string(b), nil // a reset is an end
}

// answer reads the first line.
func (h *head) answer() Answer {
	a := Answer{Fields: h.fields, Framing: h.framing}
	version, rest, _ := strings.Cut(h.first, " ")
	code, _, _ := strings.Cut(rest, " ")
	n, err := strconv.Atoi(code)
	if version != "HTTP/1.1" && version != "HTTP/1.0" || len(code) != 3 || err != nil {
		h.suspect("status line %.80q", h.first)
	}
	a.Status = n
	options := strings.ToLower(strings.Join(h.values("connection"), ","))
	a.Close = strings.Contains(options, "close") || version == "HTTP/1.0" && !strings.Contains(options, "keep-alive")
	return a
}

package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/holdfast-lb/holdfast/internal/sampleapp"
)

// NodeHeader is the header in which an instance says which node asked it.
const NodeHeader = "X-Asked-By"

// Ask is one request.
type Ask struct {
	Path string
	// Session is the application's session id, sent as its cookie; empty for none.
	Session string
	// Instance is the one that must answer; empty: any.
	Instance string
	// Post sends the request as a POST with a small body: nobody may send that twice.
	Post bool
}

// Answer is what came back.
type Answer struct {
	sampleapp.Answer
	Node string // who asked the instance
	Set  string // the session id that the application gave
	// Last says that the connection ends after this answer.
	Last bool
}

// limits of one request.
type limits struct{ connect, request time.Duration }

// once asks over a fresh connection.
func once(ctx context.Context, dial Dial, address string, ask Ask, l limits) (a Answer, err error) {
	limited, cancel := context.WithTimeout(ctx, l.connect)
	c, err := dial(limited, address)
	cancel()
	if err != nil {
		return a, fmt.Errorf("connect: %w", err)
	}
	defer func() { _ = c.Close() }()
	if err := c.SetDeadline(time.Now().Add(l.request)); err != nil {
		return a, err
	}
	return over(c, bufio.NewReaderSize(c, 1024), address, ask, true)
}

// over asks over an open connection.
func over(c net.Conn, r *bufio.Reader, address string, ask Ask, last bool) (a Answer, err error) {
	var b strings.Builder
	method := http.MethodGet
	if ask.Post {
		method = http.MethodPost
	}
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n", method, ask.Path, address)
	if ask.Session != "" {
		fmt.Fprintf(&b, "Cookie: JSESSIONID=%s\r\n", ask.Session)
	}
	if last {
		b.WriteString("Connection: close\r\n")
	}
	if ask.Post {
		b.WriteString("Content-Length: 2\r\n\r\nhi")
	} else {
		b.WriteString("\r\n")
	}
	if _, err := io.WriteString(c, b.String()); err != nil {
		return a, fmt.Errorf("send: %w", err)
	}
	response, err := http.ReadResponse(r, &http.Request{Method: method})
	if err != nil {
		return a, fmt.Errorf("answer: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<16))
	if err != nil {
		return a, fmt.Errorf("answer: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return a, fmt.Errorf("status %d", response.StatusCode)
	}
	if err := json.Unmarshal(body, &a.Answer); err != nil {
		return a, fmt.Errorf("answer: %w", err)
	}
	a.Node, a.Last = response.Header.Get(NodeHeader), response.Close
	for _, cookie := range response.Cookies() {
		if cookie.Name == "JSESSIONID" {
			a.Set = cookie.Value
		}
	}
	if ask.Instance != "" && a.Instance != ask.Instance {
		return a, fmt.Errorf("%w: %s answered instead of %s", errWrong, a.Instance, ask.Instance)
	}
	return a, nil
}

// errWrong: the answer is of another instance than the session's.
var errWrong = errors.New("wrong instance")

// cause brings an error into a short form that can be counted.
func cause(err error) string {
	if err == nil {
		return ""
	}
	for _, known := range []struct {
		is  error
		say string
	}{
		{syscall.ECONNREFUSED, "refused"}, {syscall.ECONNRESET, "reset"}, {syscall.EHOSTUNREACH, "no such host on the link"}, {syscall.ENETUNREACH, "no route"},
		{os.ErrDeadlineExceeded, "timed out"}, {context.DeadlineExceeded, "timed out"}, {io.ErrUnexpectedEOF, "cut off"}, {io.EOF, "closed without an answer"},
		{errWrong, "wrong instance"},
	} {
		if errors.Is(err, known.is) {
			step, _, _ := strings.Cut(err.Error(), ":")
			return step + ": " + known.say
		}
	}
	return err.Error()
}

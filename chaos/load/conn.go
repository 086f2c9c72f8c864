package load

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httputil"
	"strconv"
	"strings"
	"time"
)

const (
	maxHeaderLines = 200
	maxBody        = 1 << 20 // bytes
)

// request is one GET, or a POST of a body.
type request struct {
	path, cookie, nonce string
	body                []byte // nil: a GET
}

// response is what a sticky client needs of an answer. Its body is valid until the next request on the connection.
type response struct {
	status     int
	setCookies []string
	body       []byte
	closes     bool
}

// conn is one keep-alive connection to one node.
type conn struct {
	addr   string
	net    net.Conn
	reader *bufio.Reader
	out    []byte
	body   []byte
	used   bool
}

func newConn(addr string, c net.Conn) *conn {
	return &conn{addr: addr, net: c, reader: bufio.NewReaderSize(c, 4096)}
}

func (c *conn) close() { _ = c.net.Close() }

// do sends a request and reads the whole answer. After an error, or an answer that closes, the connection is of no use.
func (c *conn) do(r request, deadline time.Time) (response, error) {
	c.used = true
	if err := c.net.SetDeadline(deadline); err != nil {
		return response{}, err
	}
	c.out = append(c.out[:0], "GET "...)
	if r.body != nil {
		c.out = append(c.out[:0], "POST "...)
	}
	c.out = append(c.out, r.path...)
	c.out = append(c.out, " HTTP/1.1\r\nHost: "...)
	c.out = append(c.out, c.addr...)
	if r.cookie != "" {
		c.out = append(c.out, "\r\nCookie: "...)
		c.out = append(c.out, r.cookie...)
	}
	c.out = append(c.out, "\r\nX-Nonce: "...)
	c.out = append(c.out, r.nonce...)
	if r.body != nil {
		c.out = append(c.out, "\r\nContent-Length: "...)
		c.out = strconv.AppendInt(c.out, int64(len(r.body)), 10)
	}
	c.out = append(c.out, "\r\n\r\n"...)
	c.out = append(c.out, r.body...)
	if _, err := c.net.Write(c.out); err != nil {
		return response{}, err
	}
	return c.read()
}

func (c *conn) read() (response, error) {
	line, err := c.line()
	if err != nil {
		return response{}, err
	}
	if len(line) < 12 || !strings.HasPrefix(line, "HTTP/1.") {
		return response{}, fmt.Errorf("status line %q", line)
	}
	var r response
	if r.status, err = strconv.Atoi(line[9:12]); err != nil {
		return response{}, fmt.Errorf("status line %q", line)
	}
	length, chunked, err := c.head(&r)
	if err != nil {
		return response{}, err
	}
	body := io.Reader(c.reader)
	switch {
	case r.status == 204 || r.status == 304: // RFC 9110, 15.3.5 and 15.4.5: no content
		return r, nil
	case chunked:
		body = httputil.NewChunkedReader(c.reader)
	case length >= 0:
		body = io.LimitReader(c.reader, length)
	default:
		r.closes = true
	}
	return c.readBody(r, body, length, chunked)
}

func (c *conn) readBody(r response, body io.Reader, length int64, chunked bool) (response, error) {
	if length > maxBody {
		return response{}, fmt.Errorf("body of %d bytes", length)
	}
	c.body = c.body[:0]
	for {
		if len(c.body) == cap(c.body) {
			c.body = append(c.body, make([]byte, 512)...)[:len(c.body)]
		}
		n, err := body.Read(c.body[len(c.body):cap(c.body)])
		c.body = c.body[:len(c.body)+n]
		if err == io.EOF {
			break
		}
		if err != nil {
			return response{}, fmt.Errorf("body: %w", err)
		}
		if len(c.body) > maxBody {
			return response{}, errors.New("body: too long")
		}
	}
	if !chunked && length >= 0 && int64(len(c.body)) != length {
		return response{}, io.ErrUnexpectedEOF
	}
	if chunked { // the empty line after the last chunk; trailers are not expected
		if end, err := c.line(); err != nil || end != "" {
			return response{}, fmt.Errorf("end of chunked body: %q, %w", end, err)
		}
	}
	r.body = c.body
	return r, nil
}

// head reads the header lines; length is -1 when none is given.
func (c *conn) head(r *response) (length int64, chunked bool, err error) {
	length = -1
	for range maxHeaderLines {
		line, err := c.line()
		if err != nil {
			return 0, false, err
		}
		if line == "" {
			return length, chunked, nil
		}
		name, value, found := strings.Cut(line, ":")
		if !found {
			return 0, false, fmt.Errorf("header line %q", line)
		}
		value = strings.TrimSpace(value)
		switch {
		case strings.EqualFold(name, "Set-Cookie"):
			r.setCookies = append(r.setCookies, value)
		case strings.EqualFold(name, "Content-Length"):
			n, err := strconv.ParseUint(value, 10, 63)
			if err != nil {
				return 0, false, fmt.Errorf("content length %q", value)
			}
			length = int64(n)
		case strings.EqualFold(name, "Transfer-Encoding"):
			chunked = strings.EqualFold(value, "chunked")
		case strings.EqualFold(name, "Connection"):
			r.closes = r.closes || strings.EqualFold(value, "close")
		}
	}
	return 0, false, errors.New("too many header lines")
}

func (c *conn) line() (string, error) {
	line, err := c.reader.ReadSlice('\n')
	if err != nil {
		return "", err
	}
	return strings.TrimRight(string(line), "\r\n"), nil
}

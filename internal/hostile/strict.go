package hostile

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Framing is how a message says where its body ends.
type Framing string

// The framings. A message with two of them is ambiguous.
const (
	None    Framing = "none"
	Length  Framing = "length"
	Chunked Framing = "chunked"
)

// head is a message head read with no leniency at all, by a reader that shares nothing with those under test.
type head struct {
	first     string
	fields    []string // "name: value", names in lower case
	framing   Framing
	length    int
	ambiguous []string // what a second reader could read in another way
}

const maxHead = 1 << 20

// readHead takes the bytes up to the first empty line. io.EOF means that none came.
func readHead(in *bufio.Reader) (*head, error) {
	var raw strings.Builder
	for !strings.HasSuffix(raw.String(), "\n\r\n") && !strings.HasSuffix(raw.String(), "\n\n") {
		line, err := in.ReadString('\n')
		raw.WriteString(line)
		if err != nil || raw.Len() > maxHead {
			if raw.Len() == 0 {
				return nil, io.EOF
			}
			return nil, fmt.Errorf("head without end: %.80q", raw.String())
		}
	}
	h := &head{framing: None}
	text := strings.TrimSuffix(raw.String(), "\r\n")
	if bare := strings.ReplaceAll(text, "\r\n", ""); strings.ContainsAny(bare, "\r\n\x00") {
		h.suspect("CR, LF or NUL in %.200q", raw.String())
	}
	lines := strings.Split(strings.TrimSuffix(text, "\r\n"), "\r\n")
	h.first = lines[0]
	for _, line := range lines[1:] {
		h.field(line)
	}
	h.frame()
	return h, nil
}

func (h *head) suspect(format string, args ...any) {
	h.ambiguous = append(h.ambiguous, fmt.Sprintf(format, args...))
}

func (h *head) field(line string) {
	const token = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	name, value, found := strings.Cut(line, ":")
	if !found || name == "" || strings.Trim(name, token) != "" {
		h.suspect("field line %.80q", line)
	}
	h.fields = append(h.fields, strings.ToLower(name)+": "+strings.Trim(value, " \t"))
}

// values gives those of a field.
func (h *head) values(name string) (all []string) {
	for _, f := range h.fields {
		if n, v, _ := strings.Cut(f, ": "); n == name {
			all = append(all, v)
		}
	}
	return all
}

func (h *head) frame() {
	lengths, codings := h.values("content-length"), h.values("transfer-encoding")
	if len(lengths)+len(codings) > 1 {
		h.suspect("Content-Length %q, Transfer-Encoding %q", lengths, codings)
	}
	switch {
	case len(codings) > 0:
		h.framing = Chunked
		if !strings.EqualFold(codings[0], "chunked") {
			h.suspect("Transfer-Encoding %q", codings[0])
		}
	case len(lengths) > 0:
		n, err := strconv.ParseUint(lengths[0], 10, 31)
		if err != nil || strconv.FormatUint(n, 10) != lengths[0] {
			h.suspect("Content-Length %q", lengths[0])
		}
		h.framing, h.length = Length, int(n)
	}
}

var errShort = errors.New("the message is not whole")

// body reads what follows the head.
func (h *head) body(in *bufio.Reader) (string, error) {
	switch h.framing {
	case Length:
		b := make([]byte, h.length)
		n, err := io.ReadFull(in, b)
		if err != nil {
			err = errShort
		}
		return string(b[:n]), err
	case Chunked:
		return h.chunks(in)
	}
	return "", nil
}

func (h *head) chunks(in *bufio.Reader) (string, error) {
	var body strings.Builder
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return body.String(), errShort
		}
		digits, ok := strings.CutSuffix(line, "\r\n")
		size, err := strconv.ParseUint(digits, 16, 31)
		if !ok || err != nil || len(digits) > 16 {
			h.suspect("chunk size %q", line)
			return body.String(), errShort
		}
		if size == 0 {
			return body.String(), h.trailer(in)
		}
		b := make([]byte, size+2)
		if _, err := io.ReadFull(in, b); err != nil {
			return body.String(), errShort
		}
		if string(b[size:]) != "\r\n" {
			h.suspect("chunk of %d bytes ends with %q", size, b[size:])
		}
		body.Write(b[:size])
	}
}

func (h *head) trailer(in *bufio.Reader) error {
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return errShort
		}
		text, ok := strings.CutSuffix(line, "\r\n")
		if !ok || strings.ContainsAny(text, "\r\x00") {
			h.suspect("trailer line %q", line)
		}
		if text == "" {
			return nil
		}
		switch name, _, _ := strings.Cut(strings.ToLower(text), ":"); name {
		case "content-length", "transfer-encoding", "host", "connection", "cookie", "authorization":
			h.suspect("trailer %q", text)
		}
	}
}

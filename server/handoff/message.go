package handoff

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode"
)

// Protocol is the version of what two processes say to each other. One that has another is refused.
const Protocol = 1

// variable names the environment variable with the descriptor of the socket to the process before.
const variable = "HOLDFAST_HANDOFF_FD"

// maxMessage bounds a message in bytes, maxText what it says in words.
const maxMessage, maxText = 32 << 10, 4 << 10

// kind says what a message is about.
type kind string

const (
	kindHello   kind = "hello"   // new: who it is; it has looked at its settings and waits
	kindSocket  kind = "socket"  // old: one listening socket
	kindReports kind = "reports" // old: the stream
	kindGo      kind = "go"      // old: all sockets are there, and the directory is free
	kindServing kind = "serving" // new: it serves
	kindFailed  kind = "failed"  // new: it cannot, and ends
)

// Hello is what a new process says of itself.
type Hello struct {
	Protocol int    `json:"protocol"`
	Version  string `json:"version"`
	// Schema is that of the replicated state that the program has.
	Schema int `json:"schema"`
	// Pid is its process id.
	Pid int `json:"pid"`
	// Name and DataDir say whose node it is to be.
	Name    string `json:"name"`
	DataDir string `json:"dataDir"`
	// Ways says that it knows what a way between two processes is. A program that does not say so refuses one.
	Ways bool `json:"ways,omitempty"`
}

// message is one datagram.
type message struct {
	Kind  kind   `json:"kind"`
	Hello *Hello `json:"hello,omitempty"`
	// Name and Network ("tcp", "udp", "unix") are of a socket.
	Name    string `json:"name,omitempty"`
	Network string `json:"network,omitempty"`
	Text    string `json:"text,omitempty"`
	// Yields is of go: the old process closes its end once it has stopped to answer on the admin listener. One of a version that does not say so closes it at its end.
	Yields bool `json:"yields,omitempty"`
}

func (m message) encode() ([]byte, error) {
	m.Text = m.Text[:min(len(m.Text), maxText)]
	b, err := json.Marshal(m)
	if err == nil && len(b) > maxMessage {
		err = fmt.Errorf("a message of %d bytes, at most %d", len(b), maxMessage)
	}
	return b, err
}

var errMessage = errors.New("a message that cannot be understood")

// decode reads a message. What it says in words is printable afterwards: it goes into a log.
func decode(b []byte) (m message, err error) {
	if len(b) > maxMessage {
		return m, fmt.Errorf("%w: %d bytes", errMessage, len(b))
	}
	if err := json.Unmarshal(b, &m); err != nil {
		return message{}, fmt.Errorf("%w: %w", errMessage, err)
	}
	switch m.Kind {
	case kindHello:
		if m.Hello == nil {
			return message{}, fmt.Errorf("%w: a hello without a name", errMessage)
		}
		m.Hello.Version, m.Hello.Name, m.Hello.DataDir = plain(m.Hello.Version), plain(m.Hello.Name), plain(m.Hello.DataDir)
	case kindSocket:
		if m.Network != "tcp" && m.Network != "udp" && m.Network != "unix" {
			return message{}, fmt.Errorf("%w: a socket of network %q", errMessage, plain(m.Network))
		}
	case kindReports, kindGo, kindServing, kindFailed:
	default:
		return message{}, fmt.Errorf("%w: kind %q", errMessage, plain(string(m.Kind)))
	}
	m.Name, m.Text = plain(m.Name), plain(m.Text)
	return m, nil
}

// plain is text that can go into a log.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, s[:min(len(s), maxText)])
}

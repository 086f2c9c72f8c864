//go:build linux

package handoff

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// TestMain lets the test program be the new process: role says how it behaves.
func TestMain(m *testing.M) {
	if role := os.Getenv("TEST_ROLE"); role != "" {
		os.Exit(play(role))
	}
	os.Exit(m.Run())
}

var hello = Hello{Version: "v2", Schema: 7, Name: "n1", DataDir: "/data"}

func play(role string) int {
	switch role {
	case "crash":
		return 3
	case "quiet exit":
		return 0
	case "hang":
		<-time.After(time.Hour)
	}
	h, err := Inherit()
	if err != nil || h == nil {
		fmt.Println("inherit:", h, err)
		return 1
	}
	switch role {
	case "garbage":
		_, _ = h.conn.Write([]byte("\x00{"))
		<-time.After(time.Hour)
	case "other protocol":
		_ = h.conn.send(message{Kind: kindHello, Hello: &Hello{Protocol: 99}}, -1)
		<-time.After(time.Hour)
	case "serving at once":
		_ = h.conn.send(message{Kind: kindServing}, -1)
		<-time.After(time.Hour)
	case "knows no ways":
		_ = h.conn.send(message{Kind: kindHello, Hello: &Hello{Protocol: Protocol}}, -1)
		for {
			m, _, err := h.conn.receive()
			if err != nil || m.Network == "unix" {
				return 5
			}
			if m.Kind == kindGo {
				h.Serving()
				return 0
			}
		}
	case "refuse":
		h.Fail(errors.New("--peer-addr: \"nonsense\"\nis not HOST:PORT\x1b[2J"))
		return 2
	}
	if err := h.Await(hello); err != nil {
		if errors.Is(err, ErrAbandoned) {
			return 7
		}
		fmt.Println("await:", err)
		return 1
	}
	switch role {
	case "crash later":
		return 4
	case "fail later":
		h.Fail(errors.New("open data directory: damaged"))
		return 1
	case "hang later":
		<-time.After(time.Hour)
	case "knows ways":
		if h.Sockets.Way("way web") == nil {
			return 5
		}
		h.Serving()
		return 0
	}
	return serve(h)
}

// yielded waits for that word twice: not hearing it in time must leave the connection.
func yielded(h *Heir) error {
	if !h.Yields() {
		return errors.New("the process before does not say when it has yielded")
	}
	short, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if h.Yielded(short) {
		return errors.New("it has yielded at once")
	}
	_ = h.conn.SetReadDeadline(time.Time{})
	long, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if !h.Yielded(long) {
		return errors.New("it does not yield")
	}
	return nil
}

// serve answers each connection with its own name, sends back on the stream what it is told, and ends with that.
func serve(h *Heir) int {
	ln := h.Sockets.Listen("web", "")
	if ln == nil || os.Getenv(variable) != "" {
		fmt.Println("no socket among", h.Sockets)
		return 1
	}
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, "new")
			_ = c.Close()
		}
	}()
	h.Serving()
	if err := yielded(h); err != nil {
		fmt.Println(err)
		return 1
	}
	r := bufio.NewReader(h.Reports)
	for {
		report, err := ReadReport(r)
		if err != nil {
			return 0
		}
		if WriteReport(h.Reports, report) != nil {
			return 1
		}
	}
}

// listen gives a listener whose socket can be handed on.
func listen(t *testing.T) *net.TCPListener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	return ln.(*net.TCPListener)
}

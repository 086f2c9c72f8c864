package server

import (
	"bufio"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// lineWriter gives on what is written to it, one message for each Write.
type lineWriter chan string

func (w lineWriter) Write(p []byte) (int, error) {
	w <- string(p)
	return len(p), nil
}

// TestLibraryLogCutsAnInstancesAnswer: net/http itself writes the line, so its wording of today is what is cut.
func TestLibraryLogCutsAnInstancesAnswer(t *testing.T) {
	lines := make(lineWriter, 10)
	s := &Server{log: slog.New(slog.NewTextHandler(lines, nil))}
	oldFlags, oldOut := log.Flags(), log.Writer()
	log.SetFlags(0)
	log.SetOutput(s.LibraryLog())
	defer func() { log.SetFlags(oldFlags); log.SetOutput(oldOut) }()

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	idle := make(chan struct{})
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		if _, err := http.ReadRequest(bufio.NewReader(c)); err != nil {
			return
		}
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		<-idle
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nSet-Cookie: JSESSIONID=0123456789abcdef\r\n\r\n")
		_, _ = io.Copy(io.Discard, c)
	}()
	tr := &http.Transport{}
	defer tr.CloseIdleConnections()
	res, err := (&http.Client{Transport: tr}).Get("http://" + l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
	close(idle)
	select {
	case line := <-lines:
		if !strings.Contains(line, "Unsolicited response received on idle HTTP channel (cut)") || !strings.Contains(line, "level=WARN") {
			t.Errorf("the line is %q", line)
		}
		if strings.Contains(line, "JSESSIONID") || strings.Contains(line, "HTTP/1.1") || strings.Contains(line, "0123456789abcdef") {
			t.Errorf("the line quotes the answer: %q", line)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("net/http wrote nothing")
	}
}

func TestCutReceived(t *testing.T) {
	for in, want := range map[string]string{
		"http: superfluous response.WriteHeader call\n":                  "http: superfluous response.WriteHeader call",
		`Unsolicited response starting with "ab\"c; err=x" sid; err=EOF`: "Unsolicited response (cut)",
		`net/http: skip "JSESSIONID=\"s1" then "s2" end`:                 "net/http: skip (cut) then (cut) end",
		`cookie "open to the end s3`:                                     "cookie (cut)",
		`cookie "open to the end s3\`:                                    "cookie (cut)",
		"raw `s4` and `s5":                                               "raw (cut) and (cut)",
		"first line\nsecond line with s6":                                "first line (cut)",
		"first\xff line":                                                 "first? line",
		" \n":                                                            "",
		strings.Repeat("x", 400):                                         strings.Repeat("x", 300) + " (cut)",
	} {
		if got := cutReceived([]byte(in)); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
}

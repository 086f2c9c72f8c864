//go:build linux

package handoff

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func program(role string) Program {
	return Program{Path: os.Args[0], Env: append(os.Environ(), "TEST_ROLE="+role, "LISTEN_PID=1", "LISTEN_FDS=3", "WATCHDOG_PID=1")}
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// TestSocketGoesOver: clients connect all the time, also while no process accepts; not one is refused or reset, and in the end the new process answers. The stream works both ways.
func TestSocketGoesOver(t *testing.T) {
	ln := listen(t)
	var accepting sync.WaitGroup
	accepting.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, "old")
			_ = c.Close()
		}
	})
	ask := func() string {
		c, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Errorf("refused: %v", err)
			return ""
		}
		defer c.Close()
		answer, err := io.ReadAll(c)
		if err != nil {
			t.Errorf("cut off: %v", err)
		}
		return string(answer)
	}
	stop := make(chan struct{})
	var clients sync.WaitGroup
	var mu sync.Mutex
	counts := map[string]int{}
	for range 4 {
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				who := ask()
				mu.Lock()
				counts[who]++
				mu.Unlock()
			}
		})
	}
	c, err := Start(within(t, 20*time.Second), program("serve"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Kill()
	if want := (Hello{Protocol, "v2", 7, c.proc.Pid, "n1", "/data", true}); c.Hello != want {
		t.Errorf("hello %+v, want %+v", c.Hello, want)
	}
	sockets := &Sockets{}
	defer sockets.Close()
	if err := sockets.Add("web", ln); err != nil {
		t.Fatal(err)
	}
	_ = ln.Close() // from here on nobody accepts until the new process does
	accepting.Wait()
	if err := c.Give(sockets); err != nil {
		t.Fatal(err)
	}
	if err := c.Serving(within(t, 20*time.Second)); err != nil {
		t.Fatal(err)
	}
	if who := ask(); who != "new" {
		t.Errorf("%q answers", who)
	}
	close(stop)
	clients.Wait()
	// It waits for this before it goes on.
	select {
	case <-c.over:
		t.Errorf("it has ended before this process has yielded: %v", c.end)
	case <-time.After(50 * time.Millisecond):
	}
	c.Yield()
	if len(counts) != 2 || counts["new"] == 0 || counts["old"] == 0 {
		t.Errorf("answers by %v", counts)
	}
	stream(t, c)
}

func stream(t *testing.T, c *Child) {
	t.Helper()
	r := bufio.NewReader(c.Reports)
	for _, text := range []string{"a", "", strings.Repeat("b", 300<<10)} {
		if err := WriteReport(c.Reports, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if got, err := ReadReport(r); err != nil || string(got) != text {
			t.Fatalf("%d bytes of %d come back: %v", len(got), len(text), err)
		}
	}
	c.Part()
	select {
	case <-c.over:
		if c.end != nil {
			t.Error(c.end)
		}
	case <-time.After(20 * time.Second):
		t.Error("the new process has not noticed the end of the stream")
	}
}

// TestProgramsThatDoNotGetReady: whatever is started instead of a good program, the reason is told, and nothing of it is left.
func TestProgramsThatDoNotGetReady(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	foreign, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	foreign = bytes.Clone(foreign[:4096])
	foreign[18], foreign[19] = 0x16, 0 // e_machine of ELF: s390
	for _, c := range []struct {
		what    string
		program Program
		patient bool
		want    []string
	}{
		{"crash", program("crash"), true, []string{"has ended", "exit status 3"}},
		{"quiet exit", program("quiet exit"), true, []string{"ended without a word"}},
		{"hang", program("hang"), false, []string{"not answered in time"}},
		{"garbage", program("garbage"), true, []string{"cannot be understood"}},
		{"other protocol", program("other protocol"), true, []string{"version 99 of the hand-off", "restart the node"}},
		{"serving at once", program("serving at once"), true, []string{"serving instead of hello"}},
		{"refuse", program("refuse"), true, []string{"--peer-addr: \"nonsense\"\nis not HOST:PORT?[2J"}},
		{"nothing there", Program{Path: filepath.Join(dir, "none")}, true, []string{"no such file"}},
		{"not executable", Program{Path: file("plain", "#!/bin/sh\n", 0o600)}, true, []string{"permission denied"}},
		{"empty", Program{Path: file("empty", "", 0o700)}, true, []string{"exec format error"}},
		{"another architecture", Program{Path: file("foreign", string(foreign), 0o700)}, true, []string{"exec format error"}},
		{"a script that knows nothing", Program{Path: file("script", "#!/bin/sh\nexit 0\n", 0o700)}, true, []string{"ended without a word"}},
		{"a directory", Program{Path: dir}, true, []string{"permission denied"}},
	} {
		limit := 500 * time.Millisecond
		if c.patient {
			limit = 20 * time.Second
		}
		child, err := Start(within(t, limit), c.program)
		if err == nil {
			child.Kill()
			t.Errorf("%s: it got ready", c.what)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q lacks %q", c.what, err, want)
			}
		}
	}
}

// TestProgramsThatFailLater: after it has been told to go.
func TestProgramsThatFailLater(t *testing.T) {
	for role, want := range map[string]string{"crash later": "exit status 4", "fail later": "open data directory: damaged", "hang later": "not answered in time"} {
		ln := listen(t)
		sockets := &Sockets{}
		defer sockets.Close()
		if err := sockets.Add("web", ln); err != nil {
			t.Fatal(err)
		}
		c, err := Start(within(t, 20*time.Second), program(role))
		if err != nil {
			t.Fatal(role, err)
		}
		limit := 20 * time.Second
		if role == "hang later" {
			limit = 300 * time.Millisecond
		}
		err = c.Give(sockets)
		if err == nil {
			err = c.Serving(within(t, limit))
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", role, err)
		}
		c.Kill()
		// The socket is still there for the one who wants it back.
		back := sockets.Listen("web", "")
		if back == nil || back.Addr().String() != ln.Addr().String() {
			t.Errorf("%s: the socket is lost: %v", role, back)
			continue
		}
		_ = back.Close()
	}
}

// TestHeirThatIsAbandoned ends by itself when the running process ends, or gives up, before it was to go.
func TestHeirThatIsAbandoned(t *testing.T) {
	c, err := Start(within(t, 20*time.Second), program("serve"))
	if err != nil {
		t.Fatal(err)
	}
	c.Part()
	select {
	case <-c.over:
		if c.end == nil || !strings.Contains(c.end.Error(), "exit status 7") {
			t.Error(c.end)
		}
	case <-time.After(20 * time.Second):
		t.Error("it waits for ever")
	}
}

func TestInheritNothing(t *testing.T) {
	if h, err := Inherit(); h != nil || err != nil {
		t.Errorf("%v %v", h, err)
	}
	for _, text := range []string{"", "x", "-1", "2", "99999"} {
		t.Setenv(variable, text)
		if h, err := Inherit(); err == nil || !strings.Contains(err.Error(), "nobody else") {
			t.Errorf("%q: %v %v", text, h, err)
		}
	}
	f, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
}

// TestMessagesThatCannotBe are refused, and what they say can be printed.
func TestMessagesThatCannotBe(t *testing.T) {
	for _, text := range []string{"", "{", "[]", `{"kind":"stop"}`, `{"kind":"hello"}`, `{"kind":"socket","network":"unixgram"}`, `{"kind":1}`, strings.Repeat(" ", maxMessage+1)} {
		if m, err := decode([]byte(text)); !errors.Is(err, errMessage) {
			t.Errorf("%.30q: %+v %v", text, m, err)
		}
	}
	m, err := decode([]byte("{\"kind\":\"failed\",\"text\":\"a\\u001b\\u0000b\"}"))
	if err != nil || m.Text != "a??b" {
		t.Errorf("%+v %v", m, err)
	}
	if b, err := (message{Kind: kindFailed, Text: strings.Repeat("x", 1<<20)}).encode(); err != nil || len(b) > maxMessage {
		t.Errorf("%d bytes, %v", len(b), err)
	}
}

func FuzzDecode(f *testing.F) {
	for _, m := range []message{{Kind: kindHello, Hello: &hello}, {Kind: kindSocket, Name: "web", Network: "tcp"}, {Kind: kindFailed, Text: "why"}} {
		b, err := m.encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := decode(b)
		if err != nil {
			return
		}
		if _, err := m.encode(); err != nil {
			t.Errorf("%+v cannot be said again: %v", m, err)
		}
	})
}

func FuzzReport(f *testing.F) {
	var b bytes.Buffer
	if err := cmp.Or(WriteReport(&b, []byte("{}")), WriteReport(&b, nil)); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add([]byte{0xff, 0xff, 0x7f, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bufio.NewReader(bytes.NewReader(b))
		var again bytes.Buffer
		for {
			report, err := ReadReport(r)
			if err != nil {
				break
			}
			if err := WriteReport(&again, report); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.HasPrefix(b, again.Bytes()) {
			t.Error("what was read is not what was there")
		}
	})
}

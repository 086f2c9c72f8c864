package main

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// screen takes what a command prints and tells when something new is there.
type screen struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{}
}

func newScreen() *screen { return &screen{more: make(chan struct{}, 1)} }

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case s.more <- struct{}{}:
	default:
	}
	return s.text.Write(p)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// wait returns when the text is there.
func (s *screen) wait(t *testing.T, text string) {
	t.Helper()
	timeout := time.After(30 * time.Second)
	for !strings.Contains(s.String(), text) {
		select {
		case <-s.more:
		case <-timeout:
			t.Fatalf("no %q in:\n%s", text, s)
		}
	}
}

func sunFile(weight, enabled string) string {
	return `<loadbalancer><cluster name="c"><instance name="a" listeners="http://h:1" weight="` + weight + `" enabled="` + enabled + `"/><instance name="b" listeners="http://h:2" weight="7"/>
<web-module context-root="/a"/></cluster></loadbalancer>`
}

// TestImportWatch: a change of the file takes effect at the next look, a broken file changes nothing, what an operator does in between stays (SUN-25,
// SUN-53, SUN-54, SUN-65, SUN-68), and the watch ends cleanly.
func TestImportWatch(t *testing.T) {
	g := newFakeGroup()
	srv := httptest.NewServer(g.api)
	defer srv.Close()
	file := filepath.Join(t.TempDir(), "loadbalancer.xml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(file+".new", file); err != nil {
			t.Fatal(err)
		}
	}
	write(sunFile("1", "true"))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out, errOut := newScreen(), newScreen()
	status := make(chan int, 1)
	go func() {
		status <- run(ctx, []string{"import", "sun", file, "--watch", "--interval", "1s", "--admin", srv.URL}, nil, out, errOut)
	}()
	out.wait(t, "revision 1 applied")
	write("<loadbalancer><cluster")
	errOut.wait(t, "the last good configuration stays in force")
	// An operator changes the other instance by hand.
	edited := g.state.Revision().Config.Clone()
	edited.Clusters[0].Instances[1].Weight = 9
	if code := run(ctx, []string{"config", "apply", "-f", "-", "--admin", srv.URL}, bytes.NewReader(edited.YAML()), newScreen(), errOut); code != 0 {
		t.Fatalf("apply: %d: %s", code, errOut)
	}
	write(sunFile("2", "false"))
	out.wait(t, "revision 3 applied")
	in := g.state.Revision().Config.Clusters[0].Instances
	if in[0].Weight != 2 || in[0].Enabled || in[1].Weight != 9 {
		t.Errorf("instances %+v", in)
	}
	if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil { // the command listens for it by now
		t.Fatal(err)
	}
	if got := <-status; got != exitDone {
		t.Errorf("exit status %d: %s", got, errOut)
	}
}

// TestImportLosesARace: somebody else changes the configuration between reading and writing.
func TestImportLosesARace(t *testing.T) {
	g := newFakeGroup()
	var races atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut && races.Add(-1) >= 0 {
			if err := g.interfere(); err != nil {
				t.Error(err)
			}
		}
		g.api.ServeHTTP(w, r)
	}))
	defer srv.Close()
	file := filepath.Join(t.TempDir(), "loadbalancer.xml")
	if err := os.WriteFile(file, []byte(sunFile("1", "true")), 0o600); err != nil {
		t.Fatal(err)
	}
	races.Store(1)
	out, errOut := newScreen(), newScreen()
	if got := run(t.Context(), []string{"import", "sun", file, "--apply", "--admin", srv.URL}, nil, out, errOut); got != exitRefused {
		t.Errorf("exit status %d, want %d: %s", got, exitRefused, errOut)
	}
	if n := len(g.state.Revision().Config.Clusters); n != 0 {
		t.Errorf("%d clusters", n)
	}
	// A watch merges again at once.
	races.Store(2)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	status := make(chan int, 1)
	go func() {
		status <- run(ctx, []string{"import", "sun", file, "--watch", "--admin", srv.URL}, nil, out, errOut)
	}()
	out.wait(t, "applied at index")
	cancel()
	if got := <-status; got != exitDone {
		t.Errorf("exit status %d: %s", got, errOut)
	}
}

// TestImportedFilesAreBounded: what is larger than the bound is not read to its end.
func TestImportedFilesAreBounded(t *testing.T) {
	file := filepath.Join(t.TempDir(), "huge.xml")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(100 << 30); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	out, errOut := newScreen(), newScreen()
	if got := run(t.Context(), []string{"import", "sun", file}, nil, out, errOut); got != exitFailed || !strings.Contains(errOut.String(), "larger than 8388608 bytes") {
		t.Errorf("exit status %d: %s", got, errOut)
	}
}

package streams

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/chaos/group"
	"github.com/holdfast-lb/holdfast/chaos/proc"
)

var buildDir string

func TestMain(m *testing.M) {
	if address := os.Getenv(socketsVariable); address != "" {
		fmt.Fprintln(os.Stderr, serveSockets(address))
		os.Exit(1)
	}
	dir, err := os.MkdirTemp("", "holdfast-streams-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	buildDir = dir
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// program is the binary under test: HOLDFAST_BIN, or built once from this tree.
var program = sync.OnceValues(func() (string, error) {
	if path := os.Getenv("HOLDFAST_BIN"); path != "" {
		return filepath.Abs(path)
	}
	path := filepath.Join(buildDir, "holdfast")
	output, err := exec.Command("go", "build", "-o", path, "../../cmd/holdfast").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build: %w\n%s", err, output)
	}
	return path, nil
})

// rig is three real nodes with a configuration, and whatever else runs.
type rig struct {
	t   *testing.T
	ctx context.Context
	dir string
	set *proc.Set
	*group.Group
}

func newRig(t *testing.T) *rig {
	t.Helper()
	binary, err := program()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	r := &rig{t: t, ctx: ctx, dir: t.TempDir(), set: &proc.Set{}}
	t.Cleanup(func() {
		if t.Failed() && r.Group != nil {
			t.Log(r.Tails(20))
		}
		r.set.Close()
		cancel()
	})
	if r.Group, err = group.New(ctx, group.Options{Binary: binary, Dir: r.dir, Set: r.set}); err != nil {
		t.Fatal(err)
	}
	if err := r.Start(ctx); err != nil {
		t.Fatal(err)
	}
	return r
}

// configure puts a configuration into force; the listener at the group's port must be one of protocol tcp, or http.
func (r *rig) configure(yaml string) {
	r.t.Helper()
	if err := r.Apply(r.ctx, yaml); err != nil {
		r.t.Fatal(err)
	}
	if err := r.Serving(r.ctx); err != nil {
		r.t.Fatal(err)
	}
}

// poll waits until something is so.
func (r *rig) poll(what string, check func() error) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.ctx, time.Minute)
	defer cancel()
	if err := proc.Poll(ctx, 20*time.Millisecond, check); err != nil {
		r.t.Fatalf("%s: %v", what, err)
	}
}

// instance is one in this process: it says its name, then sends back what it gets.
func instance(t *testing.T, name string) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				if _, err := fmt.Fprintln(c, name); err == nil {
					io.Copy(c, c)
				}
			}()
		}
	}()
	return ln.Addr().String()
}

// stream is a client's connection.
type stream struct {
	net.Conn
	r        *bufio.Reader
	instance string
}

// connect opens one from an address of this machine and reads who answers.
func connect(ctx context.Context, from, to string) (*stream, error) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: 5 * time.Second}
	c, err := d.DialContext(ctx, "tcp", to)
	if err != nil {
		return nil, err
	}
	c.SetReadDeadline(time.Now().Add(20 * time.Second))
	s := &stream{Conn: c, r: bufio.NewReader(c)}
	line, err := s.r.ReadString('\n')
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("from %s by %s: %q, %w", from, to, line, err)
	}
	s.instance = strings.TrimSpace(line)
	return s, nil
}

// echo wants back what it sends.
func (s *stream) echo(text string) error {
	if _, err := fmt.Fprintln(s, text); err != nil {
		return err
	}
	got, err := s.r.ReadString('\n')
	if err != nil || got != text+"\n" {
		return fmt.Errorf("%q came back as %q, %v", text, got, err)
	}
	return nil
}

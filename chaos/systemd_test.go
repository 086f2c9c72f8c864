package chaos

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/admin/client"
	"github.com/holdfast-lb/holdfast/chaos/group"
	"github.com/holdfast-lb/holdfast/chaos/proc"
)

// manager does what a service manager does: it has the sockets open all the time, starts the node with them, and hears what the node says.
type manager struct {
	t       *testing.T
	notify  *net.UnixConn
	sockets []*os.File
	said    chan string // what the node says, line by line
	log     *os.File
}

// open opens the sockets at these addresses.
func open(t *testing.T, addresses ...string) *manager {
	t.Helper()
	dir := t.TempDir()
	m := &manager{t: t, said: make(chan string, 10_000)}
	var err error
	if m.notify, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "notify"), Net: "unixgram"}); err == nil {
		m.log, err = os.Create(filepath.Join(dir, "log"))
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addresses {
		ln, err := net.Listen("tcp", a)
		if err != nil {
			t.Fatal(err)
		}
		f, err := ln.(*net.TCPListener).File()
		if err := errors.Join(err, ln.Close()); err != nil {
			t.Fatal(err)
		}
		m.sockets = append(m.sockets, f)
	}
	go func() { // all the time: the kernel keeps ten datagrams
		b := make([]byte, 4096)
		for {
			n, err := m.notify.Read(b)
			if err != nil {
				return
			}
			for _, line := range strings.Split(string(b[:n]), "\n") {
				m.said <- line
			}
		}
	}()
	t.Cleanup(func() {
		for _, f := range append(m.sockets, m.log) {
			_ = f.Close()
		}
		_ = m.notify.Close()
		if text, err := os.ReadFile(m.log.Name()); err == nil && t.Failed() {
			t.Logf("%s", text)
		}
	})
	return m
}

// start starts the node; LISTEN_PID is its own id.
func (m *manager) start(program string, args ...string) *exec.Cmd {
	m.t.Helper()
	cmd := exec.Command("/bin/sh", append([]string{"-c", `export LISTEN_PID=$$; exec "$0" "$@"`, program}, args...)...)
	cmd.Env = append(os.Environ(), fmt.Sprintf("LISTEN_FDS=%d", len(m.sockets)), "LISTEN_FDNAMES=a:b", "NOTIFY_SOCKET="+m.notify.LocalAddr().String(), "WATCHDOG_USEC=1000000")
	cmd.ExtraFiles, cmd.Stdout, cmd.Stderr = m.sockets, m.log, m.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	return cmd
}

// hear waits until the node says something that begins so, and gives the rest.
func (m *manager) hear(word string) string {
	m.t.Helper()
	late := time.After(settleTime)
	var heard []string
	for {
		select {
		case line := <-m.said:
			if rest, ok := strings.CutPrefix(line, word); ok {
				return rest
			}
			heard = append(heard, line)
		case <-late:
			m.t.Fatalf("the node does not say %s, but %q", word, heard)
		}
	}
}

// ask sends one request to the listener and gives the status of the answer. Whoever connects while no process runs waits.
func ask(addr string) (int, error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(settleTime))
	_, _ = io.WriteString(c, "GET /x HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n")
	answer, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return 0, err
	}
	return answer.StatusCode, nil
}

// TestServiceManager: sockets that a service manager has opened are used, and stay open while the node is restarted, so that a client waits and is not refused; the manager is told when
// the node is ready, lives, reloads, leaves, and which process is the main one after an upgrade of the program.
func TestServiceManager(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	ports, err := proc.Ports(3, "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	listener, admin, peer := fmt.Sprintf("127.0.0.1:%d", ports[0]), fmt.Sprintf("127.0.0.1:%d", ports[1]), fmt.Sprintf("127.0.0.1:%d", ports[2])
	m := open(t, listener, admin)
	h := adopt(t)
	args := []string{"serve", "--name", "n1", "--data-dir", filepath.Join(t.TempDir(), "data"), "--peer-addr", peer, "--admin-addr", admin, "--bootstrap", "--timing", "fast"}
	first := m.start(path, args...)
	m.hear("READY=1")
	m.hear("WATCHDOG=1")
	c, err := client.New(client.Options{URLs: []string{"http://" + admin}})
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("listeners:\n  - {name: web, address: %q}\n", listener)
	poll(t, ctx, "the configuration", func() error {
		_, err := c.PutConfig(ctx, client.PutConfig{Data: []byte(text), Format: client.YAML, Message: "test", Wait: 5 * time.Second})
		return err
	})
	if status, err := ask(listener); status != http.StatusNotFound { // there is no module
		t.Errorf("status %d, %v", status, err)
	}
	if err := first.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	m.hear("RELOADING=1")
	m.hear("MONOTONIC_USEC=")
	m.hear("READY=1")

	if err := first.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	m.hear("STOPPING=1")
	if err := first.Wait(); err != nil {
		t.Errorf("the first process: %v", err)
	}
	waits := make(chan error, 1)
	go func() {
		status, err := ask(listener)
		if err == nil && status != http.StatusNotFound {
			err = fmt.Errorf("status %d", status)
		}
		waits <- err
	}()
	second := m.start(path, args...)
	m.hear("READY=1")
	if err := <-waits; err != nil {
		t.Errorf("a client that came while no process ran: %v", err)
	}

	var done *client.BinaryUpgraded
	poll(t, ctx, "an upgrade", func() error {
		done, err = c.UpgradeBinary(ctx, client.BinaryUpgrade{})
		return err
	})
	h.succeeded(&group.Node{Name: "n1"}, done.Pid)
	if pid := m.hear("MAINPID="); pid != fmt.Sprint(done.Pid) {
		t.Errorf("the main process is %s, %d serves", pid, done.Pid)
	}
	if err := second.Wait(); err != nil {
		t.Errorf("the second process: %v", err)
	}
	m.hear("WATCHDOG=1")
	if status, err := ask(listener); status != http.StatusNotFound {
		t.Errorf("after the upgrade: status %d, %v", status, err)
	}
	_, other, err := net.SplitHostPort(listener)
	if err != nil {
		t.Fatal(err)
	}
	// A listener that goes and comes again finds the manager's socket still, in the process that took over too.
	for i, text := range []string{"listeners: []\n", fmt.Sprintf("listeners:\n  - {name: again, address: \"127.0.0.1:%s\"}\n", other)} {
		poll(t, ctx, "a change", func() error {
			_, err = c.PutConfig(ctx, client.PutConfig{Data: []byte(text), Format: client.YAML, Message: "test", Expect: uint64(i + 1), Wait: 5 * time.Second})
			return err
		})
	}
	if status, err := ask(listener); status != http.StatusNotFound {
		t.Errorf("a listener that came again: status %d, %v", status, err)
	}
}

package chaos

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
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

// stop does to a unit what systemd does: at first to the main process, and, where the unit's KillMode says so, to the others, when it has ended once more, to whatever is left. ended
// tells that the main process has.
func (m *manager) stop(main int, others []int, ended func() bool) {
	m.t.Helper()
	unit, err := os.ReadFile("../scripts/systemd/holdfast.service")
	if err != nil {
		m.t.Fatal(err)
	}
	_, mode, _ := strings.Cut(string(unit), "\nKillMode=")
	mode, _, _ = strings.Cut(mode, "\n")
	to := func(s syscall.Signal, pids ...int) {
		for _, pid := range pids {
			_ = syscall.Kill(pid, s) // one that has ended is no error
		}
	}
	to(syscall.SIGTERM, main)
	if mode == "control-group" {
		to(syscall.SIGTERM, others...)
	}
	poll(m.t, m.t.Context(), "the end of the main process", func() error {
		if !ended() {
			return errors.New("it runs still")
		}
		return nil
	})
	switch mode {
	case "control-group":
		to(syscall.SIGTERM, others...)
	case "mixed":
		to(syscall.SIGKILL, others...)
	}
}

// TestStopOfAUnitWithTwoProcesses: a process that has handed its node over lets its clients finish, also when the unit is stopped meanwhile.
func TestStopOfAUnitWithTwoProcesses(t *testing.T) {
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
	arrived, release := make(chan struct{}, 1), make(chan struct{})
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-release
		_, _ = io.WriteString(w, "late")
	}))
	defer app.Close()
	free := sync.OnceFunc(func() { close(release) })
	defer free()
	listener, admin := fmt.Sprintf("127.0.0.1:%d", ports[0]), fmt.Sprintf("127.0.0.1:%d", ports[1])
	m := open(t, listener, admin)
	old := m.start(path, "serve", "--name", "n1", "--data-dir", filepath.Join(t.TempDir(), "data"), "--peer-addr", fmt.Sprintf("127.0.0.1:%d", ports[2]), "--admin-addr", admin, "--bootstrap", "--timing", "fast")
	m.hear("READY=1")
	c, err := client.New(client.Options{URLs: []string{"http://" + admin}})
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("listeners:\n  - {name: web, address: %q}\nclusters:\n  - name: shop\n    affinity: {type: learn}\n    health: {type: none}\n    modules: [{contextRoot: /}]\n    instances: [{name: i1, listeners: [%q]}]\n", listener, app.URL)
	poll(t, ctx, "the configuration", func() error {
		_, err := c.PutConfig(ctx, client.PutConfig{Data: []byte(text), Format: client.YAML, Message: "test", Wait: 5 * time.Second})
		return err
	})
	type outcome struct {
		status int
		err    error
	}
	answer := make(chan outcome, 1)
	go func() {
		status, err := ask(listener)
		answer <- outcome{status, err}
	}()
	select {
	case <-arrived:
	case o := <-answer:
		t.Fatalf("the request: %+v", o)
	}
	var done *client.BinaryUpgraded
	poll(t, ctx, "an upgrade", func() error {
		done, err = c.UpgradeBinary(ctx, client.BinaryUpgrade{})
		return err
	})
	stopped := false
	defer func() { // it is the child of the process before, which takes note of its end
		if !stopped {
			_ = syscall.Kill(done.Pid, syscall.SIGKILL)
		}
	}()
	m.hear("MAINPID=")
	m.stop(done.Pid, []int{old.Process.Pid}, func() bool {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", done.Pid))
		return err != nil || strings.Contains(string(stat), ") Z ")
	})
	stopped = true
	free()
	if o := <-answer; o.err != nil || o.status != http.StatusOK {
		t.Errorf("the request that the process before has: status %d, %v", o.status, o.err)
	}
	if err := old.Wait(); err != nil {
		t.Errorf("the process before: %v", err)
	}
}

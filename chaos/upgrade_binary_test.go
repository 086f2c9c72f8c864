package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/holdfast-lb/holdfast/admin/client"
	"github.com/holdfast-lb/holdfast/chaos/built"
	"github.com/holdfast-lb/holdfast/chaos/group"
	"github.com/holdfast-lb/holdfast/chaos/load"
	"github.com/holdfast-lb/holdfast/chaos/stage"
)

// fewProvisional holds all tables against all sessions. A record that takes more than two seconds, on a machine that has far too much to do, is made later; as a rule none does.
func fewProvisional(t *testing.T, ctx context.Context, s *stage.Stage, l *load.Load) {
	t.Helper()
	if n := holdTables(t, ctx, s, l); n > l.Ledger.Len()/20 {
		t.Errorf("%d of %d sessions began provisionally", n, l.Ledger.Len())
	}
}

// newVersion is the same program with another version.
var newVersion = built.With("new", "-ldflags", "-X main.version=new")

// place copies a program to where a test may replace it, as an installer does: beside, and then by a new name.
func place(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(to+".part", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
	if err == nil {
		_, err = io.Copy(out, in)
		err = errors.Join(err, out.Close(), os.Rename(to+".part", to))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// heirs ends the processes that nodes have started in their own place.
type heirs struct {
	t    *testing.T
	pids map[string]int // by node
}

// adopt has this process inherit the children of nodes that end, so that it can wait for them.
func adopt(t *testing.T) *heirs {
	t.Helper()
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	h := &heirs{t, map[string]int{}}
	t.Cleanup(func() {
		for node, pid := range h.pids {
			_ = syscall.Kill(pid, syscall.SIGKILL)
			if _, err := syscall.Wait4(pid, nil, 0, nil); err != nil {
				t.Errorf("node %s, process %d: %v", node, pid, err)
			}
		}
	})
	return h
}

// upgrade upgrades a node and waits until the process before has ended.
func (h *heirs) upgrade(ctx context.Context, n *group.Node) *client.BinaryUpgraded {
	h.t.Helper()
	began := time.Now()
	c, err := client.New(client.Options{URLs: []string{n.Admin}})
	if err != nil {
		h.t.Fatal(err)
	}
	done, err := c.UpgradeBinary(ctx, client.BinaryUpgrade{ReadyWithinMilli: 60_000})
	if err != nil {
		h.t.Fatalf("node %s: %v", n.Name, err)
	}
	h.ended(n)
	h.succeeded(n, done.Pid)
	h.t.Logf("node %s: %s instead of %s serves after %d ms, of which no process took part for %d ms; the one before ended after %v", n.Name, done.Version, done.Before, done.Took, done.Gap,
		time.Since(began).Round(time.Millisecond))
	return done
}

// succeeded notes which process has the node now; the one before has ended.
func (h *heirs) succeeded(n *group.Node, pid int) {
	h.pids[n.Name] = pid
	n.Succeeded(pid)
}

// ended waits for the end of the node's present process.
func (h *heirs) ended(n *group.Node) {
	h.t.Helper()
	var err error
	if old := h.pids[n.Name]; old == 0 {
		err = n.Process().Err()
	} else {
		var status syscall.WaitStatus
		if _, err = syscall.Wait4(old, &status, 0, nil); err == nil && status != 0 {
			err = fmt.Errorf("wait status %x", status)
		}
	}
	if err != nil {
		h.t.Errorf("the process of node %s before: %v", n.Name, err)
	}
}

// signal upgrades a node by SIGUSR2. The new process is this one's child as soon as the one before has ended.
func (h *heirs) signal(n *group.Node) {
	h.t.Helper()
	pid := h.pids[n.Name]
	if pid == 0 {
		pid = n.Process().Pid()
	}
	if err := syscall.Kill(pid, syscall.SIGUSR2); err != nil {
		h.t.Fatal(err)
	}
	h.ended(n)
	lists, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil {
		h.t.Fatal(err)
	}
	for _, list := range lists {
		text, _ := os.ReadFile(list)
		for _, child := range strings.Fields(string(text)) {
			line, _ := os.ReadFile("/proc/" + child + "/cmdline")
			if id, err := strconv.Atoi(child); err == nil && strings.Contains(string(line), "--name\x00"+n.Name+"\x00") {
				h.succeeded(n, id)
				return
			}
		}
	}
	h.t.Fatalf("nobody runs node %s after SIGUSR2", n.Name)
}

// TestUpgradeBinary: the program of each node in turn is replaced while clients send 2,000 requests a second over kept connections, connect a thousand times a second, and make new
// sessions of all kinds. No request fails, no connection is refused, and nobody has to try again.
func TestUpgradeBinary(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	first, err := program()
	if err != nil {
		t.Fatal(err)
	}
	second, err := newVersion()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "holdfast")
	place(t, first, path)
	s := set(t, ctx, func() (string, error) { return path, nil }, stage.Options{})
	h := adopt(t)
	l := crowd(t, ctx, s, 61, 500)
	place(t, second, path)
	leader, err := s.Group.Leader(ctx)
	if err != nil {
		t.Fatal(err)
	}
	clients := steady{}
	clients.run(t, ctx, s.Group, func() {
		underLoad(t, ctx, l, func() {
			for _, n := range s.Group.Nodes {
				if n == leader {
					t.Logf("node %s leads", n.Name)
				}
				if done := h.upgrade(ctx, n); done.Version != "new" || done.Before == "new" {
					t.Errorf("%+v", done)
				}
			}
			h.upgrade(ctx, s.Group.Nodes[0]) // and once more: what has taken over can be taken over from
			h.signal(s.Group.Nodes[1])
		})
	})
	if n := l.Record.Retried.Load(); n > 0 {
		t.Errorf("clients had to try again: %s", l.Record.Causes())
	}
	fewProvisional(t, ctx, s, l)
	comeBack(t, ctx, s, l)
	verdict(t, l)
}

// oneAtATime: while a program is waited for, another upgrade of the node is refused.
func oneAtATime(t *testing.T, ctx context.Context, n *group.Node, dir string) {
	t.Helper()
	first := make(chan error, 1)
	go func() {
		_, err := n.Client.UpgradeBinary(ctx, client.BinaryUpgrade{Program: filepath.Join(dir, "hang")})
		first <- err
	}()
	limited, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	poll(t, limited, "the first one is under way", func() error {
		all, err := filepath.Glob("/proc/[0-9]*/cmdline")
		if err != nil {
			return err
		}
		for _, file := range all {
			if line, _ := os.ReadFile(file); string(line) == "sleep\x0060\x00" {
				return nil
			}
		}
		return errors.New("its program does not run yet")
	})
	if _, err := n.Client.UpgradeBinary(ctx, client.BinaryUpgrade{Program: filepath.Join(dir, "crash")}); err == nil || !strings.Contains(err.Error(), "under way already") {
		t.Errorf("a second upgrade: %v", err)
	}
	if err := <-first; err == nil || !strings.Contains(err.Error(), "not answered in time") {
		t.Errorf("the first one: %v", err)
	}
}

// oneWord asks a node again and again, each time by a new connection, and gives what is to be called at the end: so many processes must have spoken for it, one after the other, in terms that only go up. Whether it is
// ready is answered throughout.
func oneWord(t *testing.T, ctx context.Context, n *group.Node, processes int) (end func()) {
	t.Helper()
	c := http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	get := func(path string) (code int, body []byte, err error) {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, n.Admin+path, nil)
		if err != nil {
			return 0, nil, err
		}
		resp, err := c.Do(r)
		if err != nil {
			return 0, nil, err
		}
		defer resp.Body.Close()
		body, err = io.ReadAll(resp.Body)
		return resp.StatusCode, body, err
	}
	stop := make(chan struct{})
	var watchers sync.WaitGroup
	watch := func(look func()) {
		watchers.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(5 * time.Millisecond):
					look()
				}
			}
		})
	}
	watch(func() {
		if code, body, err := get("/readyz"); code != http.StatusOK || err != nil {
			t.Errorf("readiness of node %s: %d %s %v", n.Name, code, body, err)
		}
	})
	var term uint64
	var started time.Time
	answers, spoke := 0, 0
	watch(func() {
		code, body, err := get("/v1/status?consistency=stale")
		if code == http.StatusServiceUnavailable {
			return // nobody can tell
		}
		var status client.Status
		if err = errors.Join(err, json.Unmarshal(body, &status)); err != nil || code != http.StatusOK {
			t.Errorf("status of node %s: %d %v", n.Name, code, err)
			return
		}
		answers++
		for _, m := range status.Nodes {
			if !m.Self {
				continue
			}
			if status.Term < term || m.Started.Before(started) {
				t.Errorf("node %s says term %d, started %v, after term %d, started %v", n.Name, status.Term, m.Started, term, started)
			}
			if !m.Started.Equal(started) {
				spoke++
			}
			term, started = status.Term, m.Started
		}
	})
	return func() {
		close(stop)
		watchers.Wait()
		if spoke != processes {
			t.Errorf("%d processes have spoken for node %s by turns, want %d", spoke, n.Name, processes)
		}
		t.Logf("node %s: %d answers by %d processes", n.Name, answers, spoke)
	}
}

// TestUpgradeBinaryAlone: a group of one node. Nobody decides while its program is replaced, so that new sessions wait; none fails.
func TestUpgradeBinaryAlone(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	s := set(t, ctx, program, stage.Options{Nodes: 1})
	h := adopt(t)
	l := crowd(t, ctx, s, 63, 200)
	clients := steady{}
	clients.run(t, ctx, s.Group, func() {
		underLoad(t, ctx, l, func() {
			defer oneWord(t, ctx, s.Group.Nodes[0], 3)()
			h.upgrade(ctx, s.Group.Nodes[0])
			h.upgrade(ctx, s.Group.Nodes[0])
		})
	})
	if n := l.Record.Retried.Load(); n > 0 {
		t.Errorf("clients had to try again: %s", l.Record.Causes())
	}
	fewProvisional(t, ctx, s, l)
	comeBack(t, ctx, s, l)
	verdict(t, l)
}

// whenAlone asks for an upgrade as soon as the last one that came to nothing has left no clients behind.
func whenAlone(t *testing.T, ctx context.Context, n *group.Node, program string) (got *client.BinaryUpgraded, err error) {
	t.Helper()
	limited, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	poll(t, limited, "an upgrade that is looked at", func() error {
		got, err = n.Client.UpgradeBinary(ctx, client.BinaryUpgrade{Program: program})
		if err != nil && (strings.Contains(err.Error(), "has clients still") || strings.Contains(err.Error(), "has no leader")) { // a machine with too much to do
			return err
		}
		return nil
	})
	return got, err
}

// TestUpgradeToWhatCannotServe: whatever is put in the place of the program, the running one goes on, says why, and no client notices. Some fail before anything has changed, the last ones
// when the node has parted from its group already: then the running process takes it back. A good program is taken after all that.
func TestUpgradeToWhatCannotServe(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	first, err := program()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "holdfast")
	place(t, first, path)
	s := set(t, ctx, func() (string, error) { return path, nil }, stage.Options{})
	h := adopt(t)
	l := crowd(t, ctx, s, 62, 200)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	foreign := append([]byte(nil), good[:1<<16]...)
	foreign[18], foreign[19] = 0x16, 0 // e_machine of ELF: s390
	script := func(text string) []byte { return []byte("#!/bin/sh\n" + text + "\n") }
	n := s.Group.Nodes[1]
	pid := n.Process().Pid()
	clients := steady{}
	clients.run(t, ctx, s.Group, func() {
		for _, c := range []struct {
			name    string
			content []byte
			mode    os.FileMode
			want    string
		}{
			{"crash", script("kill -SEGV $$"), 0o755, "it has ended: signal: segmentation fault"},
			{"foreign", foreign, 0o755, "exec format error"},
			{"plain", good[:100], 0o644, "permission denied"},
			{"writable", good[:100], 0o777, "can be written to by others"},
			{"another", script("exec " + path + ` "$@" --name n9`), 0o755, `would be node "n9"`},
			{"wrong", script("exec " + path + ` "$@" --timing fastest`), 0o755, `"fastest" is none of lan, wan, fast`},
			{"hang", script("exec sleep 60"), 0o755, "not answered in time"},
			{"late", script("exec " + path + ` "$@" --tls-dir ` + dir + "/nothing"), 0o755, "its certificate is not in"},
			{"later", script("exec " + path + ` "$@" --tls-dir ` + dir + "/nothing"), 0o755, "its certificate is not in"},
		} {
			file := filepath.Join(dir, c.name)
			if err := errors.Join(os.WriteFile(file, c.content, 0o600), os.Chmod(file, c.mode)); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			got, err := whenAlone(t, ctx, n, file)
			if err == nil {
				h.pids[n.Name] = got.Pid
				t.Fatalf("%s: %+v", c.name, got)
			}
			if !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "this one goes on") {
				t.Errorf("%s: %v lacks %q", c.name, err, c.want)
			}
			t.Logf("%s: refused after %v", c.name, time.Since(began).Round(time.Millisecond))
			limited, cancel := context.WithTimeout(ctx, settleTime)
			if err := n.Ready(limited); err != nil {
				t.Errorf("%s: the node after it: %v", c.name, err)
			}
			cancel()
		}
		if _, err := whenAlone(t, ctx, n, filepath.Join(dir, "crash")); err == nil {
			t.Error("a program that crashes serves")
		}
		oneAtATime(t, ctx, n, dir)
		if n.Process().Pid() != pid || !n.Process().Alive() {
			t.Error("it is another process")
		}
		if err := os.Rename(path, filepath.Join(dir, "good")); err != nil {
			t.Fatal(err)
		}
		if got, err := whenAlone(t, ctx, n, ""); err == nil {
			t.Errorf("no program: %+v", got)
		}
		place(t, filepath.Join(dir, "good"), path)
		h.upgrade(ctx, n)
	})
	fewProvisional(t, ctx, s, l)
	comeBack(t, ctx, s, l)
	verdict(t, l)
}

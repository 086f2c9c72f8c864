package group

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/holdfast-lb/holdfast/chaos/proc"
)

// Succeeded notes that the node's process has started another one in its own place, as an upgrade of the program does. Whoever knows its id ends it: it is none of the set's.
func (n *Node) Succeeded(pid int) { n.heir.Store(int64(pid)) }

// heirLives says whether that process runs.
func (n *Node) heirLives() bool {
	pid := n.heir.Load()
	if pid == 0 {
		return false
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, found := strings.Cut(string(text), ") ")
	return err == nil && found && !strings.HasPrefix(rest, "Z")
}

// Handing declares that the node's process may start another one in its own place, until the given function is called: both speak for the node then.
func (n *Node) Handing() (over func(), err error) {
	if err := proc.Inherit(); err != nil {
		return nil, err
	}
	n.handing.Store(&handing{})
	return func() { n.handing.Store(nil) }, nil
}

// Adopt makes a process that the node's present one has started in its own place the node's. The one before may still run.
func (n *Node) Adopt(pid int) error {
	p, err := n.group.options.Set.Adopt(n.Process(), pid)
	if err != nil {
		return err
	}
	n.former.Store(n.process.Swap(p))
	n.handing.Store(nil)
	return nil
}

// handing is the time in which another process may take a node over.
type handing struct {
	mu     sync.Mutex
	looked time.Time // when the last look for it began
	heirs  []int     // what that has found
}

// LookForHeirs looks which processes are about to take the node over, so that Pids has them. To look takes milliseconds, and a busy node makes many connections: one look serves all who wait for it. False: the node does not hand over.
func (n *Node) LookForHeirs() bool {
	h := n.handing.Load()
	if h == nil {
		return false
	}
	asked := time.Now()
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.looked.Before(asked) {
		h.looked = time.Now()
		h.heirs = n.Heirs()
	}
	return true
}

// Heirs are the processes that are the node by their arguments and their process group, and are not the one that is known as it.
func (n *Node) Heirs() (pids []int) {
	p := n.process.Load()
	if p == nil {
		return nil
	}
	arguments := []byte("\x00" + strings.Join(n.arguments(), "\x00") + "\x00")
	lists, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range lists {
		line, err := os.ReadFile(file)
		if err != nil || !bytes.HasSuffix(line, arguments) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil || pid == p.Pid() {
			continue
		}
		if group, err := unix.Getpgid(pid); err == nil && group == p.Group() {
			pids = append(pids, pid)
		}
	}
	return pids
}

// Pids are the processes that speak for the node, as far as LookForHeirs has seen them; none before its first start.
func (n *Node) Pids() (pids []int) {
	for _, p := range []*proc.Process{n.process.Load(), n.former.Load()} {
		if p != nil && (len(pids) == 0 || p.Alive()) {
			pids = append(pids, p.Pid())
		}
	}
	if h := n.handing.Load(); h != nil {
		h.mu.Lock()
		defer h.mu.Unlock()
		pids = append(pids, h.heirs...)
	}
	return pids
}

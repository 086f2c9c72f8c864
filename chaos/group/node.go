package group

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/holdfast-lb/holdfast/admin/client"
	"github.com/holdfast-lb/holdfast/chaos/proc"
)

// Node is one node of the group: a name, addresses and a data directory that stay, and a process that comes and goes.
type Node struct {
	Name    string
	Host    string // 127.0.0.i
	Traffic string // host:port of the group's listener
	Admin   string // URL of the admin API, without a slash at the end
	DataDir string
	// Client talks to this node's admin API.
	Client *client.Client

	group   *Group
	process atomic.Pointer[proc.Process] // a display may look while the node is restarted
}

// Start starts the node's process; it does not wait until the node is ready.
func (n *Node) Start() error {
	if n.Alive() {
		return fmt.Errorf("start node %s: it runs already", n.Name)
	}
	o := &n.group.options
	p, err := o.Set.Start(proc.Spec{
		Name: n.Name, Path: o.Binary, Args: n.arguments(), Log: filepath.Join(o.Dir, n.Name+".log"),
		Env: append([]string{"HOLDFAST_JOIN_TOKEN=" + n.group.initString}, o.Env...),
	})
	if err != nil {
		return err
	}
	n.process.Store(p)
	return nil
}

func (n *Node) arguments() []string {
	g := n.group
	var peers []string
	for _, other := range g.Nodes {
		peers = append(peers, other.address(g.peerPort))
	}
	return []string{
		"serve", "--name", n.Name, "--group", groupName, "--data-dir", n.DataDir, "--peer-addr", n.address(g.peerPort), "--admin-addr", n.address(g.adminPort),
		"--bind-address", n.Host, "--bootstrap-expect", strconv.Itoa(len(g.Nodes)), "--join", strings.Join(peers, ","),
		"--timing", g.options.Timing, "--log-level", g.options.LogLevel,
	}
}

func (n *Node) address(port int) string { return net.JoinHostPort(n.Host, strconv.Itoa(port)) }

// Alive says whether the node's process runs; a frozen one does.
func (n *Node) Alive() bool {
	p := n.process.Load()
	return p != nil && p.Alive()
}

// Process is the node's present or last process, nil before the first start.
func (n *Node) Process() *proc.Process { return n.process.Load() }

// Kill ends the process with SIGKILL.
func (n *Node) Kill() {
	if p := n.process.Load(); p != nil {
		p.Kill()
	}
}

// Stop ends the process in an orderly way, with SIGTERM.
func (n *Node) Stop(ctx context.Context) error {
	p := n.process.Load()
	if p == nil {
		return errors.New("stop node " + n.Name + ": it was never started")
	}
	return p.Stop(ctx)
}

// Ready waits until the node says that it should get traffic.
func (n *Node) Ready(ctx context.Context) error {
	p := n.process.Load()
	if p == nil {
		return errors.New("node " + n.Name + " was never started")
	}
	return p.Ready(ctx, n.Admin+"/readyz")
}

// Restart starts the ended process again and waits until it is ready.
func (n *Node) Restart(ctx context.Context) error {
	if err := n.Start(); err != nil {
		return err
	}
	return n.Ready(ctx)
}

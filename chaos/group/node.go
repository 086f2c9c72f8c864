package group

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
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
	// Program is what the next start starts instead of the group's program; empty: that.
	Program string
	// Env is added to the environment of the next start, before what the group adds.
	Env []string

	adminAddress string // host:port
	group        *Group
	process      atomic.Pointer[proc.Process] // a display may look while the node is restarted
	heir         atomic.Int64                 // see Succeeded
	handing      atomic.Pointer[handing]      // see Handing; nil: nobody is to take it over
	former       atomic.Pointer[proc.Process] // the one from which the present one was adopted
}

// Start starts the node's process; it does not wait until the node is ready.
func (n *Node) Start() error {
	if n.Alive() {
		return fmt.Errorf("start node %s: it runs already", n.Name)
	}
	o := &n.group.options
	program := o.Binary
	if n.Program != "" {
		program = n.Program
	}
	spec := proc.Spec{
		Name: n.Name, Path: program, Args: n.arguments(), Log: filepath.Join(o.Dir, n.Name+".log"),
		Env: slices.Concat(n.Env, []string{"HOLDFAST_JOIN_TOKEN=" + n.group.initString}, o.Env),
	}
	if o.Place != nil {
		spec = o.Place.Spec(n.Name, spec)
	}
	p, err := o.Set.Start(spec)
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
		peers = append(peers, other.address(g.knownPort))
	}
	own := []string{"--bind-address", n.Host}
	if g.options.Place != nil { // the virtual address is to be listened at, too
		own = g.options.Place.Arguments()
	}
	return append([]string{
		"serve", "--name", n.Name, "--group", groupName, "--data-dir", n.DataDir, "--peer-addr", n.address(g.peerPort),
		"--advertise", n.address(g.knownPort), "--admin-addr", n.adminAddress,
		"--bootstrap-expect", strconv.Itoa(len(g.Nodes)), "--join", strings.Join(peers, ","),
		"--timing", g.options.Timing, "--log-level", g.options.LogLevel,
	}, own...)
}

func (n *Node) address(port int) string { return net.JoinHostPort(n.Host, strconv.Itoa(port)) }

// Alive says whether the node's process runs; a frozen one does.
func (n *Node) Alive() bool {
	p := n.process.Load()
	return p != nil && p.Alive() || n.heirLives()
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
	var dial proc.Dial
	if n.group.options.Place != nil {
		dial = n.group.dialAdmin
	}
	return p.ReadyBy(ctx, n.Admin+"/readyz", dial)
}

// Restart starts the ended process again and waits until it is ready.
func (n *Node) Restart(ctx context.Context) error {
	if err := n.Start(); err != nil {
		return err
	}
	return n.Ready(ctx)
}

package group

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/holdfast-lb/holdfast/admin/client"
	"github.com/holdfast-lb/holdfast/chaos/load"
	"github.com/holdfast-lb/holdfast/chaos/proc"
)

// groupName is the name of every group that is started here.
const groupName = "chaos"

// Options of a group.
type Options struct {
	// Binary is the program. Dir takes data directories and logs. Set owns the processes.
	Binary string
	Dir    string
	Set    *proc.Set
	// Nodes is the size of the group, default 3.
	Nodes int
	// Timing is lan (default), wan or fast. LogLevel defaults to info.
	Timing, LogLevel string
	// Env is added to the environment of each node.
	Env []string
	// Relay, when not nil, makes what dials front reach back, the peer address of the node: the nodes then know each other by their fronts.
	Relay func(node, front, back string) error
	// Place, when not nil, is where the nodes are instead of on loopback.
	Place Place
	// Disk, when not nil, gives the directory below which a node's data directory is made; default: Dir.
	Disk func(node string) (dir string, err error)
}

// Place is a network with a machine for each node, by the node's name, and one for who asks them.
type Place interface {
	// IP is the machine's address, Spec the process on it, Dial what connects from it.
	IP(machine string) string
	Spec(machine string, s proc.Spec) proc.Spec
	Dial(machine string) func(ctx context.Context, network, address string) (net.Conn, error)
	// Arguments are added to those of each node.
	Arguments() []string
}

// The ports on machines of their own, where all are free.
const (
	placeTraffic = 8080
	placeAdmin   = 7700
	placePeer    = 7701
)

// Group is a group of nodes, on loopback unless there is a Place.
type Group struct {
	Nodes []*Node
	// Port is free on every node's host: the listener of the configuration is to be ":Port".
	Port int

	options             Options
	initString          string
	peerPort, adminPort int
	knownPort           int // of the address by which the nodes know each other
}

// New prepares a group: ports, directories, the init string. Nothing runs yet.
func New(ctx context.Context, o Options) (*Group, error) {
	if o.Nodes == 0 {
		o.Nodes = 3
	}
	if o.Timing == "" {
		o.Timing = "lan"
	}
	if o.LogLevel == "" {
		o.LogLevel = "info"
	}
	var hosts []string
	for i := range o.Nodes {
		hosts = append(hosts, fmt.Sprintf("127.0.0.%d", i+1))
	}
	ports, err := o.ports(hosts)
	if err != nil {
		return nil, err
	}
	g := &Group{Port: ports[0], peerPort: ports[1], adminPort: ports[2], knownPort: ports[1], options: o}
	if o.Relay != nil {
		g.knownPort = ports[3]
	}
	if g.initString, err = initString(ctx, o); err != nil {
		return nil, err
	}
	for i, host := range hosts {
		n := &Node{Name: fmt.Sprintf("n%d", i+1), Host: host, group: g}
		n.adminAddress = n.address(g.adminPort) // on loopback also where the node has a machine of its own: whatever happens to the network, it can be asked
		if o.Place != nil {
			n.Host = o.Place.IP(n.Name)
		}
		n.Traffic = n.address(g.Port)
		n.Admin = "http://" + n.adminAddress
		n.DataDir = filepath.Join(o.Dir, n.Name)
		if o.Disk != nil {
			dir, err := o.Disk(n.Name)
			if err != nil {
				return nil, err
			}
			n.DataDir = filepath.Join(dir, "data")
		}
		if n.Client, err = client.New(client.Options{URLs: []string{n.Admin}, AttemptTimeout: 5 * time.Second, Transport: g.transport()}); err != nil {
			return nil, fmt.Errorf("admin client of node %s: %w", n.Name, err)
		}
		if err := os.MkdirAll(n.DataDir, 0o700); err != nil {
			return nil, err
		}
		g.Nodes = append(g.Nodes, n)
		if o.Relay != nil {
			if err := o.Relay(n.Name, n.address(g.knownPort), n.address(g.peerPort)); err != nil {
				return nil, err
			}
		}
	}
	return g, nil
}

// ports gives those for traffic, nodes, operators, and for relays before the nodes.
func (o *Options) ports(hosts []string) ([]int, error) {
	if o.Place != nil {
		return []int{placeTraffic, placePeer, placeAdmin, placePeer}, nil
	}
	return proc.Ports(4, hosts...)
}

// transport connects to the nodes' admin addresses; nil: as usual.
func (g *Group) transport() http.RoundTripper {
	if g.options.Place == nil {
		return nil
	}
	return &http.Transport{DialContext: g.dialAdmin, IdleConnTimeout: time.Minute}
}

// dialAdmin connects to the admin address of a node, on its own machine.
func (g *Group) dialAdmin(ctx context.Context, network, address string) (net.Conn, error) {
	for _, n := range g.Nodes {
		if n.adminAddress == address {
			return g.options.Place.Dial(n.Name)(ctx, network, address)
		}
	}
	return nil, fmt.Errorf("%s is no node's admin address", address)
}

// dial connects to a node's traffic address as clients do.
func (g *Group) dial(ctx context.Context, address string) (net.Conn, error) {
	if g.options.Place != nil {
		return g.options.Place.Dial(Clients)(ctx, "tcp", address)
	}
	var d net.Dialer
	return d.DialContext(ctx, "tcp", address)
}

// Clients is the machine of a Place that clients are on.
const Clients = "clients"

// initString asks the program for the secret that the first nodes share.
func initString(ctx context.Context, o Options) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, o.Binary, "init", "--group", groupName)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s init: %w: %s", o.Binary, err, strings.TrimSpace(stderr.String()))
	}
	secret := strings.TrimSpace(stdout.String())
	if !strings.HasPrefix(secret, "hfi1.") || strings.ContainsAny(secret, " \n") {
		return "", fmt.Errorf("%s init printed something else than an init string", o.Binary)
	}
	return secret, nil
}

// Start starts the nodes in the given order of positions (none: as they are) and waits until all are ready.
func (g *Group) Start(ctx context.Context, order ...int) error {
	if len(order) == 0 {
		for i := range g.Nodes {
			order = append(order, i)
		}
	}
	for _, i := range order {
		if err := g.Nodes[i].Start(); err != nil {
			return err
		}
	}
	return g.Ready(ctx)
}

// Ready waits until every node is.
func (g *Group) Ready(ctx context.Context) error {
	return g.Each(func(n *Node) error { return n.Ready(ctx) })
}

// Each does the same to every node at once.
func (g *Group) Each(do func(*Node) error) error {
	errs := make([]error, len(g.Nodes))
	var all sync.WaitGroup
	for i, n := range g.Nodes {
		all.Go(func() { errs[i] = do(n) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// Targets are the nodes as clients see them.
func (g *Group) Targets() []load.Target {
	var targets []load.Target
	for _, n := range g.Nodes {
		targets = append(targets, load.Target{Node: n.Name, Addr: n.Traffic})
	}
	return targets
}

// Listener is the address for the configuration: the same port on every node.
func (g *Group) Listener() string { return net.JoinHostPort("", strconv.Itoa(g.Port)) }

// Tails gives the last lines of every node's log. Our own questions are left out: there are thousands of them.
func (g *Group) Tails(lines int) string {
	var b strings.Builder
	for _, n := range g.Nodes {
		if p := n.process.Load(); p != nil {
			b.WriteString(p.Tail(lines, func(line string) bool { return strings.Contains(line, `msg="admin call"`) }) + "\n")
		}
	}
	return b.String()
}

// ByName finds a node; nil when there is none of that name.
func (g *Group) ByName(name string) *Node {
	for _, n := range g.Nodes {
		if n.Name == name {
			return n
		}
	}
	return nil
}

package stage

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/holdfast-lb/holdfast/chaos/group"
	"github.com/holdfast-lb/holdfast/chaos/lan"
	"github.com/holdfast-lb/holdfast/chaos/load"
	"github.com/holdfast-lb/holdfast/chaos/proc"
	"github.com/holdfast-lb/holdfast/chaos/proxy"
)

// The three ways in which the sessions of the sample application are recognised. Each has a cluster and a module of its own.
var (
	Insert = load.Kind{Name: "insert", ContextRoot: "/insert", Path: "/insert/page", Cookie: "HOLDFAST"}
	Learn  = load.Kind{Name: "learn", ContextRoot: "/learn", Path: "/learn/page"}
	// Plain is learn without a suffix in the session id: nothing but the replicated table knows the instance.
	Plain = load.Kind{Name: "plain", ContextRoot: "/plain", Path: "/plain/page"}
	// Sockets is Insert with WebSockets, Uploads is Plain with bodies that must arrive once and unchanged.
	Sockets = load.Kind{Name: Insert.Name, ContextRoot: Insert.ContextRoot, Path: Insert.Path, Cookie: Insert.Cookie, Socket: "/insert/ws"}
	Uploads = load.Kind{Name: Plain.Name, ContextRoot: Plain.ContextRoot, Path: "/plain/upload", Upload: 48 << 10}
)

// Options of a stage.
type Options struct {
	// Binary is the holdfast program; its hidden sub-command sample-instance is the application.
	Binary string
	// Parent is where the stage's directory is made, default: the system's place for temporary files.
	Parent string
	// Instances is how many there are of the application, default 3.
	Instances int
	// Env is for the nodes, and for what else runs the program for the group; Timing is theirs, default lan.
	Env    []string
	Timing string
	// Order is the order in which the nodes start, by position; nil: as they are.
	Order []int
	// Nodes is the size of the group, default 3.
	Nodes int
	// Relayed puts a Fabric between the nodes, and between nodes and instances; Seed is what is random in it.
	Relayed bool
	Seed    uint64
	// LAN, when not nil, is the network that everything is on instead of loopback, with a machine for each node and instance. It ends with the stage.
	LAN *lan.LAN
	// Mount, when not nil, makes a disk for a node below the stage's directory. So the stage need not know of file systems.
	Mount func(dir, node string) (Disk, error)
	// Outsider adds an instance in a cluster of its own, which no session of the others may ever come to. On a LAN it has the machine of that name.
	Outsider bool
	// QuiesceTimeout is that of the configuration, a duration as users write it; empty: the group's default.
	QuiesceTimeout string
}

// Disk is where a node's data directory is.
type Disk struct {
	Path string
	// Heal lets go of whoever waits for it; Close ends it, when nobody uses it any more.
	Heal  func()
	Close func() error
}

// Instance is one sample application.
type Instance struct {
	Name    string
	Addr    string // host:port
	Known   string // host:port by which the nodes know it: Addr, unless there is a relay before it
	Process *proc.Process
}

// Stage is what a scenario plays on.
type Stage struct {
	Group     *group.Group
	Instances []*Instance
	// Outsider is the instance of another cluster, nil unless one was asked for.
	Outsider *Instance
	Dir      string
	// Fabric is the network between the processes, nil when they talk to each other directly.
	Fabric *proxy.Fabric

	set     proc.Set
	owners  proxy.Owners
	nodes   atomic.Pointer[[]*group.Node]
	options Options
	disks   []Disk
}

// Start sets the stage; every node is ready and has the configuration when it returns. After an error nothing is left.
func Start(ctx context.Context, o Options) (*Stage, error) {
	if o.Instances == 0 {
		o.Instances = 3
	}
	dir, err := os.MkdirTemp(o.Parent, "holdfast-stage-")
	if err != nil {
		return nil, err
	}
	s := &Stage{Dir: dir, options: o}
	if err := s.start(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Stage) start(ctx context.Context) error {
	var relay func(to, front, back string) error
	if s.options.Relayed {
		s.Fabric = proxy.New(s.dialler, s.options.Seed)
		relay = s.Fabric.Open
	}
	if err := s.startInstances(relay); err != nil {
		return err
	}
	g, err := group.New(ctx, group.Options{
		Binary: s.options.Binary, Dir: s.Dir, Set: &s.set, Nodes: s.options.Nodes, Timing: s.options.Timing, Env: s.options.Env, Relay: relay,
		Place: s.place(), Disk: s.mount(),
	})
	if err != nil {
		return err
	}
	s.setGroup(g)
	if err := s.Group.Start(ctx, s.options.Order...); err != nil {
		return err
	}
	ready := s.Instances
	if s.Outsider != nil {
		ready = append(slices.Clip(ready), s.Outsider)
	}
	for _, instance := range ready {
		if err := s.InstanceReady(ctx, instance); err != nil {
			return err
		}
	}
	if err := s.Group.Apply(ctx, s.Configuration()); err != nil {
		return fmt.Errorf("%w\n%s", err, s.Group.Tails(12))
	}
	return s.Group.Serving(ctx)
}

// mount gives what makes the disk of a node, nil for none.
func (s *Stage) mount() func(node string) (string, error) {
	if s.options.Mount == nil {
		return nil
	}
	return func(node string) (string, error) {
		d, err := s.options.Mount(s.Dir, node)
		if err != nil {
			return "", err
		}
		s.disks = append(s.disks, d)
		return d.Path, nil
	}
}

// place is where the nodes are; nil for loopback.
func (s *Stage) place() group.Place {
	if s.options.LAN == nil {
		return nil
	}
	return s.options.LAN
}

// LAN is the network that everything is on, nil for loopback.
func (s *Stage) LAN() *lan.LAN { return s.options.LAN }

// Impose lets an effect happen to what one party sends another: by the relays between them, or by the switch.
func (s *Stage) Impose(from, to string, e proxy.Effect) (lift func(), err error) {
	if s.options.LAN != nil {
		return s.options.LAN.Impose(from, to, e)
	}
	return s.Fabric.Impose(from, to, e)
}

// Reset ends the connections between two parties, where relays can.
func (s *Stage) Reset(a, b string) {
	if s.Fabric != nil {
		s.Fabric.Reset(a, b)
	}
}

// Dial is how clients connect; nil: as usual.
func (s *Stage) Dial() proc.Dial {
	if s.options.LAN == nil {
		return nil
	}
	return s.options.LAN.Dial(lan.Clients)
}

// InstanceReady waits until an instance answers, asked without a relay.
func (s *Stage) InstanceReady(ctx context.Context, instance *Instance) error {
	return instance.Process.ReadyBy(ctx, "http://"+instance.Addr+"/health", s.Dial())
}

// instancePort is that of an instance on a machine of its own.
const instancePort = 9000

// Outsider is the name of the instance that is in a cluster of its own.
const Outsider = "outsider"

// newInstance gives an instance at a port of loopback, or on its machine.
func (s *Stage) newInstance(name string, port int) *Instance {
	in := &Instance{Name: name, Addr: fmt.Sprintf("127.0.0.1:%d", port)}
	if s.options.LAN != nil {
		in.Addr = fmt.Sprintf("%s:%d", s.options.LAN.IP(name), instancePort)
	}
	in.Known = in.Addr
	return in
}

func (s *Stage) startInstances(relay func(to, front, back string) error) error {
	ports, err := proc.Ports(2*s.options.Instances+1, "127.0.0.1")
	if err != nil {
		return err
	}
	if s.options.Outsider { // nothing happens to it, so that it needs no relay
		s.Outsider = s.newInstance(Outsider, ports[2*s.options.Instances])
		if err := s.StartInstance(s.Outsider); err != nil {
			return err
		}
	}
	for i := range s.options.Instances {
		instance := s.newInstance(fmt.Sprintf("instance%d", i+1), ports[2*i])
		if relay != nil {
			instance.Known = fmt.Sprintf("127.0.0.1:%d", ports[2*i+1])
			if err := relay(instance.Name, instance.Known, instance.Addr); err != nil {
				return err
			}
		}
		s.Instances = append(s.Instances, instance)
		if err := s.StartInstance(instance); err != nil {
			return err
		}
	}
	return nil
}

// setGroup shows the group to relays that are at work already.
func (s *Stage) setGroup(g *group.Group) {
	s.Group = g
	s.nodes.Store(&g.Nodes)
}

// dialler tells which node has dialled a connection.
func (s *Stage) dialler(client, server net.Addr) string {
	nodes := s.nodes.Load()
	if nodes == nil {
		return ""
	}
	if name := s.dialled(client, server, *nodes); name != "" {
		return name
	}
	handing := false // one that takes a node over has not been seen before
	for _, n := range *nodes {
		handing = n.LookForHeirs() || handing
	}
	if !handing {
		return ""
	}
	return s.dialled(client, server, *nodes)
}

func (s *Stage) dialled(client, server net.Addr, nodes []*group.Node) string {
	names := map[int]string{}
	var pids []int
	for _, n := range nodes {
		for _, pid := range n.Pids() {
			names[pid] = n.Name
			pids = append(pids, pid)
		}
	}
	return names[s.owners.Of(client, server, pids)]
}

// StartInstance starts an instance, the first time or after its process was ended.
func (s *Stage) StartInstance(instance *Instance) error {
	spec := proc.Spec{
		Name: instance.Name, Path: s.options.Binary, Log: filepath.Join(s.Dir, instance.Name+".log"),
		Args: []string{"sample-instance", "--address", instance.Addr, "--name", instance.Name},
	}
	if s.options.LAN != nil {
		spec = s.options.LAN.Spec(instance.Name, spec)
	}
	p, err := s.set.Start(spec)
	if err != nil {
		return err
	}
	instance.Process = p
	return nil
}

// Configuration is the group's configuration: one listener, and a cluster of all instances for each kind of session; the outsider has one of its own.
func (s *Stage) Configuration() string {
	var b strings.Builder
	fmt.Fprintf(&b, "listeners:\n  - {name: web, address: %q}\nclusters:\n", s.Group.Listener())
	for _, kind := range []load.Kind{Insert, Learn, Plain} {
		affinity := "{type: learn, names: [JSESSIONID]}"
		if kind.Cookie != "" {
			affinity = "{type: insert, name: " + kind.Cookie + "}"
		}
		fmt.Fprintf(&b, "  - name: %s\n    affinity: %s\n    health: {path: /health, interval: 1s, timeout: 5s}\n", kind.Name, affinity)
		if s.options.QuiesceTimeout != "" {
			fmt.Fprintf(&b, "    quiesceTimeout: %s\n", s.options.QuiesceTimeout)
		}
		fmt.Fprintf(&b, "    modules:\n      - {contextRoot: %s}\n    instances:\n", kind.ContextRoot)
		for _, instance := range s.Instances {
			fmt.Fprintf(&b, "      - {name: %s, listeners: [\"http://%s\"]}\n", instance.Name, instance.Known)
		}
	}
	if s.Outsider != nil {
		fmt.Fprintf(&b, "  - name: other\n    affinity: {type: insert, name: OTHER}\n    health: {path: /health, interval: 1s, timeout: 5s}\n    modules:\n      - {contextRoot: /other}\n    instances:\n")
		fmt.Fprintf(&b, "      - {name: %s, listeners: [\"http://%s\"]}\n", s.Outsider.Name, s.Outsider.Known)
	}
	return b.String()
}

// Start starts a process beside the others, which ends with the stage.
func (s *Stage) Start(spec proc.Spec) (*proc.Process, error) { return s.set.Start(spec) }

// Binary is the program under test.
func (s *Stage) Binary() string { return s.options.Binary }

// Env is what the program finds in its environment beside what this one has.
func (s *Stage) Env() []string { return s.options.Env }

// End ends every process of the stage, and the network between them; the files stay. It names the nodes whose machine keeps the virtual address, on which nobody is any more.
func (s *Stage) End() (held []string, err error) {
	for _, d := range s.disks {
		d.Heal() // a process that waits for its disk cannot be ended
	}
	s.set.Close()
	if s.Fabric != nil {
		s.Fabric.Close()
	}
	var errs []error
	if s.options.LAN != nil {
		held = s.options.LAN.Left()
		errs = append(errs, s.options.LAN.Close())
		s.options.LAN = nil
	}
	for _, d := range s.disks {
		errs = append(errs, d.Close())
	}
	s.disks = nil
	return held, errors.Join(errs...)
}

// Close is End, and removes the files.
func (s *Stage) Close() error {
	if _, err := s.End(); err != nil {
		return err // what is still mounted must not be removed
	}
	return os.RemoveAll(s.Dir)
}

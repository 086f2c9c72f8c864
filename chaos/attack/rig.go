package attack

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/holdfast-lb/holdfast/chaos/group"
	"github.com/holdfast-lb/holdfast/chaos/proc"
)

// Rig is one real node with a configuration.
type Rig struct {
	// Addr is its listener, host:port.
	Addr string
	// Limits are more keys of the listener, each behind a comma, for Configure.
	Limits string

	dir  string
	set  *proc.Set
	node *group.Node
	all  *group.Group
}

// Cluster is a part of the configuration: one instance behind a context root, without sessions and health checks, so that nothing but what clients send
// arrives there.
type Cluster struct {
	Name, ContextRoot, Instance string // Instance is host:port
	// More are lines of the cluster, each with its line end.
	More string
}

// Start starts a node in dir. files bounds its open files, 0: as this process has it. Close ends it.
func Start(ctx context.Context, binary, dir string, files int, clusters ...Cluster) (*Rig, error) {
	r := &Rig{dir: dir, set: &proc.Set{}}
	if err := r.start(ctx, binary, files, clusters); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

func (r *Rig) start(ctx context.Context, binary string, files int, clusters []Cluster) error {
	if files > 0 {
		wrapper := filepath.Join(r.dir, "bounded")
		text := fmt.Sprintf("#!/bin/sh\nulimit -n %d\nexec '%s' \"$@\"\n", files, binary)
		if err := os.WriteFile(wrapper, []byte(text), 0o700); err != nil {
			return err
		}
		binary = wrapper
	}
	var err error
	if r.all, err = group.New(ctx, group.Options{Binary: binary, Dir: r.dir, Set: r.set, Nodes: 1}); err != nil {
		return err
	}
	if err := r.all.Start(ctx); err != nil {
		return fmt.Errorf("%w\n%s", err, r.all.Tails(12))
	}
	r.node = r.all.Nodes[0]
	r.Addr = r.node.Traffic
	return r.Configure(ctx, clusters...)
}

// Configure puts the clusters into force.
func (r *Rig) Configure(ctx context.Context, clusters ...Cluster) error {
	var b strings.Builder
	// The corpus is of HTTP/1.1, in which the preface of HTTP/2 is a version that is not supported.
	fmt.Fprintf(&b, "listeners:\n  - {name: web, address: %q, http2: false%s}\nclusters:\n", r.all.Listener(), r.Limits)
	for _, c := range clusters {
		fmt.Fprintf(&b, "  - name: %s\n    affinity: {type: none}\n    health: {type: none}\n%s", c.Name, c.More)
		fmt.Fprintf(&b, "    modules:\n      - {contextRoot: %s}\n    instances:\n      - {name: i1, listeners: [\"http://%s\"]}\n", c.ContextRoot, c.Instance)
	}
	if err := r.all.Apply(ctx, b.String()); err != nil {
		return fmt.Errorf("%w\n%s", err, r.all.Tails(12))
	}
	return r.all.Serving(ctx)
}

// Memory gives the resident memory of the process in bytes: now, and at the most so far (proc_pid_status(5)).
func (r *Rig) Memory() (now, peak int64, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", r.node.Process().Pid()))
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(line, ":")
		kib, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		switch name {
		case "VmRSS":
			now = kib << 10
		case "VmHWM":
			peak = kib << 10
		}
	}
	if now == 0 || peak == 0 {
		return 0, 0, errors.New("the kernel does not say how much memory the process has")
	}
	return now, peak, nil
}

// Alive says whether the process still runs.
func (r *Rig) Alive() bool { return r.node.Alive() }

// Tail gives the last lines of the process's log.
func (r *Rig) Tail() string { return r.all.Tails(15) }

// Close ends every process.
func (r *Rig) Close() { r.set.Close() }

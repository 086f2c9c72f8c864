package stage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/holdfast-lb/holdfast/chaos/group"
	"github.com/holdfast-lb/holdfast/chaos/load"
	"github.com/holdfast-lb/holdfast/chaos/proc"
)

// The three ways in which the sessions of the sample application are recognised. Each has a cluster and a module of its own.
var (
	Insert = load.Kind{Name: "insert", ContextRoot: "/insert", Path: "/insert/page", Cookie: "HOLDFAST"}
	Learn  = load.Kind{Name: "learn", ContextRoot: "/learn", Path: "/learn/page"}
	// Plain is learn without a suffix in the session id: nothing but the replicated table knows the instance.
	Plain = load.Kind{Name: "plain", ContextRoot: "/plain", Path: "/plain/page"}
)

// Options of a stage.
type Options struct {
	// Binary is the holdfast program; its hidden sub-command sample-instance is the application.
	Binary string
	// Parent is where the stage's directory is made, default: the system's place for temporary files.
	Parent string
	// Instances is how many there are of the application, default 3.
	Instances int
	// Env is for the nodes; Timing is theirs, default lan.
	Env    []string
	Timing string
	// Order is the order in which the nodes start, by position; nil: as they are.
	Order []int
}

// Instance is one sample application.
type Instance struct {
	Name    string
	Addr    string // host:port
	Process *proc.Process
}

// Stage is what a scenario plays on.
type Stage struct {
	Group     *group.Group
	Instances []*Instance
	Dir       string

	set     proc.Set
	options Options
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
	ports, err := proc.Ports(s.options.Instances, "127.0.0.1")
	if err != nil {
		return err
	}
	for i, port := range ports {
		instance := &Instance{Name: fmt.Sprintf("instance%d", i+1), Addr: fmt.Sprintf("127.0.0.1:%d", port)}
		s.Instances = append(s.Instances, instance)
		if err := s.StartInstance(instance); err != nil {
			return err
		}
	}
	s.Group, err = group.New(ctx, group.Options{
		Binary: s.options.Binary, Dir: s.Dir, Set: &s.set, Timing: s.options.Timing, Env: s.options.Env,
	})
	if err != nil {
		return err
	}
	if err := s.Group.Start(ctx, s.options.Order...); err != nil {
		return err
	}
	for _, instance := range s.Instances {
		if err := instance.Process.Ready(ctx, "http://"+instance.Addr+"/health"); err != nil {
			return err
		}
	}
	if err := s.Group.Apply(ctx, s.Configuration()); err != nil {
		return fmt.Errorf("%w\n%s", err, s.Group.Tails(12))
	}
	return s.Group.Serving(ctx)
}

// StartInstance starts an instance, the first time or after its process was ended.
func (s *Stage) StartInstance(instance *Instance) error {
	p, err := s.set.Start(proc.Spec{
		Name: instance.Name, Path: s.options.Binary, Log: filepath.Join(s.Dir, instance.Name+".log"),
		Args: []string{"sample-instance", "--address", instance.Addr, "--name", instance.Name},
	})
	if err != nil {
		return err
	}
	instance.Process = p
	return nil
}

// Configuration is the group's configuration: one listener, and a cluster of all instances for each kind of session.
func (s *Stage) Configuration() string {
	var b strings.Builder
	fmt.Fprintf(&b, "listeners:\n  - {name: web, address: %q}\nclusters:\n", s.Group.Listener())
	for _, kind := range []load.Kind{Insert, Learn, Plain} {
		affinity := "{type: learn, names: [JSESSIONID]}"
		if kind.Cookie != "" {
			affinity = "{type: insert, name: " + kind.Cookie + "}"
		}
		fmt.Fprintf(&b, "  - name: %s\n    affinity: %s\n    health: {path: /health, interval: 1s, timeout: 5s}\n", kind.Name, affinity)
		fmt.Fprintf(&b, "    modules:\n      - {contextRoot: %s}\n    instances:\n", kind.ContextRoot)
		for _, instance := range s.Instances {
			fmt.Fprintf(&b, "      - {name: %s, listeners: [\"http://%s\"]}\n", instance.Name, instance.Addr)
		}
	}
	return b.String()
}

// Close ends every process of the stage and removes its files.
func (s *Stage) Close() error {
	s.set.Close()
	return os.RemoveAll(s.Dir)
}

package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-lb/holdfast/admin/client"
)

// stopping is what the commands have in common that disable, and that wait until it is safe to stop.
type stopping struct {
	changeFlags
	now  bool
	wait waitFlag
}

func (s *stopping) flags(cmd *cobra.Command) {
	s.add(cmd)
	cmd.Flags().BoolVar(&s.now, "now", false, "stop at once, without a quiesce: sessions go elsewhere at their next request: to other instances, or to another cluster as new ones")
	s.wait.add(cmd, "wait until it is safe to stop: quiesced, and nothing in flight on any node; `TIME`: that long at most")
}

// runStopping makes the edits, which disable subjects, and waits when it is asked to. With --now it stops what e.Now names, else the subjects.
func (g *globals) runStopping(cmd *cobra.Command, s *stopping, what string, e client.Edits, subjects []client.Subject) error {
	if err := s.check(cmd, time.Now()); err != nil {
		return err
	}
	if s.wait.on && s.at != "" {
		return usagef(cmd, "--wait and --at exclude each other: nothing is applied before its time")
	}
	ctx, c, done, err := g.connect(cmd)
	if err != nil {
		return err
	}
	defer done()
	if s.now && e.Now == nil {
		e.Now = subjects
	}
	res, err := g.edit(ctx, cmd, c, &s.changeFlags, 0, what, e)
	if err != nil {
		return err
	}
	if !s.wait.on {
		return g.print(res, func(w io.Writer) error { return writeResult(w, res) })
	}
	if g.output == "table" {
		if err := writeResult(g.out, res); err != nil {
			return err
		}
	}
	return g.waitStopped(ctx, cmd, c, subjects, s.wait.limit, res)
}

// findCluster reads what the group says about a cluster.
func (g *globals) findCluster(cmd *cobra.Command, name string) (*client.Cluster, error) {
	ctx, c, done, err := g.connect(cmd)
	if err != nil {
		return nil, err
	}
	defer done()
	s, err := c.Status(ctx)
	if err != nil {
		return nil, fmt.Errorf("look at cluster %s: %w", clean(name), err)
	}
	return clusterIn(s, name)
}

func clusterIn(s *client.Status, name string) (*client.Cluster, error) {
	var names []string
	for i := range s.Clusters {
		if s.Clusters[i].Name == name {
			return &s.Clusters[i], nil
		}
		names = append(names, s.Clusters[i].Name)
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("there is no cluster %s: the group has none yet", clean(name))
	}
	return nil, fmt.Errorf("there is no cluster %s; there is %s", clean(name), clean(listOf(names)))
}

func instancesOf(cl *client.Cluster) []client.Subject {
	var out []client.Subject
	for _, i := range cl.Instances {
		out = append(out, client.Subject{Cluster: cl.Name, Instance: i.Name})
	}
	return out
}

func modulesOf(cl *client.Cluster) []client.Subject {
	var out []client.Subject
	for _, m := range cl.Modules {
		out = append(out, client.Subject{Cluster: cl.Name, Host: m.Host, ContextRoot: m.ContextRoot})
	}
	return out
}

package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-lb/holdfast/admin/client"
)

// completeTime is how long the completion of a name may ask the group. It is silent on failure.
const completeTime = time.Second

// namesOf lists what may stand behind the name of a cluster.
type namesOf func(cl *client.Cluster, host string) []string

func instanceNames(cl *client.Cluster, _ string) []string {
	var out []string
	for _, i := range cl.Instances {
		out = append(out, i.Name)
	}
	return out
}

func moduleNames(cl *client.Cluster, host string) []string {
	var out []string
	for _, m := range cl.Modules {
		if m.Host == host {
			out = append(out, m.ContextRoot)
		}
	}
	return out
}

// completeNames completes the name of a cluster, and behind it those of names; nil: nothing.
func (g *globals) completeNames(names namesOf, host *string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		const nothing = cobra.ShellCompDirectiveNoFileComp
		if len(args) > 0 && names == nil {
			return nil, nothing
		}
		s := g.statusForCompletion(cmd)
		if s == nil {
			return nil, nothing
		}
		var out []string
		for i := range s.Clusters {
			cl := &s.Clusters[i]
			switch {
			case len(args) == 0:
				out = append(out, cl.Name)
			case cl.Name == args[0]:
				h := ""
				if host != nil {
					h = *host
				}
				out = names(cl, h)
			}
		}
		return out, nothing
	}
}

// completeClusters completes any number of names of clusters.
func (g *globals) completeClusters(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	var out []string
	if s := g.statusForCompletion(cmd); s != nil {
		for _, cl := range s.Clusters {
			out = append(out, cl.Name)
		}
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}

func (g *globals) statusForCompletion(cmd *cobra.Command) *client.Status {
	ctx, c, done, err := g.connect(cmd)
	if err != nil {
		return nil
	}
	defer done()
	ctx, cancel := context.WithTimeout(ctx, completeTime)
	defer cancel()
	s, err := c.Status(ctx, client.Stale())
	if err != nil {
		return nil
	}
	return s
}

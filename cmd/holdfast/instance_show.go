package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holdfast-lb/holdfast/admin/client"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

// listedInstance is an instance with the cluster that it is in, as list prints it.
type listedInstance struct {
	Cluster string `json:"cluster"`
	client.Instance
}

func newInstanceListCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "list [CLUSTER]",
		Short: "List the instances with their state, health, share of new sessions, sessions and requests in flight",
		Example: `  holdfast instance list
  holdfast instance list cluster1 -o json`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: g.completeNames(nil, nil),
		RunE: func(cmd *cobra.Command, args []string) error {
			clusters, err := g.clusters(cmd, args)
			if err != nil {
				return err
			}
			list := []listedInstance{}
			for _, cl := range clusters {
				for _, i := range cl.Instances {
					list = append(list, listedInstance{cl.Name, i})
				}
			}
			return g.print(list, func(w io.Writer) error {
				t := g.table("CLUSTER", "INSTANCE", "ADMIN", "HEALTH", "WEIGHT>", "SHARE>", "SESSIONS>", "IN FLIGHT>", "VERSION", "URL")
				for _, i := range list {
					if i.Agent != "" {
						t.first = "URL" // for what the agent says
					}
					t.row(i.Cluster, nameOf(&i.Instance), adminCell(i.Admin), healthCell(&i.Instance), i.Weight, share(i.Share), i.Sessions, i.InFlight, orDash(i.Version),
						orDash(strings.Join(i.URLs, " ")))
				}
				return t.write(w)
			})
		},
	}
}

// clusters reads all clusters, or the one that is named.
func (g *globals) clusters(cmd *cobra.Command, args []string) ([]client.Cluster, error) {
	if len(args) > 0 {
		cl, err := g.findCluster(cmd, args[0])
		if err != nil {
			return nil, err
		}
		return []client.Cluster{*cl}, nil
	}
	ctx, c, done, err := g.connect(cmd)
	if err != nil {
		return nil, err
	}
	defer done()
	s, err := c.Status(ctx)
	if err != nil {
		return nil, fmt.Errorf("list: %w", err)
	}
	return s.Clusters, nil
}

// share is the percentage of the new sessions; "load" where the load decides.
func share(percent *float64) string {
	if percent == nil {
		return "load"
	}
	return fmt.Sprintf("%.1f%%", *percent)
}

// nameOf marks backup instances and those that registered themselves.
func nameOf(i *client.Instance) string {
	name := i.Name
	if i.Backup {
		name += " (backup)"
	}
	if i.Registered {
		name += " (reg.)"
	}
	return name
}

func adminCell(admin string) cell {
	switch admin {
	case "enabled":
		return cell{text: admin}
	case "stopped":
		return cell{admin, bad}
	}
	return cell{admin, warning}
}

// healthCell is the group's verdict when there is one that is not good, else what the nodes see, and what the agent says.
func healthCell(i *client.Instance) cell {
	c := healthOf(i)
	if i.Agent == "" {
		return c
	}
	c.text += ", agent: " + i.Agent
	if c.style != bad {
		c.style = warning
	}
	return c
}

// healthOf leaves the agent out.
func healthOf(i *client.Instance) cell {
	if i.Verdict != "" && i.Verdict != "up" {
		return cell{i.Verdict, map[string]style{"failed": bad}[i.Verdict] + map[string]style{"suspect": warning}[i.Verdict]}
	}
	return cell{i.Health, healthStyle(i.Health)}
}

// shown is what show prints: the configuration, and what the nodes and the table say.
type shown[C, S any] struct {
	Config C `json:"config"`
	Status S `json:"status"`
}

func newInstanceShowCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "show CLUSTER NAME",
		Short: "Show one instance: its values, its quiesce, and what each node says about it",
		Example: `  holdfast instance show cluster1 instance1
  holdfast instance show cluster1 instance1 -o yaml`,
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: g.completeNames(instanceNames, nil),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, conf, cl, err := g.showCluster(cmd, args[0])
			if err != nil {
				return err
			}
			at := slices.IndexFunc(cl.Instances, func(i client.Instance) bool { return i.Name == args[1] })
			if at < 0 {
				return fmt.Errorf("cluster %s has no instance %s; 'holdfast instance list %s' lists them", clean(args[0]), clean(args[1]), clean(args[0]))
			}
			out := shown[*config.Instance, client.Instance]{Status: cl.Instances[at]}
			for i := range conf.Clusters {
				for j := range conf.Clusters[i].Instances {
					if conf.Clusters[i].Name == args[0] && conf.Clusters[i].Instances[j].Name == args[1] {
						out.Config = &conf.Clusters[i].Instances[j]
					}
				}
			}
			return g.print(out, func(w io.Writer) error { return g.writeInstance(w, s, args[0], &out) })
		},
	}
}

// showCluster reads what show prints of a cluster and what is in it: status, configuration, and the cluster's own part of the status.
func (g *globals) showCluster(cmd *cobra.Command, name string) (*client.Status, *config.Config, *client.Cluster, error) {
	ctx, c, done, err := g.connect(cmd)
	if err != nil {
		return nil, nil, nil, err
	}
	defer done()
	s, conf, err := statusAndConfig(ctx, c)
	if err != nil {
		return nil, nil, nil, err
	}
	cl, err := clusterIn(s, name)
	return s, conf, cl, err
}

func statusAndConfig(ctx context.Context, c *client.Client) (*client.Status, *config.Config, error) {
	s, err := c.Status(ctx)
	if err != nil {
		return nil, nil, err
	}
	doc, err := c.Config(ctx, client.JSON)
	if err != nil {
		return nil, nil, err
	}
	conf, err := config.Load(doc.Data)
	if err != nil {
		return nil, nil, fmt.Errorf("the configuration cannot be read: %w", err)
	}
	return s, conf, nil
}

func (g *globals) writeInstance(w io.Writer, s *client.Status, cluster string, out *shown[*config.Instance, client.Instance]) error {
	i := &out.Status
	t := pairs{w: w}
	t.line("instance", nameOf(i)+" of cluster "+cluster)
	t.line("state", i.Admin)
	for _, q := range s.Quiesces {
		if q.Cluster == cluster && q.Instance == i.Name {
			t.line("quiesce", quiesceLine(&q))
		}
	}
	verdict := i.Verdict
	if i.VerdictReason != "" {
		verdict += ": " + i.VerdictReason
	}
	t.line("health", i.Health+", verdict "+verdict)
	if i.Agent != "" {
		t.line("agent", i.Agent+agentScope(i.Agent))
	}
	t.line("listeners", strings.Join(i.URLs, " "))
	if c := i.Certificate; c != nil {
		t.line("presents", fmt.Sprintf("%s until %s on %s", c.Subject, when(c.Ends), c.URL))
	}
	t.line("weight", fmt.Sprintf("%d, share of new sessions %s", i.Weight, share(i.Share)))
	t.line("sessions", i.Sessions)
	t.line("in flight", i.InFlight)
	t.line("version", orDash(i.Version))
	t.line("zone", orDash(i.Zone))
	if c := out.Config; c != nil {
		t.line("route", c.Route)
		t.line("quiesce time-out", c.QuiesceTimeout)
		t.line("hard time-out", hardTimeout(c.HardTimeout, "that of the cluster"))
		t.line("limits", fmt.Sprintf("%s sessions, %s connections", bound(c.MaxSessions), bound(c.MaxConnections)))
		t.line("fails over to", cmp.Or(c.FailoverTo, "whom the policy chooses"))
	}
	for _, n := range i.Nodes {
		agent := ""
		if n.Agent != "" {
			agent = ", agent: " + n.Agent
		}
		t.line("node "+n.Node, strings.TrimSpace(fmt.Sprintf("%s since %s%s, %d in flight, %d waiting %s", n.Health, when(n.Since), agent, n.InFlight, n.Waiting, n.Reason)))
	}
	return t.err
}

// agentScope says what an agent's word is about, where it says anything.
func agentScope(word string) string {
	if strings.HasPrefix(word, "no ") { // answer, or word that is known
		return ""
	}
	return " (of unassigned requests)"
}

// hardTimeout is empty where none is set.
func hardTimeout(d config.Duration, empty string) string {
	if d == 0 {
		return empty
	}
	return d.String()
}

func bound(n int) string {
	if n == 0 {
		return "any number of"
	}
	return fmt.Sprint("at most ", n)
}

// pairs prints names and values, one pair a line.
type pairs struct {
	w   io.Writer
	err error
}

func (p *pairs) line(name string, value any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, "%-17s %s\n", clean(name), clean(strings.TrimSpace(fmt.Sprint(value))))
	}
}

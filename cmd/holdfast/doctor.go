package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/holdfast-lb/holdfast/admin/client"
	"github.com/holdfast-lb/holdfast/server"
	"github.com/holdfast-lb/holdfast/server/doctor"
)

func newDoctorCommand(g *globals) *cobra.Command {
	config := server.Defaults()
	config.Version = version
	if name, err := os.Hostname(); err == nil {
		config.Name = name
	}
	var nodeFile string
	node := pflag.NewFlagSet("node", pflag.ContinueOnError)
	nodeFlags(node, &config, &nodeFile)
	cmd := &cobra.Command{
		Use:   "doctor [AREA...]",
		Short: "Look what is wrong with this machine, its data directory and its way to the others, and how to mend it",
		Long: `Look what is wrong with this machine, its data directory and its way to the other nodes, and how to mend it. It takes the flags, variables and file of 'holdfast serve': give it
what the node is given. Nothing is changed, whether the node runs or not; run it as the node's user, or as root.

Areas (all of them, unless some are named):
  settings  flags, variables and file together; hook programs; the directory of backups
  data      the data directory: whose it is, whether a node runs on it, rights, certificate, and, while no node runs, every byte of log and snapshots, the schema and the epoch
  disk      the file system, its room, and how long it takes to make a write durable
  clock     whether it is synchronised, and how far it is from the other nodes'
  net       ports, open files, the advertised address, the other nodes: do they answer, also in large packets
  address   virtual addresses: rights, interfaces, who has them now
  group     what the node that runs says of itself; versions, epoch and membership by what the others say

Exit status: 0 nothing keeps the node from its work (warnings may be there), 1 something does, 2 wrong usage.`,
		Example: `  holdfast doctor --config /etc/holdfast/node.yaml
  holdfast doctor data disk --data-dir /var/lib/holdfast
  holdfast doctor -o json | jq '.findings[] | select(.state == "fault")'`,
		Args:      cobra.ArbitraryArgs,
		ValidArgs: doctor.Areas,
		RunE: func(cmd *cobra.Command, areas []string) error {
			if err := g.checkOutput(cmd); err != nil {
				return err
			}
			if err := settle(node, nodeFile, g.lookupEnv); err != nil {
				return usageOf(cmd, err)
			}
			if a := doctor.Unknown(areas); a != "" {
				return usagef(cmd, "%q is no area: want some of %s", a, strings.Join(doctor.Areas, ", "))
			}
			_, named := g.lookupEnv("HOLDFAST_NAME")
			if name := node.Lookup("name"); name.Changed {
				named = true
			}
			return g.examine(cmd, doctor.Options{Config: config, NameGiven: named, Areas: areas})
		},
	}
	g.operator(cmd)
	cmd.Flags().AddFlagSet(node)
	return cmd
}

func (g *globals) examine(cmd *cobra.Command, o doctor.Options) error {
	if len(g.admin) == 0 && g.env("HOLDFAST_ADMIN") == "" {
		g.admin = []string{localAdmin(o.Config.AdminAddr)}
	}
	ctx, c, done, err := g.connect(cmd)
	if err != nil {
		return err
	}
	defer done()
	o.Status = func(ctx context.Context) (*client.Status, error) { return c.Status(ctx, client.Stale()) }
	r := doctor.Run(ctx, o)
	if err := g.print(r, func(w io.Writer) error { return g.writeReport(w, r) }); err != nil {
		return err
	}
	if n := r.Count(doctor.Fault); n > 0 {
		return fmt.Errorf("%s found", count(n, "fault"))
	}
	return nil
}

// localAdmin is where a node on this machine is asked that serves its admin API at addr.
func localAdmin(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return client.DefaultURL
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port)
}

// signs are how a finding begins, with its colour.
var signs = map[doctor.State]struct {
	sign  string
	style style
}{doctor.OK: {"ok", good}, doctor.Warning: {"warning", warning}, doctor.Fault: {"FAULT", bad}, doctor.Skipped: {"skipped", plainStyle}}

func (g *globals) writeReport(w io.Writer, r *doctor.Report) error {
	var b strings.Builder
	running := "no node runs on it"
	if r.Running {
		running = "a node runs on it"
	}
	fmt.Fprintf(&b, "node %s, data directory %s: %s\n", clean(r.Node), clean(r.DataDir), running)
	area := ""
	for _, f := range r.Findings {
		if f.Area != area {
			area = f.Area
			b.WriteString("\n" + paint(area, heading, g.colour()) + "\n")
		}
		s := signs[f.State]
		text := wrap(f.Check+": "+f.Text, fmt.Sprintf("  %-8s", s.sign), strings.Repeat(" ", 10))
		b.WriteString(strings.Replace(text, s.sign, paint(s.sign, s.style, g.colour()), 1))
		if f.Fix != "" {
			b.WriteString(wrap(f.Fix, strings.Repeat(" ", 10)+"-> ", strings.Repeat(" ", 13)))
		}
	}
	fmt.Fprintf(&b, "\n%s, %s, %d ok, %d skipped\n", count(r.Count(doctor.Fault), "fault"), count(r.Count(doctor.Warning), "warning"), r.Count(doctor.OK), r.Count(doctor.Skipped))
	_, err := io.WriteString(w, b.String())
	return err
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-lb/holdfast/chaos"
	"github.com/holdfast-lb/holdfast/chaos/stage"
)

// The size of the demo: some 20 seconds on two cores.
const (
	demoSessions = 3000
	demoRate     = 300 // new sessions per second
	demoClients  = 48
	demoLimit    = 2 * time.Minute
)

// newDemoCommand shows the promise of Holdfast on one machine.
func newDemoCommand() *cobra.Command {
	var keep bool
	var seed uint64
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Three nodes, three instances, live sessions, and the leader killed: nothing is lost",
		Long: `Run three nodes and three sample instances as real processes on loopback, load them with thousands of sticky sessions through all three
nodes, kill the leader with SIGKILL in the middle, and hold every answer and every node's table against what the clients were told.

It ends with a table, in some 20 seconds. Exit status 1 when a single assignment is lost or changed, or when the nodes' states differ. Everything
happens on 127.0.0.1 to 127.0.0.3 and in a directory that is removed.`,
		Example: `  holdfast demo
  holdfast demo --keep       # leave it running afterwards, to look around; Ctrl-C ends it`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGTERM, syscall.SIGINT)
			defer stop()
			return runDemo(ctx, cmd.OutOrStdout(), seed, keep)
		},
	}
	cmd.Flags().BoolVar(&keep, "keep", false, "leave nodes and instances running until Ctrl-C, and print their addresses")
	cmd.Flags().Uint64Var(&seed, "seed", 1, "`NUMBER` that all random choices of the clients are drawn from")
	return cmd
}

func runDemo(ctx context.Context, out io.Writer, seed uint64, keep bool) (err error) {
	binary, err := os.Executable()
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	limited, cancel := context.WithTimeout(ctx, demoLimit)
	defer cancel()
	screen := newDemoScreen(out)
	defer screen.close()
	screen.title()
	s, err := stage.Start(limited, stage.Options{Binary: binary})
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	screen.say("three nodes and three instances run, each a process of its own")
	scenario := chaos.LeaderKill{
		Seed: seed, Sessions: demoSessions, Rate: demoRate, Clients: demoClients, Repeats: 6, ForgeEvery: 10,
		Say: screen.say, Watch: screen.watch(limited, s, demoSessions),
	}
	report, err := scenario.Run(limited, s)
	screen.close()
	if ctx.Err() != nil {
		return errors.New("demo: interrupted; all processes are ended and all files removed")
	}
	if err != nil {
		return fmt.Errorf("demo: %w\n%s", err, s.Group.Tails(12))
	}
	lost := printDemoReport(out, screen.style, report, time.Since(screen.began))
	if keep && lost == nil {
		keepDemo(ctx, out, screen.style, s)
	}
	return lost
}

// keepDemo tells where everything is and waits for Ctrl-C.
func keepDemo(ctx context.Context, out io.Writer, style demoStyle, s *stage.Stage) {
	p := func(format string, args ...any) { _, _ = fmt.Fprintf(out, format+"\n", args...) }
	p("")
	p("%s", style.bold("Everything is still running. Ctrl-C ends it."))
	for _, n := range s.Group.Nodes {
		p("  node %-10s traffic %s   admin %s", n.Name, "http://"+n.Traffic, n.Admin)
	}
	for _, i := range s.Instances {
		p("  %-15s http://%s", i.Name, i.Addr)
	}
	p("")
	p("  curl -c jar -b jar http://%s/insert/   %s", s.Group.Nodes[0].Traffic, style.dim("# a sticky session, through any node"))
	p("  curl -c jar -b jar http://%s/learn/    %s", s.Group.Nodes[1].Traffic, style.dim("# one by the application's own JSESSIONID"))
	p("  holdfast status --admin %s", s.Group.Nodes[0].Admin)
	p("  kill -9 %d                                   %s", s.Group.Nodes[0].Process().Pid(), style.dim("# node n1"))
	<-ctx.Done()
	p("\nending all processes")
}

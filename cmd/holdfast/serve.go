package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/holdfast-lb/holdfast/internal/mutant"
	"github.com/holdfast-lb/holdfast/server"
)

// newServeCommand runs a node.
func newServeCommand() *cobra.Command {
	config := server.Defaults()
	config.Version = version
	if name, err := os.Hostname(); err == nil {
		config.Name = name
	}
	var nodeFile string
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run a node",
		Long: `Run a node of a group until it is told to stop.

The first nodes of a group start together with the init string that 'holdfast init' printed, in any order; or one node starts with --bootstrap
and lets the others in with join tokens ('holdfast token create --role node'). A node that has its state on disk needs none of these flags and
ignores them.

Each setting can also be given as a variable (--data-dir as HOLDFAST_DATA_DIR) or as a key of the file that --config names (data-dir: ...). A
flag beats a variable, a variable beats the file. Secrets belong into a variable or the file, not on the command line.

SIGTERM or SIGINT: leave cleanly (hand over leadership, finish requests, stop). SIGHUP: reopen the access log.`,
		Example: `  # three nodes that start together
  export HOLDFAST_JOIN_TOKEN="$(holdfast init --group shop)"     # the same string on every node
  holdfast serve --name n1 --data-dir /var/lib/holdfast --bootstrap-expect 3 --join n1:7701,n2:7701,n3:7701

  # one node first, others later
  holdfast serve --name n1 --bootstrap
  HOLDFAST_JOIN_TOKEN=hfj1.... holdfast serve --name n2 --join n1:7701`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := settle(cmd.Flags(), nodeFile, os.LookupEnv); err != nil {
				return usageError(err)
			}
			if err := config.Validate(); err != nil {
				return usageError(err)
			}
			return runNode(cmd.Context(), config)
		},
	}
	nodeFlags(cmd.Flags(), &config, &nodeFile)
	return cmd
}

func nodeFlags(f *pflag.FlagSet, c *server.Config, nodeFile *string) {
	f.SortFlags = false
	f.StringVar(nodeFile, "config", os.Getenv("HOLDFAST_CONFIG"), "`FILE` (YAML) with settings of this node")
	f.StringVar(&c.Name, "name", c.Name, "the node's `NAME` in its group; it never changes")
	f.StringVar(&c.DataDir, "data-dir", c.DataDir, "`DIR` that keeps the node's state")
	f.StringVar(&c.Group, "group", c.Group, "`NAME` that the group must have; --bootstrap founds it (default there: holdfast)")
	f.StringVar(&c.Zone, "zone", c.Zone, "failure domain (`ZONE`) of this node, for locality: zone and listeners with zones")
	f.StringVar(&c.PeerAddr, "peer-addr", c.PeerAddr, "`HOST:PORT` for connections of other nodes")
	f.StringVar(&c.Advertise, "advertise", c.Advertise, "`HOST:PORT` that other nodes dial (default: the peer address)")
	f.StringVar(&c.AdminAddr, "admin-addr", c.AdminAddr, "`HOST:PORT` of the admin API, health checks and metrics")
	f.StringVar(&c.BindAddress, "bind-address", c.BindAddress, "`IP` that listeners without a host bind to (default: all addresses)")
	f.StringSliceVar(&c.Join, "join", c.Join, "peer addresses of other nodes, `HOST:PORT,...`; tried until the node is in")
	f.StringVar(&c.Discover, "discover", c.Discover, "look for other nodes on the local network, `SPEC`: multicast[=GROUPIP:PORT][@INTERFACE]")
	f.StringVar(&c.JoinToken, "join-token", c.JoinToken, "init `STRING` or join token; better as HOLDFAST_JOIN_TOKEN")
	f.BoolVar(&c.Bootstrap, "bootstrap", c.Bootstrap, "found a group of one node")
	f.IntVar(&c.BootstrapExpect, "bootstrap-expect", c.BootstrapExpect, "found a group together with the other `N`-1 nodes of --join")
	f.StringVar(&c.Timing, "timing", c.Timing, "heartbeats and elections: `lan`, wan or fast")
	f.DurationVar(&c.MaxJoinSkew, "max-join-skew", c.MaxJoinSkew, "how far the clock of a node that joins may be off (`DURATION`) while this one leads; -1s: any")
	f.StringVar(&c.LogLevel, "log-level", c.LogLevel, "debug, `info`, warn or error")
	f.StringVar(&c.LogFormat, "log-format", c.LogFormat, "`text` or json")
	f.StringVar(&c.AccessLog, "access-log", c.AccessLog, "`PATH` of the access log, - for standard output (default: none)")
	f.StringVar(&c.HookDir, "hook-dir", c.HookDir, "`DIR` of programs that workflows may run on this node (default: none)")
	f.StringVar(&c.TLSDir, "tls-dir", c.TLSDir, "`DIR` of the node's key and certificates (default: tls below the data directory)")
}

// runNode serves until a signal or a failure ends it. A second signal ends the process at once.
func runNode(ctx context.Context, config server.Config) error {
	if mutant.Built {
		fmt.Fprintln(os.Stderr, "BUILT WITH MUTANTS: this binary is broken on purpose, for tests only")
	}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	log.SetFlags(0)
	log.SetOutput(io.Discard) // until there is a logger that cuts what libraries quote: it may be a session id
	node, err := server.New(config, os.Stderr)
	if err != nil {
		return err
	}
	log.SetOutput(node.LibraryLog())
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	done := make(chan struct{})
	defer close(done)
	go func() {
		for {
			select {
			case <-hangup:
				node.Reload()
			case <-ctx.Done():
				stop() // from here on the default action of a signal holds again
				return
			case <-done:
				return
			}
		}
	}()
	err = node.Run(ctx)
	return errors.Join(err, node.Close())
}

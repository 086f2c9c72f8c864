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

	"github.com/holdfast-lb/holdfast/internal/failpoint"
	"github.com/holdfast-lb/holdfast/internal/mutant"
	"github.com/holdfast-lb/holdfast/server"
	"github.com/holdfast-lb/holdfast/server/handoff"
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

SIGTERM or SIGINT: leave cleanly (hand over leadership and the virtual address, finish requests, stop). SIGHUP: reopen the access log, read
the node's certificate again. SIGUSR2: have the program on the disk take over from this process, as 'holdfast upgrade-binary' does: no connection is refused
and no request fails.

A service manager may pass listening sockets (LISTEN_FDS) and is told what the node does (NOTIFY_SOCKET, WATCHDOG_USEC).`,
		Example: `  # three nodes that start together
  export HOLDFAST_JOIN_TOKEN="$(holdfast init --group shop)"     # the same string on every node
  holdfast serve --name n1 --data-dir /var/lib/holdfast --bootstrap-expect 3 --join n1:7701,n2:7701,n3:7701

  # one node first, others later
  holdfast serve --name n1 --bootstrap
  HOLDFAST_JOIN_TOKEN=hfj1.... holdfast serve --name n2 --join n1:7701`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			heir, err := handoff.Inherit()
			if err != nil {
				return err
			}
			if err := settle(cmd.Flags(), nodeFile, os.LookupEnv); err != nil {
				return admit(heir, usageError(err))
			}
			if err := config.Validate(); err != nil {
				return admit(heir, usageError(err))
			}
			if err := inherit(heir, &config); err != nil {
				return admit(heir, err)
			}
			return admit(heir, runNode(cmd.Context(), config))
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
	f.StringVar(&c.PeerAddr, "peer-addr", c.PeerAddr, "`HOST:PORT` for connections of other nodes; HOST:LOW-HIGH: the first port that is free")
	f.StringVar(&c.Advertise, "advertise", c.Advertise, "`HOST:PORT` that other nodes dial (default: the peer address)")
	f.StringVar(&c.AdminAddr, "admin-addr", c.AdminAddr, "`HOST:PORT` of the admin API, health checks and metrics")
	f.StringVar(&c.BindAddress, "bind-address", c.BindAddress, "`IP` that listeners without a host bind to (default: all addresses)")
	f.StringSliceVar(&c.Join, "join", c.Join, "peer addresses of other nodes, `HOST:PORT,...`; tried until the node is in")
	f.StringVar(&c.Discover, "discover", c.Discover, "look for other nodes on the local network, `SPEC`: multicast[=GROUPIP:PORT][@INTERFACE]")
	f.StringVar(&c.JoinToken, "join-token", c.JoinToken, "init `STRING` or join token; better as HOLDFAST_JOIN_TOKEN")
	f.StringVar(&c.JoinTokenFile, "join-token-file", c.JoinTokenFile, "`FILE` that holds the init string or join token")
	f.BoolVar(&c.ReadOnly, "read-only", c.ReadOnly, "serve without a vote, for scale: never leads, never holds the virtual address")
	f.BoolVar(&c.Bootstrap, "bootstrap", c.Bootstrap, "found a group of one node")
	f.IntVar(&c.BootstrapExpect, "bootstrap-expect", c.BootstrapExpect, "found a group together with the other `N`-1 nodes of --join")
	f.StringVar(&c.Timing, "timing", c.Timing, "heartbeats and elections: `lan`, wan or fast")
	f.StringSliceVar(&c.VIPs, "vip", c.VIPs, "virtual address that the group's leader holds, `CIDR@IFACE`, as 10.0.0.100/24@eth0; repeatable, IPv4 and IPv6")
	f.StringVar(&c.VIPHook, "vip-hook", c.VIPHook, "`PATH` of a program that is run with taken or dropped; without --vip it alone moves the address")
	f.StringVar(&c.DNSAddr, "dns-addr", c.DNSAddr, "`HOST:PORT` where the node answers DNS for --dns-zone (UDP and TCP; default: nowhere)")
	f.StringVar(&c.DNSZone, "dns-zone", c.DNSZone, "`ZONE` whose names lead to the nodes that serve")
	f.StringSliceVar(&c.DNSAddresses, "dns-address", c.DNSAddresses, "`IP` of this node in DNS answers; repeatable (default: the bind address, or the host that other nodes dial)")
	f.DurationVar(&c.DNSTTL, "dns-ttl", c.DNSTTL, "how long an answer may be kept (`DURATION`), 1s to 5s")
	f.StringVar(&c.BackupTo, "backup-to", c.BackupTo, "`DIR` or s3://BUCKET/PREFIX for backups; one of the nodes that have it makes one each time (default: none)")
	f.DurationVar(&c.BackupEvery, "backup-every", c.BackupEvery, "how often the group makes a backup (`DURATION`)")
	f.IntVar(&c.BackupKeep, "backup-keep", c.BackupKeep, "keep the newest `N` scheduled backups there, remove the older ones; 0: all stay")
	f.StringVar(&c.S3Endpoint, "s3-endpoint", c.S3Endpoint, "`URL` of the S3-compatible store (default: AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, that of AWS)")
	f.DurationVar(&c.MaxJoinSkew, "max-join-skew", c.MaxJoinSkew, "how far the clock of a node that joins may be off (`DURATION`) while this one leads; -1s: any")
	f.StringVar(&c.LogLevel, "log-level", c.LogLevel, "debug, `info`, warn or error")
	f.StringVar(&c.LogFormat, "log-format", c.LogFormat, "`text` or json")
	f.StringVar(&c.AccessLog, "access-log", c.AccessLog, "`PATH` of the access log, - for standard output (default: none)")
	f.StringVar(&c.Trace.Protocol, "trace", c.Trace.Protocol, "trace requests: `otlp` (as OTEL_EXPORTER_OTLP_PROTOCOL says), http or grpc (default: no traces)")
	f.StringVar(&c.Trace.Endpoint, "trace-endpoint", c.Trace.Endpoint, "`URL` of the collector of traces (default: OTEL_EXPORTER_OTLP_ENDPOINT, this machine)")
	f.Float64Var(&c.Trace.Sample, "trace-sample", c.Trace.Sample, "`SHARE` of new traces that is recorded, 0 to 1 (default: OTEL_TRACES_SAMPLER, 0.01)")
	f.Lookup("trace-sample").DefValue = "0" // pflag shows none then; what is inside, -1, nobody can write
	f.StringVar(&c.Trace.Trust, "trace-trust", c.Trace.Trust, "whose traces go on here: `proxies` (the trusted ones), all or none")
	f.StringVar(&c.HookDir, "hook-dir", c.HookDir, "`DIR` of programs that workflows may run on this node (default: none)")
	f.StringVar(&c.TLSDir, "tls-dir", c.TLSDir, "`DIR` of the node's key and certificates (default: tls below the data directory)")
}

// runNode serves until a signal or a failure ends it, and begins anew when the node is to take a new copy of the state. A second signal ends the process at once.
func runNode(ctx context.Context, config server.Config) error {
	if mutant.Built {
		fmt.Fprintln(os.Stderr, "BUILT WITH MUTANTS: this binary is broken on purpose, for tests only")
	}
	if failpoint.Built {
		fmt.Fprintln(os.Stderr, "BUILT WITH FAILPOINTS: this binary ends itself when it is told to, for tests only")
	}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	out := server.NewOwnLog(os.Stderr)
	defer out.Close()
	config.LogLost = out.Lost
	for {
		err := runOnce(ctx, stop, config, out)
		config.Heir = nil // the process before is gone, or has its answer
		switch {
		case !errors.Is(err, server.ErrResync):
			return err
		case ctx.Err() != nil:
			return nil // it is to end anyway, and begins with the resync at its next start
		}
	}
}

// runOnce is one life of the node; stop gives signals their default action again.
func runOnce(ctx context.Context, stop func(), config server.Config, out io.Writer) error {
	log.SetFlags(0)
	log.SetOutput(io.Discard) // until there is a logger that cuts what libraries quote: it may be a session id
	node, err := server.New(config, out)
	if err != nil {
		return ofDisk(err)
	}
	log.SetOutput(node.LibraryLog())
	defer attend(ctx, stop, node)()
	err = node.Run(ctx)
	return ofDisk(errors.Join(err, node.Close()))
}

// ofDisk has the process end with a status of its own when the disk is why.
func ofDisk(err error) error {
	if err != nil && server.DiskInDoubt(err) {
		return diskError{err}
	}
	return err
}

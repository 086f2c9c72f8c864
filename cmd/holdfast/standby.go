package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/holdfast-lb/holdfast/server"
)

func newStandbyCommand(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "standby",
		Short: "Follow the group from outside, so that it can begin again elsewhere",
		Long: `A standby is outside the group: it has no vote and serves nobody, and the group does not wait for it. It keeps an archive: whole states, and the committed log behind them as it
grows. When all nodes of the group are gone, 'holdfast promote' turns the archive into a serving group.

An archive is as secret as the group itself: it has the keys of the cookies and of the group.`,
		Example: `  holdfast standby run --from n1:7700,n2:7700,n3:7700 --token-file /etc/holdfast/standby.token --archive /var/lib/holdfast-standby
  holdfast standby status --archive /var/lib/holdfast-standby
  holdfast standby verify --archive /var/lib/holdfast-standby
  holdfast promote --archive /var/lib/holdfast-standby --data-dir /var/lib/holdfast --name n1`,
		Args: cobra.ArbitraryArgs,
		RunE: groupOnly,
	}
	cmd.AddCommand(newStandbyRunCommand(g), newStandbyStatusCommand(g), newStandbyVerifyCommand(g))
	return cmd
}

func newStandbyRunCommand(g *globals) *cobra.Command {
	c := server.StandbyDefaults()
	c.Version = version
	cmd := &cobra.Command{
		Use:   "run --from ADMIN,ADMIN,ADMIN --archive DIR",
		Short: "Keep an archive of the group, until told to stop",
		Long: `Follow the group through the admin API of any of its nodes: a whole state first, then the committed log as it grows. Several times a second the node proves up to when everything that was
acknowledged in the group is in the archive; that time is what a promotion prints.

When a node goes away another one is followed. A node of an older epoch, from before a promotion, is not. The token needs the role admin.

Every --snapshot-every, and when much log has come, a whole state is taken; --keep of them stay, with the log behind the oldest. Any moment since then can be promoted.

SIGTERM or SIGINT: stop. The archive is whole at any time, also after a SIGKILL.`,
		Example: `  holdfast standby run --from n1:7700,n2:7700,n3:7700 --token-file /etc/holdfast/standby.token --archive /var/lib/holdfast-standby --admin-addr :7710`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if err := c.Validate(); err != nil {
				return usageOf(cmd, err)
			}
			if c.Token, err = g.accessToken(); err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGTERM, syscall.SIGINT)
			defer stop()
			return runStandby(ctx, c, g.err)
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringSliceVar(&c.From, "from", nil, "admin addresses of the group's nodes, `HOST:PORT,...`")
	f.StringVar(&c.Archive, "archive", "", "`DIR` of the archive; made when it is not there")
	f.StringVar(&g.token, "token", "", "access `TOKEN` with the role admin (better: HOLDFAST_TOKEN, or --token-file)")
	f.StringVar(&g.tokenFile, "token-file", "", "`FILE` that holds the access token (HOLDFAST_TOKEN_FILE)")
	f.DurationVar(&c.Every, "snapshot-every", c.Every, "take a whole state so often (`TIME`), and when 64 MiB of log have come")
	f.IntVar(&c.Keep, "keep", c.Keep, "keep the newest `N` whole states and the log behind the oldest of them")
	f.StringVar(&c.Addr, "admin-addr", "", "`HOST:PORT` of /metrics, /healthz and /readyz (default: nowhere)")
	f.StringVar(&c.LogLevel, "log-level", c.LogLevel, "debug, `info`, warn or error")
	f.StringVar(&c.LogFormat, "log-format", c.LogFormat, "`text` or json")
	return cmd
}

func runStandby(ctx context.Context, c server.StandbyConfig, out io.Writer) error {
	s, err := server.NewStandby(c, out)
	if err != nil {
		return err
	}
	return errors.Join(s.Run(ctx), s.Close())
}

func newStandbyVerifyCommand(g *globals) *cobra.Command {
	var dir string
	var at moment
	cmd := &cobra.Command{
		Use:   "verify --archive DIR",
		Short: "Read all of an archive and build the state that is in it",
		Long: `Do what a promotion does, without founding a group: read the newest whole state and the log behind it, check every hash, apply every entry, and compare the state with the digests
that the nodes had on the way. Nothing is written. Exit status 1 when anything is damaged, also where a promotion passes it over. It may run beside the standby; it then sees what is there at the moment. It needs as much memory as a node with that state.`,
		Example: `  holdfast standby verify --archive /var/lib/holdfast-standby
  holdfast standby verify --archive /var/lib/holdfast-standby --at 2026-03-01T12:00:00Z`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := g.checkOutput(cmd); err != nil {
				return err
			}
			if dir == "" {
				return usagef(cmd, "name the directory of the archive: --archive DIR")
			}
			_, report, err := server.ReplayArchive(dir, server.Moment(at))
			for _, passed := range report.Passed {
				fmt.Fprintf(g.err, "passed over: %s\n", clean(passed.Error()))
			}
			if err != nil {
				return err
			}
			v, verdict := replayViewOf(report), "whole"
			if len(report.Passed) > 0 {
				verdict = "damaged where a promotion passes it over"
			}
			err = g.print(v, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "%s: %s\n  group %s (%s), epoch %d, index %d, state of %s\n  %s, revision %d, digest %s, equal to the nodes' at %s\n", clean(dir), verdict, v.Group, v.GroupID, v.Epoch,
					v.Index, when(v.GroupTime), count(v.Sessions, "session"), v.Revision, v.Digest, count(report.Compared, "mark"))
				return err
			})
			if err == nil && len(report.Passed) > 0 {
				err = fmt.Errorf("%s is damaged: what was passed over is above. A promotion from its end does not need that; going back to an earlier moment may. Start the standby again: it keeps what is whole, sets the rest aside, and fetches it anew", clean(dir))
			}
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&dir, "archive", "", "`DIR` of the archive")
	f.Var(&at, "at", "up to this log `INDEX` or TIME (RFC 3339) instead of the end")
	g.outputFlag(f)
	return cmd
}

// isStandbyGone tells whether an archive has no word of a standby.
func isStandbyGone(err error) bool { return errors.Is(err, os.ErrNotExist) }

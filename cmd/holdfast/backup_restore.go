package main

import (
	"fmt"
	"io"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/holdfast-lb/holdfast/server"
	"github.com/holdfast-lb/holdfast/storage/depot"
)

func newBackupRestoreCommand(g *globals) *cobra.Command {
	var to server.Restoration
	var store storeFlags
	into := groupRestore{store: &store}
	cmd := &cobra.Command{
		Use:   "restore FILE|s3://BUCKET/PREFIX/NAME {--data-dir DIR --name NODE | --into-group}",
		Short: "Begin the group again, in its next epoch, from an archive, or give the running group its state",
		Long: `Make the data directory of a group's first node from an archive. Then 'holdfast serve' with that directory and that name brings the group up: alone, with everything that is in the archive.
Other nodes come in with empty data directories as they first did: with --join and the group's init string, or with a join token of the new group.

The group has the same id, keys and authority, and the next epoch: cookies from before still route, and sessions that the archive has not are recorded again from the cookies of 'insert'
affinity as their clients come back. Every session has its whole idle time again.

No node of the old group may run any more, nor come back with its old disk: it would serve its own, older truth.

The directory must be empty, or not there. After an error nothing is left in it. - reads the archive from standard input.

With --into-group the group that runs goes back to the archive: for the day on which a mistake was replicated faithfully. It says what would be replaced, and changes nothing; with
--accept-loss it does it. The archive goes through the log in parts, and all nodes switch at one entry, in a new epoch; the configuration becomes a new revision. Access tokens, the history
of revisions, the maintenance lock and events stay. Refused (exit status 3) under somebody else's maintenance lock and while a workflow has not ended. The token needs the role admin.`,
		Example: `  holdfast backup restore /backup/shop-1-51234-20260301T120000Z.hfb --data-dir /var/lib/holdfast --name n1
  holdfast serve --name n1 --data-dir /var/lib/holdfast
  holdfast token create --role node                        # for each further node
  holdfast backup restore /backup/shop-1-51234-20260301T120000Z.hfb --into-group                                             # look
  holdfast backup restore /backup/shop-1-51234-20260301T120000Z.hfb --into-group --accept-loss --reason "wrong import"       # do it`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := g.checkOutput(cmd); err != nil {
				return err
			}
			if err := into.check(cmd, args[0], to); err != nil {
				return err
			}
			if into.into {
				return g.restoreGroup(cmd, args[0], &into)
			}
			if to.Name == "" || to.DataDir == "" {
				return usagef(cmd, "name the node and its data directory: --name NODE --data-dir DIR, or restore into the group that runs with --into-group")
			}
			from, err := g.openArchive(cmd.Context(), args[0], &store)
			if err != nil {
				return err
			}
			defer from.Close()
			m := g.meter("restore")
			to.Actor, to.Source = operatorName(), archiveName(args[0])
			if args[0] != "-" && !depot.IsAddress(args[0]) {
				to.Beside = filepath.Dir(args[0])
			}
			report, err := server.RestoreArchive(io.TeeReader(from, m), to)
			m.done()
			if err != nil {
				return fmt.Errorf("restore %s: %w", args[0], err)
			}
			return g.writeRestored(to, viewOf("", m.n, report.Header).verified(report), backupReminder(report.Backups))
		},
	}
	f := cmd.Flags()
	f.StringVar(&to.DataDir, "data-dir", "", "the data directory `DIR` to make; empty, or not there")
	f.StringVar(&to.Name, "name", "", "`NAME` of the node that the group begins again with")
	f.StringVar(&to.TLSDir, "tls-dir", "", "`DIR` for the node's key and certificates (default: tls below the data directory)")
	store.add(f)
	into.flags(cmd)
	return g.operator(cmd)
}

func (g *globals) writeRestored(to server.Restoration, v archiveView, reminder string) error {
	answer := struct {
		DataDir string `json:"dataDir"`
		Name    string `json:"name"`
		archiveView
	}{to.DataDir, to.Name, v}
	return g.print(answer, func(w io.Writer) error {
		serve := serveLine(server.Config{Name: to.Name, DataDir: to.DataDir, TLSDir: to.TLSDir})
		_, err := fmt.Fprintf(w, "group %s (%s) restored as of index %d with %s; epoch %d begins\n%sstart it with: %s\n", v.Group, v.GroupID, v.Index, count(*v.Sessions, "session"), v.Epoch, reminder, serve)
		return err
	})
}

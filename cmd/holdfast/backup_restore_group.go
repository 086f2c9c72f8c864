package main

import (
	"context"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holdfast-lb/holdfast/admin/client"
	"github.com/holdfast-lb/holdfast/server"
)

// groupRestore is a restore into the running group, as it was asked for.
type groupRestore struct {
	into   bool
	accept bool
	reason string
	change changeFlags
	store  *storeFlags
}

// regrouped is what it prints.
type regrouped struct {
	// Done: the group's state is that of the archive; otherwise nothing was changed.
	Done    bool        `json:"done"`
	Archive archiveView `json:"archive"`
	// Before is what the group had: it is what is replaced.
	Before  groupNow         `json:"before"`
	Restore *client.Restored `json:"restored,omitempty"`
}

type groupNow struct {
	Epoch    uint32 `json:"epoch"`
	Revision uint64 `json:"revision"`
	Sessions int    `json:"sessions"`
}

func (o *groupRestore) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.BoolVar(&o.into, "into-group", false, "into the group that runs, instead of a data directory")
	f.BoolVar(&o.accept, "accept-loss", false, "with --into-group: do it; what came after the archive is replaced")
	f.StringVar(&o.reason, "reason", "", "with --into-group: `TEXT` for the events: why")
	o.change.addLock(cmd)
}

// check says which flags do not go together.
func (o *groupRestore) check(cmd *cobra.Command, archive string, to server.Restoration) error {
	switch {
	case !o.into && (o.accept || o.reason != "" || o.change.lock != "" || o.change.owner != ""):
		return usagef(cmd, "--accept-loss, --reason, --under-lock and --owner go with --into-group")
	case !o.into:
		return nil
	case to.Name != "" || to.DataDir != "" || to.TLSDir != "":
		return usagef(cmd, "--into-group is for the group that runs: --data-dir, --name and --tls-dir make a new one")
	case archive == "-":
		return usagef(cmd, "--into-group reads the archive twice, first to check it: name a file")
	}
	return o.change.checkOwner(cmd)
}

// restoreGroup looks at both sides, and restores when that was asked for.
func (g *globals) restoreGroup(cmd *cobra.Command, path string, o *groupRestore) error {
	g.untimed(cmd)
	ctx, c, done, err := g.connect(cmd)
	if err != nil {
		return err
	}
	defer done()
	v, err := g.verify(ctx, path, o.store)
	if err != nil {
		return fmt.Errorf("restore %s: %w; nothing was changed", path, err)
	}
	status, err := c.Status(ctx)
	if err != nil {
		return fmt.Errorf("restore %s: look at the group: %w; nothing was changed", path, err)
	}
	if status.Group.ID != v.GroupID {
		return fmt.Errorf("restore %s: %w: it is an archive of group %s (%s), this is group %s (%s); nothing was changed", path, errRefused, v.Group, v.GroupID, status.Group.Name, status.Group.ID)
	}
	r := regrouped{Archive: v, Before: groupNow{status.Group.Epoch, status.Revision.Number, status.Sessions}}
	if !o.accept {
		if err := g.print(r, func(w io.Writer) error { return writeRegroupPlan(w, r) }); err != nil {
			return err
		}
		return &stateError{fmt.Sprintf("nothing was changed: with --accept-loss the group takes the state of the archive, and a new epoch, after %d, begins", max(r.Before.Epoch, v.Epoch))}
	}
	lock, err := o.change.lockID(ctx, cmd, c)
	if err != nil {
		return err
	}
	m := g.meter("restore")
	defer m.done()
	r.Restore, err = c.RestoreGroup(ctx, client.Restore{Group: status.Group.Name, Archive: archiveName(path), Reason: o.reason, Lock: lock, Owner: o.change.owner,
		Open: func() (io.ReadCloser, error) { return g.metered(ctx, path, o.store, m) }})
	m.done()
	if err != nil {
		return fmt.Errorf("restore %s: %w", path, err)
	}
	g.warn(r.Restore.Warnings)
	r.Done = true
	return g.print(r, func(w io.Writer) error { return writeRegrouped(w, r) })
}

// archiveName is the last part of a path or an address: the rest says more than events need.
func archiveName(p string) string { return path.Base(strings.ReplaceAll(p, "\\", "/")) }

// metered opens the archive once more, and counts what is read.
func (g *globals) metered(ctx context.Context, path string, store *storeFlags, m *meter) (io.ReadCloser, error) {
	from, err := g.openArchive(ctx, path, store)
	if err != nil {
		return nil, err
	}
	return struct {
		io.Reader
		io.Closer
	}{io.TeeReader(from, m), from}, nil
}

func writeRegroupPlan(w io.Writer, r regrouped) error {
	v := r.Archive
	_, err := fmt.Fprintf(w, `archive  index %d of epoch %d, state of %s: %s, revision %d
group    %s (%s), epoch %d: %s, revision %d
replaced are assignments, session data and keys of the store, configuration, quiesces, schedules and workflows (one that ran in the archive is paused); access tokens, certificates, files, the history of revisions and events stay
take a backup of what is there first: holdfast backup create
`, v.Index, v.Epoch, when(v.GroupTime), count(*v.Sessions, "session"), v.Revision, v.Group, v.GroupID, r.Before.Epoch, count(r.Before.Sessions, "session"), r.Before.Revision)
	return err
}

func writeRegrouped(w io.Writer, r regrouped) error {
	d := r.Restore
	nodes := "all nodes serve it"
	if d.AppliedBy != "all" {
		nodes = "a majority has it"
	}
	_, err := fmt.Fprintf(w, "group %s restored as of index %d, state of %s, with %s: epoch %d began at index %d, with configuration revision %d; %s\n", r.Archive.Group, d.From.Index, when(d.From.Time),
		count(d.Sessions, "session"), d.Epoch, d.Index, d.Revision, nodes)
	return err
}

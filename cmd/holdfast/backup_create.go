package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-lb/holdfast/admin/client"
	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/server"
	"github.com/holdfast-lb/holdfast/storage/archive"
	"github.com/holdfast-lb/holdfast/storage/depot"
)

// backupCreate is what 'backup create' was asked for.
type backupCreate struct {
	to      string
	keep    int
	stale   bool
	dataDir string
	partial bool
	store   storeFlags
}

func newBackupCreateCommand(g *globals) *cobra.Command {
	var o backupCreate
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Write the whole state into an archive",
		Long: `Write the whole state of the group into an archive, as of one log index. Any node gives it, while it serves; it holds everything that was acknowledged before the
command. What arrives is checked on its way, and the file has its name when it is whole and on the disk, or not at all (mode 0600).

--to names a directory (the file is called GROUP-EPOCH-INDEX-TIME.hfb), a file that ends with .hfb or is there already (it is replaced), or - for standard output. With --keep N the older archives of the same
group in that directory go, so that N are left. What a schedule made ('holdfast serve --backup-to') is not counted and stays.

--to s3://BUCKET/PREFIX stores it in an S3-compatible store, in parts as it comes; it has its name there when it is whole and was read back. The credentials are those of the environment:
AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION; another store than that of AWS is named with --s3-endpoint or AWS_ENDPOINT_URL_S3.

With --data-dir the state comes from the disk of a node that is stopped. It goes to the end of its log: the last entries may not have been committed, and the answer says how many.

Values of modules with copies: 2 are on two nodes each, beside the log. The archive has them too; when some cannot be had there is none, unless --partial is set: then those are in it as lost.

The archive holds the secrets of the group. The token needs the role admin.`,
		Example: `  holdfast backup create --to /backup --keep 14
  holdfast backup create --to - | gpg -e -r ops > shop.hfb.gpg
  holdfast backup create --to s3://backups/shop --keep 14
  holdfast backup create --to /backup --stale                        # the group has no quorum
  holdfast backup create --to /backup --data-dir /var/lib/holdfast   # the node is stopped`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			g.untimed(cmd)
			if err := o.check(cmd, g); err != nil {
				return err
			}
			if o.dataDir != "" {
				return g.backupDisk(cmd.Context(), o)
			}
			ctx, c, done, err := g.connect(cmd)
			if err != nil {
				return err
			}
			defer done()
			return g.backupGroup(ctx, c, o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.to, "to", ".", "`DIR`, FILE, s3://BUCKET/PREFIX or - to write the archive to")
	f.IntVar(&o.keep, "keep", 0, "keep the newest `N` archives of the group in that directory or below that prefix, remove the others; 0: all stay")
	f.BoolVar(&o.stale, "stale", false, "what the node knows by itself, without asking the leader")
	f.StringVar(&o.dataDir, "data-dir", "", "take the state from the data directory `DIR` of a node that is stopped")
	f.BoolVar(&o.partial, "partial", false, "also without those values of the store, of the ones that two nodes keep beside the log (copies: 2), whose bytes cannot be had")
	o.store.add(f)
	return g.operator(cmd)
}

func (o backupCreate) check(cmd *cobra.Command, g *globals) error {
	if err := g.checkOutput(cmd); err != nil {
		return err
	}
	switch {
	case o.to == "":
		return usagef(cmd, "--to is empty: name a directory, a file, or - for standard output")
	case o.keep < 0:
		return usagef(cmd, "--keep %d: want how many archives stay, or 0 for all", o.keep)
	case o.stale && o.dataDir != "":
		return usagef(cmd, "--stale is for a running node; --data-dir has one that is stopped")
	case depot.IsAddress(o.to):
		return o.checkStore(cmd)
	case o.keep > 0 && !isDir(o.to):
		return usagef(cmd, "--keep is for a directory: --to %s is none", o.to)
	case o.to == "-" && isTerminal(g.out):
		return usagef(cmd, "an archive is nothing for a terminal: name a directory or a file with --to, or send the output somewhere")
	case strings.HasSuffix(o.to, string(os.PathSeparator)) && !isDir(o.to):
		return usagef(cmd, "there is no directory %s: make it first, with a mode that fits secrets", o.to)
	case o.to != "-" && filepath.Ext(o.to) != archive.Ext && !isThere(o.to):
		return usagef(cmd, "there is no directory %s: make it first, with a mode that fits secrets; the name of a file ends with %s", o.to, archive.Ext)
	}
	return nil
}

func isThere(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func isDir(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.IsDir()
}

// backupGroup takes the archive from a running node.
func (g *globals) backupGroup(ctx context.Context, c *client.Client, o backupCreate) error {
	var opts []client.ReadOption
	if o.stale {
		opts = append(opts, client.Stale())
	}
	if o.partial {
		opts = append(opts, client.Values(wire.ValuesPartial))
	}
	from, err := c.Backup(ctx, opts...)
	if err != nil {
		return fmt.Errorf("take a backup: %w", err)
	}
	defer from.Close()
	if depot.IsAddress(o.to) {
		err := g.storeArchive(ctx, o, func(w io.Writer) error {
			_, err := io.Copy(w, from)
			return err
		})
		if errors.Is(err, archive.ErrDamaged) {
			err = fmt.Errorf("take a backup from %s: %w; nothing was kept, so take it again", from.Node, err)
		}
		return err
	}
	return g.keepArchive(o, func(w io.Writer) (archive.Header, error) {
		h, err := archive.Copy(w, from)
		if err != nil {
			return h, fmt.Errorf("take a backup from %s: %w; nothing was kept, so take it again", from.Node, err)
		}
		return h, nil
	})
}

// backupDisk takes the archive from the disk of a node that does not run.
func (g *globals) backupDisk(ctx context.Context, o backupCreate) error {
	disk, err := server.OpenDisk(o.dataDir, version, time.Now())
	if err != nil {
		return fmt.Errorf("take a backup: %w", err)
	}
	lacking, err := disk.Whole(o.partial)
	switch {
	case err != nil:
	case lacking > 0 && o.partial:
		fmt.Fprintf(g.err, "of %d values of the store this data directory has no bytes: in the archive they are lost\n", lacking)
	case lacking > 0:
		err = fmt.Errorf("of %d values of the store this data directory has no bytes, because other nodes keep them: take the backup from a running node, or do without them with --partial", lacking)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("take a backup: %w", err), disk.Close())
	}
	h := disk.Report.Header
	if depot.IsAddress(o.to) {
		err = g.storeArchive(ctx, o, disk.Write)
	} else {
		err = g.keepArchive(o, func(w io.Writer) (archive.Header, error) { return h, disk.Write(w) })
	}
	if err := errors.Join(err, disk.Close()); err != nil {
		return err
	}
	if h.Index > h.Confirmed {
		fmt.Fprintf(g.err, "behind entry %d this disk does not know what was committed: a majority may have acknowledged it, or it came to nothing\n", h.Confirmed)
	}
	return nil
}

// keepArchive has an archive written to where it was asked for, and says what it is.
func (g *globals) keepArchive(o backupCreate, write func(io.Writer) (archive.Header, error)) error {
	m := g.meter("backup")
	defer m.done()
	if o.to == "-" {
		if _, err := write(io.MultiWriter(g.out, m)); err != nil {
			return err
		}
		m.done()
		fmt.Fprintf(g.err, "%s written\n", bytesText(m.n))
		return nil
	}
	dir, inDir := filepath.Dir(o.to), isDir(o.to)
	if inDir {
		dir = o.to
	}
	f, err := archive.Create(dir)
	if err != nil {
		return err
	}
	defer f.Discard()
	h, err := write(io.MultiWriter(f, m))
	if err != nil {
		return err
	}
	path := o.to
	if inDir {
		path = filepath.Join(dir, h.Name())
	}
	switch err := f.Commit(path, !inDir); {
	case errors.Is(err, fs.ErrExist):
		if err := sameArchive(path, h, err); err != nil {
			return err
		}
		m.done()
		fmt.Fprintf(g.err, "%s is there already: another backup was made of the same log index in the same second, and is whole\n", clean(path))
	case err != nil:
		return err
	}
	m.done()
	if !inDir && filepath.Ext(path) != archive.Ext {
		fmt.Fprintf(g.err, "%s is the archive itself: without %s in its name 'holdfast backup list' passes it over\n", clean(path), archive.Ext)
	}
	var removed []string
	var pruned error
	if o.keep > 0 {
		removed, pruned = archive.Prune(dir, h, o.keep)
	}
	return errors.Join(g.writeKept(viewOf(path, m.n, h), removed), pruned)
}

// sameArchive is nil when the archive that has the name of this one has the same state, whole: one of them is enough. exists is what is wrong otherwise.
func sameArchive(path string, h archive.Header, exists error) error {
	f, err := os.Open(path)
	if err != nil {
		return errors.Join(exists, err)
	}
	defer f.Close()
	r, err := server.VerifyArchive(f)
	if err != nil {
		return fmt.Errorf("%w, and it is damaged, so that it is none: %w; remove it, and take the backup again", exists, err)
	}
	if o := r.Header; o.GroupID != h.GroupID || o.Epoch != h.Epoch || o.Index != h.Index {
		return fmt.Errorf("%w: it is the archive of index %d, epoch %d of group %s, and nothing is overwritten; remove or rename it, and take the backup again", exists, o.Index, o.Epoch, o.GroupID)
	}
	return nil
}

// writeKept says what archive there is now, and which ones have gone.
func (g *globals) writeKept(v archiveView, removed []string) error {
	view := struct {
		archiveView
		Removed []string `json:"removed,omitempty"`
	}{v, removed}
	return g.print(view, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "%s  %s, group %s, epoch %d, index %d, state of %s\n", clean(v.Path), bytesText(v.Bytes), v.Group, v.Epoch, v.Index, when(v.GroupTime))
		for _, gone := range removed {
			_, err = fmt.Fprintf(w, "removed %s\n", clean(gone))
		}
		return err
	})
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/server"
	"github.com/holdfast-lb/holdfast/storage"
	"github.com/holdfast-lb/holdfast/storage/archive"
)

func newBackupVerifyCommand(g *globals) *cobra.Command {
	var store storeFlags
	cmd := &cobra.Command{
		Use:   "verify FILE|s3://BUCKET/PREFIX/NAME|DATA-DIR...",
		Short: "Read archives, or the data directory of a stopped node, to the end and restore them in memory",
		Long: `Read archives to their end: every hash is checked, the state is restored in memory, and its digest is compared with the one that was written. For the data directory of a
node that is stopped: every entry of its log, its snapshots, its key and its certificates are checked, and the state is restored from them. Exit status 1 when any of them is damaged
or cannot be read (it is not there, nobody may, the disk or the store fails, it is of a newer version, its node runs), which says nothing of it: with -o json or yaml "damaged" beside "error"
tells the one from the other. All of them are looked at. Needs no running node; an archive in a bucket is read as it is, without a copy; - is an archive on standard input.`,
		Example: `  holdfast backup verify /backup/*.hfb
  holdfast backup verify s3://backups/shop/shop-1-51234-20260301T120000Z.hfb
  holdfast backup verify /var/lib/holdfast
  gpg -d shop.hfb.gpg | holdfast backup verify -`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := g.checkOutput(cmd); err != nil {
				return err
			}
			answer := struct {
				Archives []archiveView `json:"archives"`
			}{}
			var errs []error
			for _, path := range args {
				v, err := g.verify(cmd.Context(), path, &store)
				if err != nil {
					v.Error, v.Damaged = err.Error(), isDamage(err)
					errs = append(errs, fmt.Errorf("%s: %w", path, err))
				}
				answer.Archives = append(answer.Archives, v)
			}
			err := g.print(answer, func(w io.Writer) error { return writeVerified(w, answer.Archives) })
			return errors.Join(append(errs, err)...)
		},
	}
	store.add(cmd.Flags())
	g.outputFlag(cmd.Flags())
	return cmd
}

// verify reads one archive or data directory.
func (g *globals) verify(ctx context.Context, path string, store *storeFlags) (archiveView, error) {
	if path != "-" && isDir(path) {
		disk, err := server.OpenDisk(path, version, time.Now())
		if err != nil {
			return archiveView{Path: path}, err
		}
		v := viewOf(path, 0, disk.Report.Header)
		v.Created = time.Time{}
		if err := errors.Join(server.VerifyDisk(path), disk.Close()); err != nil {
			return v, err
		}
		return v.verified(disk.Report), nil
	}
	from, err := g.openArchive(ctx, path, store)
	if err != nil {
		return archiveView{Path: path}, err
	}
	defer from.Close()
	m := g.meter("verify " + clean(path))
	defer m.done()
	source := faultReader{r: from}
	report, err := server.VerifyArchive(io.TeeReader(&source, m))
	v := viewOf(path, m.n, report.Header)
	switch {
	case source.err != nil:
		return v, fmt.Errorf("it cannot be read to its end, so whether it is whole is not known: %w", source.err)
	case err != nil:
		return v, err
	}
	return v.verified(report), nil
}

// faultReader remembers why it could not be read any further. What is made of half an archive may look like damage.
type faultReader struct {
	r   io.Reader
	err error
}

func (f *faultReader) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		f.err = err
	}
	return n, err
}

// isDamage tells whether bytes are not those that were written, as one of the errors in err says. A file of a data directory that the system does not give is not known to be damaged; one that is missing is.
func isDamage(err error) bool {
	switch e := err.(type) { //nolint:errorlint // each of them is looked at for itself
	case *storage.CorruptError:
		return !e.Unread()
	case interface{ Unwrap() []error }:
		return slices.ContainsFunc(e.Unwrap(), isDamage)
	case interface{ Unwrap() error }:
		return isDamage(e.Unwrap())
	}
	return errors.Is(err, archive.ErrDamaged) || errors.Is(err, fsm.ErrSnapshotDamaged)
}

func writeVerified(w io.Writer, list []archiveView) error {
	for _, v := range list {
		if !v.Verified {
			continue // the error says more
		}
		sum := ""
		if v.SHA256 != "" {
			sum = "\n  sha256 " + v.SHA256
		}
		_, err := fmt.Fprintf(w, "%s: whole\n  group %s (%s), epoch %d, index %d, state of %s\n  %s, revision %d, digest %s%s\n", clean(v.Path), v.Group, v.GroupID, v.Epoch, v.Index,
			when(v.GroupTime), count(*v.Sessions, "session"), v.Revision, v.Digest, sum)
		if err != nil {
			return err
		}
	}
	return nil
}

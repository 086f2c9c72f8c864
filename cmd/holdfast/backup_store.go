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
	"github.com/spf13/pflag"

	"github.com/holdfast-lb/holdfast/admin/client"
	"github.com/holdfast-lb/holdfast/storage/depot"
)

// storeFlags say how an S3-compatible store is reached; the rest is in the environment.
type storeFlags struct{ endpoint string }

func (s *storeFlags) add(f *pflag.FlagSet) {
	f.StringVar(&s.endpoint, "s3-endpoint", "", "`URL` of the S3-compatible store, https://HOST[:PORT] (default: AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, that of AWS)")
}

func (s *storeFlags) open(address string) (*depot.Bucket, error) {
	return depot.Open(address, depot.Options{Endpoint: s.endpoint, Getenv: os.Getenv})
}

// checkStore finds out what is wrong with an address or the settings before an archive is taken.
func (o backupCreate) checkStore(cmd *cobra.Command) error {
	b, err := o.store.open(o.to)
	if err != nil {
		return usagef(cmd, "--to: %v", err)
	}
	defer b.Close()
	if o.keep > 0 && b.Location().Name != "" {
		return usagef(cmd, "--keep is for a prefix: --to %s names one archive", o.to)
	}
	return nil
}

// storeArchive has an archive written into the bucket that was asked for, and says what it is.
func (g *globals) storeArchive(ctx context.Context, o backupCreate, write func(io.Writer) error) error {
	b, err := o.store.open(o.to)
	if err != nil {
		return err
	}
	defer b.Close()
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT) // what has arrived is removed again
	defer stop()
	m := g.meter("backup")
	defer m.done()
	stored, err := b.Put(ctx, func(w io.Writer) error { return write(io.MultiWriter(w, m)) })
	m.done()
	if err != nil {
		return err
	}
	var removed []string
	var pruned error
	if o.keep > 0 {
		removed, pruned = b.Prune(ctx, stored.Header, o.keep)
	}
	v := viewOf(stored.Address, stored.Size, stored.Header)
	v.SHA256 = stored.SHA256
	return errors.Join(g.writeKept(v, removed), pruned)
}

// openArchive opens an archive to be read: a file, one in a bucket, or - for standard input.
func (g *globals) openArchive(ctx context.Context, path string, s *storeFlags) (io.ReadCloser, error) {
	if path == "-" {
		return io.NopCloser(g.in), nil
	}
	if !depot.IsAddress(path) {
		return os.Open(path)
	}
	b, err := s.open(path)
	if err != nil {
		return nil, err
	}
	o, err := b.Open(ctx, b.Location().Name)
	if err != nil {
		b.Close()
		return nil, err
	}
	return storedArchive{o, b}, nil
}

// storedArchive lets the connections go too.
type storedArchive struct {
	*depot.Object
	bucket *depot.Bucket
}

func (s storedArchive) Close() error {
	err := s.Object.Close()
	s.bucket.Close()
	return err
}

// backupLine is the line of 'holdfast status' about the schedule of backups.
func backupLine(b *client.Backups) string {
	if b == nil {
		return ""
	}
	every := time.Duration(b.EverySeconds) * time.Second
	switch {
	case len(b.Nodes) == 0 && b.Good != nil:
		return fmt.Sprintf("backup: no node that answers runs with --backup-to, so none is made; the newest of %s on node %s, %s, %s", when(b.Good.At), clean(b.Good.Node), bytesText(b.Good.Bytes), clean(b.Good.Name))
	case len(b.Nodes) == 0:
		return "backup: no node that answers runs with --backup-to, so none is made, and there is none yet"
	case b.Good != nil:
		return fmt.Sprintf("backup: every %v, the newest of %s on node %s, %s, %s", every, when(b.Good.At), clean(b.Good.Node), bytesText(b.Good.Bytes), clean(b.Good.Name))
	case b.Last != nil && b.Last.Ended.IsZero():
		return fmt.Sprintf("backup: every %v, node %s makes the first one", every, clean(b.Last.Node))
	}
	return fmt.Sprintf("backup: every %v, there is none yet", every)
}

package depot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/minio/minio-go/v7"

	"github.com/holdfast-lb/holdfast/storage/archive"
)

// headBytes is how much of an archive is fetched for its header; one with hundreds of members needs more, and gets it.
const headBytes = 64 << 10

// List reads the headers of all archives below the prefix, not of those in deeper ones, in the order of archive.List. Path is the address.
func (b *Bucket) List(ctx context.Context) ([]archive.Entry, error) {
	ctx, cancel := context.WithCancel(ctx) // ends the listing when it is left early
	defer cancel()
	prefix := b.at.key("")
	list := []archive.Entry{}
	for info := range b.core.Client.ListObjects(ctx, b.at.Bucket, minio.ListObjectsOptions{Prefix: prefix}) {
		if info.Err != nil {
			return nil, b.explain("list "+b.address(""), info.Err)
		}
		name := strings.TrimPrefix(info.Key, prefix)
		if strings.HasPrefix(name, ".") || strings.Contains(name, "/") || !strings.HasSuffix(name, archive.Ext) {
			continue
		}
		e := archive.Entry{Path: b.address(name), Size: info.Size}
		e.Header, e.Err = b.header(ctx, name, info)
		list = append(list, e)
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("list %s: %w", b.address(""), err)
	}
	archive.Sort(list)
	return list, nil
}

// header reads the header of one archive.
func (b *Bucket) header(ctx context.Context, name string, info minio.ObjectInfo) (archive.Header, error) {
	o := &Object{b: b, ctx: ctx, name: name, size: min(info.Size, headBytes), tag: info.ETag}
	h, err := headerOf(o)
	if errors.Is(err, archive.ErrDamaged) && info.Size > headBytes {
		o = &Object{b: b, ctx: ctx, name: name, size: info.Size, tag: info.ETag}
		h, err = headerOf(o)
	}
	return h, err
}

func headerOf(o *Object) (archive.Header, error) {
	defer o.Close()
	r, err := archive.NewReader(io.Reader(o))
	if err != nil {
		return archive.Header{}, err
	}
	defer r.Close()
	return r.Header(), nil
}

// Remove removes an archive. One that is not there is no error.
func (b *Bucket) Remove(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, b.answerWait)
	defer cancel()
	return b.explain("remove "+b.address(name), b.core.RemoveObject(ctx, b.at.Bucket, b.at.key(name), minio.RemoveObjectOptions{}))
}

// Prune removes the archives that archive.Outdated picks, and gives the addresses of those that went.
func (b *Bucket) Prune(ctx context.Context, h archive.Header, keep int) ([]string, error) {
	if keep < 1 {
		return nil, fmt.Errorf("remove old archives: keep %d: at least 1 must stay", keep)
	}
	list, err := b.List(ctx)
	if err != nil {
		return nil, fmt.Errorf("remove old archives: %w", err)
	}
	var gone []string
	var errs []error
	for _, e := range archive.Outdated(list, h, keep) {
		if err := b.Remove(ctx, strings.TrimPrefix(e.Path, b.address("")+"/")); err != nil {
			errs = append(errs, fmt.Errorf("remove old archives: %w", err))
			continue
		}
		gone = append(gone, e.Path)
	}
	return gone, errors.Join(errs...)
}

package depot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/minio/minio-go/v7"
)

// Object is an archive in the bucket that is being read.
type Object struct {
	b    *Bucket
	ctx  context.Context //nolint:containedctx // a reader has no other way
	name string
	size int64
	tag  string // the store's for these bytes: a download that goes on wants the same

	body   io.ReadCloser
	cancel context.CancelFunc // of the request that body belongs to
	at     int64
	failed int // connections that broke since the last byte
}

// Open begins to read an archive. An error is an fs.ErrNotExist when there is none. ctx ends what is read; Close gives the connection back.
func (b *Bucket) Open(ctx context.Context, name string) (*Object, error) {
	if name == "" {
		return nil, fmt.Errorf("%s names no archive: s3://BUCKET/PREFIX/NAME.hfb", b.at)
	}
	stat, cancel := context.WithTimeout(ctx, b.answerWait)
	defer cancel()
	info, err := b.core.StatObject(stat, b.at.Bucket, b.at.key(name), minio.StatObjectOptions{})
	if err != nil {
		return nil, b.explain("read "+b.address(name), err)
	}
	return &Object{b: b, ctx: ctx, name: name, size: info.Size, tag: info.ETag}, nil
}

// Size is how many bytes the store says that it has.
func (o *Object) Size() int64 { return o.size }

// Read goes on where it was when the connection breaks.
func (o *Object) Read(p []byte) (int, error) {
	for len(p) > 0 {
		if o.at >= o.size {
			return 0, io.EOF
		}
		n, err := o.attempt(p)
		if n > 0 {
			o.at += int64(n)
			o.failed = 0
			return n, nil
		}
		o.drop()
		if err := o.ctx.Err(); err != nil {
			return 0, fmt.Errorf("read %s: %w", o.b.address(o.name), err)
		}
		var answer minio.ErrorResponse
		if o.failed++; o.failed >= tries || errors.As(err, &answer) {
			return 0, o.b.explain(fmt.Sprintf("read %s at byte %d of %d", o.b.address(o.name), o.at, o.size), err)
		}
		select {
		case <-time.After(time.Duration(o.failed) * minio.DefaultRetryUnit):
		case <-o.ctx.Done():
		}
	}
	return 0, nil
}

// attempt reads from the connection there is, or from a new one.
func (o *Object) attempt(p []byte) (int, error) {
	if o.body == nil {
		if err := o.request(); err != nil {
			return 0, err
		}
	}
	watch := time.AfterFunc(o.b.readWait, o.cancel) // a store that says nothing is one that is gone
	defer watch.Stop()
	n, err := o.body.Read(p[:min(int64(len(p)), o.size-o.at)])
	if n == 0 && err == nil {
		err = io.ErrNoProgress
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func (o *Object) request() error {
	ctx, cancel := context.WithCancel(o.ctx)
	watch := time.AfterFunc(o.b.answerWait, cancel)
	defer watch.Stop()
	var opts minio.GetObjectOptions
	if err := errors.Join(opts.SetMatchETag(o.tag), opts.SetRange(o.at, o.size-1)); err != nil {
		cancel()
		return err
	}
	body, _, _, err := o.b.core.GetObject(ctx, o.b.at.Bucket, o.b.at.key(o.name), opts)
	if err != nil {
		cancel()
		return err
	}
	o.body, o.cancel = body, cancel
	return nil
}

func (o *Object) drop() {
	if o.body != nil {
		o.cancel()
		_ = o.body.Close()
		o.body = nil
	}
}

// Close gives the connection back.
func (o *Object) Close() error {
	o.drop()
	return nil
}

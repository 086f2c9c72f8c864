package depot

import (
	"context"
	"crypto/md5" //nolint:gosec // S3 asks for it as a checksum
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/holdfast-lb/holdfast/internal/failpoint"
	"github.com/holdfast-lb/holdfast/storage/archive"
)

const (
	// maxParts is how many parts S3 puts together.
	maxParts = 10_000
	// cleanWait bounds the removal of what is left of an upload that broke.
	cleanWait = 30 * time.Second
)

// Stored is an archive that is in the bucket, was read back and is whole.
type Stored struct {
	Address string // s3://BUCKET/PREFIX/NAME
	Size    int64  // in bytes
	SHA256  string // hexadecimal digits
	Header  archive.Header
}

// Put stores the archive that write writes, under the name that its header says; with a Location that names an archive, under that, and then what has the name is
// replaced; otherwise that is an error (fs.ErrExist). After an error there is nothing new under the name: it has been removed again, or the error says so.
// write gets an error when the archive is refused or ctx ends; Put returns after write has.
func (b *Bucket) Put(ctx context.Context, write func(io.Writer) error) (_ Stored, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	from, to := io.Pipe()
	wrote := make(chan struct{})
	go func() {
		defer close(wrote)
		to.CloseWithError(write(to))
	}()
	stop := context.AfterFunc(ctx, func() { to.CloseWithError(context.Cause(ctx)) })
	defer func() {
		stop()
		from.CloseWithError(errors.New("the store does not take more"))
		<-wrote
	}()
	c, err := check(from)
	if err != nil {
		return Stored{}, err
	}
	defer c.close()
	failpoint.Hit(failpoint.UploadBegun)
	u := &upload{Bucket: b, name: b.at.Name, from: c}
	if u.name == "" {
		if u.name = c.r.Header().Name(); b.exists(ctx, u.name) {
			return Stored{}, fmt.Errorf("%s: %w", b.address(u.name), fs.ErrExist)
		}
	}
	if err := u.run(ctx); err != nil {
		return Stored{}, fmt.Errorf("store %s: %w", b.address(u.name), err)
	}
	return Stored{Address: b.address(u.name), Size: u.size, SHA256: c.r.Hash(), Header: c.r.Header()}, nil
}

func (b *Bucket) address(name string) string {
	return Location{Bucket: b.at.Bucket, Prefix: b.at.Prefix, Name: name}.String()
}

// exists tells whether there is something under a name. When the store does not say, the upload will.
func (b *Bucket) exists(ctx context.Context, name string) bool {
	ctx, cancel := context.WithTimeout(ctx, b.answerWait)
	defer cancel()
	_, err := b.core.StatObject(ctx, b.at.Bucket, b.at.key(name), minio.StatObjectOptions{})
	return err == nil
}

// upload is one archive on its way into the bucket.
type upload struct {
	*Bucket
	name  string
	from  *checked
	id    string // of an upload in parts, empty: not begun
	parts []minio.CompletePart
	size  int64
}

func (u *upload) key() string { return u.at.key(u.name) }

// run sends part after part, gives the name and reads back. A small archive goes in one request.
func (u *upload) run(ctx context.Context) error {
	part := make([]byte, u.partSize)
	for {
		n, err := io.ReadFull(u.from, part)
		last := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		if err != nil && !last {
			return u.abandon(ctx, err)
		}
		u.size += int64(n)
		switch {
		case last && u.id == "":
			return u.settle(ctx, u.putWhole(ctx, part[:n]))
		case n > 0:
			if err := u.putPart(ctx, part[:n]); err != nil {
				return u.abandon(ctx, err)
			}
		}
		if last {
			failpoint.Hit(failpoint.UploadParts)
			return u.settle(ctx, u.complete(ctx))
		}
	}
}

// sums are what the store checks content by.
func sums(content []byte) (md5Base64, sha256Hex string) {
	m, s := md5.Sum(content), sha256.Sum256(content) //nolint:gosec
	return base64.StdEncoding.EncodeToString(m[:]), hex.EncodeToString(s[:])
}

func (u *upload) putWhole(ctx context.Context, part []byte) error {
	ctx, cancel := context.WithTimeout(ctx, u.partWait)
	defer cancel()
	m, s := sums(part)
	err := repeat(ctx, func() error {
		_, err := u.once.PutObject(ctx, u.at.Bucket, u.key(), newContent(part), int64(len(part)), m, s, putOptions())
		return err
	})
	return u.explain("upload", err)
}

func putOptions() minio.PutObjectOptions {
	return minio.PutObjectOptions{ContentType: "application/octet-stream", DisableContentSha256: true} // we give the hash ourselves
}

func (u *upload) putPart(ctx context.Context, part []byte) error {
	ctx, cancel := context.WithTimeout(ctx, u.partWait)
	defer cancel()
	var err error
	if u.id == "" {
		if u.id, err = u.core.NewMultipartUpload(ctx, u.at.Bucket, u.key(), putOptions()); err != nil {
			return u.explain("begin the upload", err)
		}
	}
	number := len(u.parts) + 1
	if number > maxParts {
		return fmt.Errorf("it is larger than %d parts of %d bytes", maxParts, u.partSize)
	}
	m, s := sums(part)
	var p minio.ObjectPart
	err = repeat(ctx, func() error {
		p, err = u.once.PutObjectPart(ctx, u.at.Bucket, u.key(), u.id, number, newContent(part), int64(len(part)),
			minio.PutObjectPartOptions{Md5Base64: m, Sha256Hex: s, DisableContentSha256: true})
		return err
	})
	if err != nil {
		return u.explain(fmt.Sprintf("upload part %d", number), err)
	}
	u.parts = append(u.parts, minio.CompletePart{PartNumber: number, ETag: p.ETag})
	failpoint.Hit(failpoint.UploadPart)
	return nil
}

// complete gives the parts their name.
func (u *upload) complete(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, u.partWait)
	defer cancel()
	err := repeat(ctx, func() error {
		_, err := u.once.CompleteMultipartUpload(ctx, u.at.Bucket, u.key(), u.id, u.parts, minio.PutObjectOptions{})
		return err
	})
	return u.explain("end the upload", err)
}

// settle looks at what is stored. An answer that was lost does not matter when all is there; what is not as it was sent goes.
func (u *upload) settle(ctx context.Context, sent error) error {
	failpoint.Hit(failpoint.UploadNamed)
	err := u.readBack(ctx)
	if err == nil {
		failpoint.Hit(failpoint.UploadChecked)
		return nil
	}
	if sent != nil && errors.Is(err, fs.ErrNotExist) {
		return u.abandon(ctx, sent)
	}
	lasting, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanWait)
	defer cancel()
	err = errors.Join(sent, err)
	if gone := u.Remove(lasting, u.name); gone != nil {
		err = errors.Join(err, fmt.Errorf("what was stored could not be removed, do not use it: %w", gone))
	}
	return u.abandon(ctx, err)
}

// readBack compares what is stored with what was sent.
func (u *upload) readBack(ctx context.Context) error {
	r, err := u.Open(ctx, u.name)
	if err != nil {
		return fmt.Errorf("read it back: %w", err)
	}
	defer r.Close()
	if r.Size() != u.size {
		return fmt.Errorf("read it back: the store has %d bytes, %d were sent", r.Size(), u.size)
	}
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		return fmt.Errorf("read it back: %w", err)
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != u.from.r.Hash() {
		return fmt.Errorf("read it back: the store has other bytes than were sent: SHA-256 %s, not %s", got, u.from.r.Hash())
	}
	return nil
}

// abandon removes the parts that have arrived.
func (u *upload) abandon(ctx context.Context, reason error) error {
	if u.id == "" {
		return reason
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanWait)
	defer cancel()
	var answer minio.ErrorResponse
	if err := u.core.AbortMultipartUpload(ctx, u.at.Bucket, u.key(), u.id); err != nil && (!errors.As(err, &answer) || answer.StatusCode != http.StatusNotFound) {
		return errors.Join(reason, fmt.Errorf("its parts are still in the store, without a name (a lifecycle rule for incomplete uploads removes them): %w", u.explain("remove them", err)))
	}
	return reason
}

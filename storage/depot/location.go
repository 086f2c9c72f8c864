package depot

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/holdfast-lb/holdfast/storage/archive"
)

// Scheme is how the address of a place in a bucket begins.
const Scheme = "s3://"

// IsAddress tells whether text is meant as a place in a bucket, whether or not it is a possible one.
func IsAddress(text string) bool { return strings.HasPrefix(text, Scheme) }

// Location is a place in a bucket.
type Location struct {
	Bucket string
	// Prefix is that of the archives' keys, without a slash at its end; empty: none.
	Prefix string
	// Name is that of one archive below Prefix; empty: all of them are meant.
	Name string
}

// bucketName: the rules of S3 for new buckets.
var bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)

// maxPrefix leaves room for a name in the 1024 bytes that a key has.
const maxPrefix = 700

// Parse reads s3://BUCKET[/PREFIX][/NAME.hfb].
func Parse(text string) (Location, error) {
	rest, ok := strings.CutPrefix(text, Scheme)
	if !ok {
		return Location{}, fmt.Errorf("%q does not begin with %s", text, Scheme)
	}
	bucket, key, _ := strings.Cut(rest, "/")
	if strings.ContainsAny(bucket, "@:") {
		// Not quoted: it may be a secret.
		return Location{}, errors.New("an address has the form s3://BUCKET/PREFIX: the credentials come from the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY), another store is named with --s3-endpoint")
	}
	if !bucketName.MatchString(bucket) || strings.Contains(bucket, "..") {
		return Location{}, fmt.Errorf("%q is no name of a bucket: 3 to 63 small letters, digits, dots or dashes; an address has the form s3://BUCKET/PREFIX", bucket)
	}
	l := Location{Bucket: bucket, Prefix: strings.TrimSuffix(key, "/")}
	if err := checkPrefix(l.Prefix); err != nil {
		return Location{}, fmt.Errorf("%q: %w", text, err)
	}
	if strings.HasSuffix(key, archive.Ext) {
		l.Prefix, l.Name = path.Split(key)
		l.Prefix = strings.TrimSuffix(l.Prefix, "/")
	}
	return l, nil
}

func checkPrefix(prefix string) error {
	if prefix == "" {
		return nil
	}
	switch {
	case len(prefix) > maxPrefix:
		return fmt.Errorf("what is behind the bucket has %d bytes, at most %d can be used", len(prefix), maxPrefix)
	case !utf8.ValidString(prefix) || strings.ContainsFunc(prefix, unicode.IsControl):
		return errors.New("what is behind the bucket has characters that are not to be printed")
	}
	for part := range strings.SplitSeq(prefix, "/") {
		if part == "" || part == "." || part == ".." {
			return errors.New("what is behind the bucket has an empty part, . or .. between its slashes")
		}
	}
	return nil
}

// key is that of the archive with this name.
func (l Location) key(name string) string {
	if l.Prefix == "" {
		return name
	}
	return l.Prefix + "/" + name
}

// String is the address.
func (l Location) String() string {
	text := Scheme + l.Bucket
	if key := strings.TrimPrefix(l.key(l.Name), "/"); key != "" {
		text += "/" + strings.TrimSuffix(key, "/")
	}
	return text
}

package depot

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/holdfast-lb/holdfast/internal/failpoint"
)

const (
	// awsEndpoint is where the store is unless something else is named.
	awsEndpoint = "https://s3.amazonaws.com"
	// otherRegion is what stores elsewhere want to be told when nothing else is.
	otherRegion = "us-east-1"
	// tries is how often a request is sent, by the client or by repeat: about three seconds of a store that fails.
	tries = 5
)

// Options say how the store is reached.
type Options struct {
	// Endpoint is the URL of the store, https://HOST[:PORT]; empty: AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL, else that of AWS.
	Endpoint string
	// Getenv reads the environment: os.Getenv. AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN; AWS_REGION or AWS_DEFAULT_REGION.
	Getenv func(string) string
}

// first is the first variable that has a value.
func (o Options) first(names ...string) string {
	for _, name := range names {
		if v := o.Getenv(name); v != "" {
			return v
		}
	}
	return ""
}

// endpoint gives host and scheme of the store.
func (o Options) endpoint() (u *url.URL, aws bool, err error) {
	text, from := o.Endpoint, "--s3-endpoint"
	if text == "" {
		text, from = o.first("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"), "AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL"
	}
	if text == "" {
		text, aws = awsEndpoint, true
	}
	u, err = url.Parse(text)
	switch {
	case err != nil:
		return nil, false, fmt.Errorf("%s is no URL: write https://HOST[:PORT]", from) // not quoted: it may have a password in it
	case u.User != nil:
		return nil, false, fmt.Errorf("%s: credentials do not belong into a URL: put them into AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY", from)
	case u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
		return nil, false, fmt.Errorf("%s: %q is not https://HOST[:PORT] (http:// sends archives, hence the group's secrets, in the clear)", from, text)
	}
	return u, aws, nil
}

// Bucket is where archives are kept.
type Bucket struct {
	at   Location
	core *minio.Core
	// once is for requests with content: what the client repeats by itself goes on with a reader that the first connection may still read (see content).
	once      *minio.Core
	transport *http.Transport
	// partWait bounds one part with all its tries, readWait the silence of the store while something is read, answerWait a request without content.
	partWait, readWait, answerWait time.Duration
	partSize                       int
}

// Open checks address and settings, all of them at once. It does not speak with the store yet. Close lets connections go.
func Open(address string, o Options) (*Bucket, error) {
	at, err := Parse(address)
	errs := []error{err}
	id, secret := o.Getenv("AWS_ACCESS_KEY_ID"), o.Getenv("AWS_SECRET_ACCESS_KEY")
	if id == "" || secret == "" {
		errs = append(errs, errors.New("the credentials of the store are missing: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN, where there is one) in the environment"))
	}
	u, aws, err := o.endpoint()
	if err := errors.Join(append(errs, err)...); err != nil {
		return nil, err
	}
	region := o.first("AWS_REGION", "AWS_DEFAULT_REGION")
	if region == "" && !aws {
		region = otherRegion
	}
	transport, err := minio.DefaultTransport(u.Scheme == "https")
	if err != nil {
		return nil, fmt.Errorf("s3: %w", err)
	}
	settings := minio.Options{
		Creds: credentials.NewStaticV4(id, secret, o.Getenv("AWS_SESSION_TOKEN")), Secure: u.Scheme == "https", Transport: transport, Region: region, MaxRetries: tries,
	}
	core, err := minio.NewCore(u.Host, &settings)
	if err != nil {
		return nil, fmt.Errorf("s3: %w", err)
	}
	settings.MaxRetries = 1
	once, err := minio.NewCore(u.Host, &settings)
	if err != nil {
		return nil, fmt.Errorf("s3: %w", err)
	}
	return &Bucket{at: at, core: core, once: once, transport: transport, partWait: 3 * time.Minute, readWait: time.Minute, answerWait: time.Minute, partSize: usualPart()}, nil
}

// Close lets idle connections go.
func (b *Bucket) Close() { b.transport.CloseIdleConnections() }

// Location is where the archives are.
func (b *Bucket) Location() Location { return b.at }

// usualPart is the size in bytes of the parts in which an archive goes into the bucket.
func usualPart() int {
	if failpoint.Built { // so that a small archive goes in parts
		return 4 << 10
	}
	return 16 << 20
}

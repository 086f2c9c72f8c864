package depot

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/minio/minio-go/v7"
)

// content is what one request sends, once. A connection may still be read for when its answer is there already, so the bytes must not be used for anything else
// before Close has returned; the client closes what it was given before it returns. It cannot seek, so that the client does not repeat by itself what goes on reading.
type content struct {
	mu     sync.Mutex
	r      *bytes.Reader
	closed bool
}

func newContent(b []byte) *content { return &content{r: bytes.NewReader(b)} }

func (c *content) Read(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return 0, os.ErrClosed
	}
	return c.r.Read(p)
}

// Close ends the use of the bytes.
func (c *content) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	return nil
}

// repeat sends something until it arrives, at most so many times as the client sends what has no content, with its pauses.
func repeat(ctx context.Context, send func() error) error {
	pause := minio.DefaultRetryUnit
	for n := 1; ; n++ {
		err := send()
		if err == nil || ctx.Err() != nil || n == tries || !passing(err) {
			return err
		}
		select {
		case <-time.After(pause):
			pause = min(2*pause, minio.DefaultRetryCap)
		case <-ctx.Done():
			return err
		}
	}
}

// passing tells whether an error may be gone in a moment: the store asks for patience or fails, or the connection broke.
func passing(err error) bool {
	var answer minio.ErrorResponse
	if !errors.As(err, &answer) {
		return true
	}
	return answer.StatusCode >= 500 || answer.StatusCode == http.StatusTooManyRequests || answer.StatusCode == http.StatusRequestTimeout || answer.Code == "RequestTimeout"
}

package h3

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
)

// open sends what a stream begins with.
func open(t *testing.T, conn *quic.Conn, parts ...[]byte) *quic.Stream {
	t.Helper()
	s, err := conn.OpenStreamSync(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.Write(bytes.Join(parts, nil))
	return s
}

// TestTrailersThatNeverEnd are given up after the time of a head, and count as heads that are not whole.
func TestTrailersThatNeverEnd(t *testing.T) {
	post := framed(frameHeaders, block(":method", "POST", ":scheme", "https", ":authority", "h", ":path", "/"))
	begun := append(appendFrame(nil, frameHeaders, 30<<10), make([]byte, 20<<10)...)
	ended := make(chan error, 100)
	o := Options{HeadTimeout: 200 * time.Millisecond, Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body)
		ended <- err
	})}
	conn := serveRaw(t, 1<<20, o)
	open(t, conn, post, framed(frameData, []byte("x")), begun)
	select {
	case err := <-ended:
		if ours, ok := errors.AsType[*streamError](err); !ok || ours.code != codeIncomplete {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("they are waited for without end")
	}
	o.HeadTimeout = time.Minute
	conn = serveRaw(t, 1<<20, o)
	for range heads/(20<<10) + 2 {
		s, err := conn.OpenStream()
		if err != nil {
			break
		}
		s.Write(slices.Concat(post, begun))
	}
	select {
	case <-conn.Context().Done():
		if e, ok := errors.AsType[*quic.ApplicationError](context.Cause(conn.Context())); !ok || e.ErrorCode != codeExcessiveLoad {
			t.Error(context.Cause(conn.Context()))
		}
	case <-time.After(10 * time.Second):
		t.Fatal("they may take as much as they like")
	}
}

package lb

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"
)

// inPieces gives what it has in pieces of any size, and its error with the last one.
type inPieces struct {
	data []byte
	err  error
	rnd  *rand.Rand
}

func (r *inPieces) Read(p []byte) (int, error) {
	n := min(len(p), len(r.data), []int{1, 100, idleBuffer - 1, idleBuffer, idleBuffer + 1, copyBufferLen, copyBufferLen + 1}[r.rnd.IntN(7)])
	copy(p, r.data[:n])
	if r.data = r.data[n:]; len(r.data) == 0 {
		return n, r.err
	}
	return n, nil
}

// TestPipe: whatever the pieces, all comes in order, and is counted, up to an end or an error of either side.
func TestPipe(t *testing.T) {
	broken := errors.New("broken")
	rnd := rand.New(rand.NewPCG(1, 2))
	for size := range 200 {
		data := make([]byte, size*size*13)
		for i := range data {
			data[i] = byte(rnd.Uint32())
		}
		for _, end := range []error{io.EOF, broken} {
			tunnel, out := &tunnel{}, &bytes.Buffer{}
			n, err := tunnel.pipe(out, &inPieces{data, end, rnd})
			if end == io.EOF {
				end = nil
			}
			if !errors.Is(err, end) || n != int64(len(data)) || !bytes.Equal(out.Bytes(), data) || len(data) > 0 && tunnel.moved.Load() == 0 {
				t.Fatalf("%d of %d bytes: %v", n, len(data), err)
			}
		}
	}
	if n, err := new(tunnel).pipe(&fullWriter{most: 5000}, bytes.NewReader(make([]byte, 100_000))); !errors.Is(err, io.ErrShortWrite) || n != 5000 {
		t.Errorf("a client that takes no more: %d %v", n, err)
	}
	if n, err := new(tunnel).pipe(io.Discard, iotest.ErrReader(broken)); !errors.Is(err, broken) || n != 0 {
		t.Errorf("%d %v", n, err)
	}
}

// fullWriter takes so many bytes.
type fullWriter struct{ most int }

func (w *fullWriter) Write(p []byte) (int, error) {
	n := min(len(p), w.most)
	if w.most -= n; n < len(p) {
		return n, io.ErrShortWrite
	}
	return n, nil
}

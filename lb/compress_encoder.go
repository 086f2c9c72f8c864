package lb

import (
	"io"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// encoders bounds how much memory responses that are being compressed take at once, and keeps what they need for the next ones.
type encoders struct {
	busy atomic.Int64 // MiB
	most int64
	free [codings][levels]sync.Pool
}

const (
	levels = 3
	// zstdWindow is how far back zstd looks: any browser takes 8 MiB (RFC 9659), but each response that is under way would hold as much here.
	zstdWindow = 256 << 10
	// encodersPerProcessor is how many MiB the encoders may take for each processor; a client that takes its response slowly has one so long.
	encodersPerProcessor = 64
)

// weights are the MiB that an encoder takes by level, as measured and rounded up.
var weights = [codings][levels]int64{codingGzip: {1, 1, 1}, codingZstd: {1, 2, 5}}

func newEncoders() *encoders {
	return &encoders{most: int64(encodersPerProcessor * runtime.GOMAXPROCS(0))}
}

// stream is what gzip and zstd have in common.
type stream interface {
	io.WriteCloser
	Flush() error
	Reset(io.Writer)
}

// encoder compresses one response. One goroutine at a time may use it.
type encoder struct {
	stream
	of     *encoders
	coding coding
	level  int
}

// take gives an encoder, nil when those in use take all the memory that they may.
func (s *encoders) take(c coding, level int) *encoder {
	if s.busy.Add(weights[c][level]) > s.most {
		s.busy.Add(-weights[c][level])
		return nil
	}
	if e, ok := s.free[c][level].Get().(*encoder); ok {
		return e
	}
	return &encoder{stream: newStream(c, level), of: s, coding: c, level: level}
}

// end gives it back, wherever it was in its work. What has not been closed before stays without an end.
func (e *encoder) end() {
	e.Reset(io.Discard) // nothing of the response stays behind
	e.of.free[e.coding][e.level].Put(e)
	e.of.busy.Add(-weights[e.coding][e.level])
}

func newStream(c coding, level int) stream {
	if c == codingGzip {
		w, err := gzip.NewWriterLevel(io.Discard, [levels]int{1, 5, 7}[level])
		if err != nil {
			panic("BUG: level of gzip: " + err.Error())
		}
		return w
	}
	w, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true), zstd.WithWindowSize(zstdWindow),
		zstd.WithEncoderLevel([levels]zstd.EncoderLevel{zstd.SpeedFastest, zstd.SpeedDefault, zstd.SpeedBetterCompression}[level]))
	if err != nil {
		panic("BUG: options of zstd: " + err.Error())
	}
	return w
}

package lb

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"
)

// benchPage is a megabyte of HTML in which a third is not the same on each line.
func benchPage() []byte {
	r := rand.New(rand.NewPCG(1, 2))
	var b bytes.Buffer
	for b.Len() < 1<<20 {
		fmt.Fprintf(&b, "<tr class=\"row\"><td><a href=\"/item/%d\">Item %x</a></td><td>%d.%02d EUR</td><td>in stock: %d</td></tr>\n", r.IntN(1e6), r.Uint64(), r.IntN(1000), r.IntN(100), r.IntN(50))
	}
	return b.Bytes()[:1<<20]
}

// BenchmarkCompression is the work for one MiB of HTML, as pieces of it come; ratio is how many times shorter it gets.
func BenchmarkCompression(b *testing.B) {
	body := benchPage()
	for _, c := range []coding{codingGzip, codingZstd} {
		for level, name := range []string{"fast", "better", "best"} {
			b.Run(codingNames[c]+"/"+name, func(b *testing.B) {
				s := newEncoders()
				var out countingWriter
				b.SetBytes(int64(len(body)))
				b.ReportAllocs()
				before := processorTime()
				for b.Loop() {
					out = 0
					e := s.take(c, level)
					e.Reset(&out)
					for from := 0; from < len(body); from += copyBufferLen {
						e.Write(body[from : from+copyBufferLen])
					}
					e.Close()
					e.end()
				}
				b.ReportMetric(float64((processorTime()-before).Microseconds())/1000/float64(b.N), "cpu-ms/MiB")
				b.ReportMetric(float64(len(body))/float64(out), "ratio")
			})
		}
	}
}

type countingWriter int64

func (w *countingWriter) Write(p []byte) (int, error) {
	*w += countingWriter(len(p))
	return len(p), nil
}

var _ io.Writer = (*countingWriter)(nil)

// processorTime is what this process has used.
func processorTime() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

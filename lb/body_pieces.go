package lb

import (
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// pieceLen is in what pieces request bodies are kept: a short body must not cost the memory of a long one.
const pieceLen = 4 << 10

var piecePool = sync.Pool{New: func() any { return new([pieceLen]byte) }}

// keptPerProcessor is how many bytes of request bodies are kept at once for each processor, of all clients together: bodyBuffer bounds only what one of them
// takes, and one that sends slowly has its piece for as long as it likes.
const keptPerProcessor = 64 << 20

// keeping bounds how much memory the request bodies take that are kept to be sent again.
type keeping struct {
	held   atomic.Int64 // bytes
	most   int64
	missed prometheus.Counter // bodies that were not kept for that
}

func newKeeping() *keeping {
	return &keeping{most: int64(keptPerProcessor * runtime.GOMAXPROCS(0)), missed: prometheus.NewCounter(prometheus.CounterOpts{Name: "holdfast_request_bodies_not_kept_total",
		Help: "Request bodies that were not kept to be sent again because those that were kept took as much memory as they may."})}
}

// take reserves one piece. nil has no bound.
func (k *keeping) take() bool {
	if k == nil {
		return true
	}
	if k.held.Add(pieceLen) <= k.most {
		return true
	}
	k.held.Add(-pieceLen)
	k.missed.Inc()
	return false
}

func (k *keeping) give(pieces int) {
	if k != nil {
		k.held.Add(-int64(pieces) * pieceLen)
	}
}

// pieces are bytes that are kept in pooled memory, as they come.
type pieces struct {
	of   *keeping // nil: as many as one likes
	list []*[pieceLen]byte
	n    int64
}

// add appends p; false when there is not the memory for all of it.
func (k *pieces) add(p []byte) bool {
	for len(p) > 0 {
		used := int(k.n % pieceLen)
		if used == 0 {
			if !k.of.take() {
				return false
			}
			k.list = append(k.list, piecePool.Get().(*[pieceLen]byte))
		}
		n := copy(k.list[len(k.list)-1][used:], p)
		k.n += int64(n)
		p = p[n:]
	}
	return true
}

// readAt copies what begins at the offset to p; 0 when nothing is there.
func (k *pieces) readAt(p []byte, at int64) int {
	done := 0
	for done < len(p) && at < k.n {
		piece := k.list[at/pieceLen]
		end := min(k.n-at/pieceLen*pieceLen, pieceLen)
		n := copy(p[done:], piece[at%pieceLen:end])
		done, at = done+n, at+int64(n)
	}
	return done
}

// release gives the memory back.
func (k *pieces) release() {
	for _, piece := range k.list {
		piecePool.Put(piece)
	}
	k.of.give(len(k.list))
	k.list, k.n = nil, 0
}

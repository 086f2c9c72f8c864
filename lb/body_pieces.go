package lb

import "sync"

// pieceLen is in what pieces request bodies are kept: a short body must not cost the memory of a long one.
const pieceLen = 4 << 10

var piecePool = sync.Pool{New: func() any { return new([pieceLen]byte) }}

// pieces are bytes that are kept in pooled memory.
type pieces struct {
	list []*[pieceLen]byte
	n    int64
}

// add appends p.
func (k *pieces) add(p []byte) {
	for len(p) > 0 {
		used := int(k.n % pieceLen)
		if used == 0 {
			k.list = append(k.list, piecePool.Get().(*[pieceLen]byte))
		}
		n := copy(k.list[len(k.list)-1][used:], p)
		k.n += int64(n)
		p = p[n:]
	}
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
	k.list, k.n = nil, 0
}

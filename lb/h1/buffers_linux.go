package h1

// buffers lends the memory of one loop: what was given back last is lent first, since it is in the processor's cache.
type buffers struct {
	free [len(bufferSizes)][][]byte
	kept int // bytes in free
	most int // of them at once
}

// bufferSizes are a usual head, a large one, and the largest with what may be waiting behind it.
var bufferSizes = [...]int{4 << 10, 16 << 10, 64 << 10, 144 << 10}

// get gives an empty buffer with room for at least n bytes. More than the largest size is for what waits for a client and grows by a little each time: it gets room to grow.
func (p *buffers) get(n int) []byte {
	for i, size := range bufferSizes {
		if n > size {
			continue
		}
		if k := len(p.free[i]) - 1; k >= 0 {
			b := p.free[i][k]
			p.free[i][k] = nil
			p.free[i] = p.free[i][:k]
			p.kept -= size
			return b
		}
		return make([]byte, 0, size)
	}
	return make([]byte, 0, n+n/2)
}

// put takes a buffer back; nil is fine.
func (p *buffers) put(b []byte) {
	for i, size := range bufferSizes {
		if cap(b) == size && p.kept+size <= p.most {
			p.free[i] = append(p.free[i], b[:0])
			p.kept += size
		}
	}
}

// trim gives half of what is kept back to the garbage collector.
func (p *buffers) trim() {
	for i, size := range bufferSizes {
		n := len(p.free[i])
		for k := n / 2; k < n; k++ {
			p.free[i][k] = nil
			p.kept -= size
		}
		p.free[i] = p.free[i][:n/2]
	}
}

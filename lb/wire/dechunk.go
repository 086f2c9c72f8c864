package wire

// Dechunker takes the chunked transfer coding off a body, by the rules of Chunked. The zero value is ready for one body.
type Dechunker struct {
	check    Chunked
	trailers []byte
}

// Reset makes it ready for another body. Memory is kept.
func (d *Dechunker) Reset() { d.check, d.trailers = Chunked{}, d.trailers[:0] }

// ResetAnswer is Reset for the body of a response.
func (d *Dechunker) ResetAnswer() {
	d.Reset()
	d.check.answer = true
}

// Decode takes the next bytes of the body from src and writes the content that they hold to dst, which must have room for len(src) bytes and may be src itself.
// It gives how many bytes were written, how many were taken, and whether the body ends with the last of those. The error is final; what was written before it
// is good.
func (d *Dechunker) Decode(dst, src []byte) (written, taken int, done bool, err *Error) {
	c := &d.check
	for taken < len(src) && c.state != chunkDone && c.err == nil {
		if c.state == chunkData {
			n := int(min(c.left, int64(len(src)-taken)))
			copy(dst[written:], src[taken:taken+n])
			c.left -= int64(n)
			written, taken = written+n, taken+n
			if c.left == 0 {
				c.state = chunkDataCR
			}
			continue
		}
		trailer := c.state >= trailerStart
		if c.err = c.step(src[taken]); c.err == nil {
			if trailer {
				d.trailers = append(d.trailers, src[taken])
			}
			taken++
		}
	}
	return written, taken, c.state == chunkDone, c.err
}

// Trailers gives the trailer section when the body is done: whole lines with their CRLF and the empty line that ends it. It holds until Reset.
func (d *Dechunker) Trailers() []byte { return d.trailers }

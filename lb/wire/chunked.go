package wire

const (
	// A chunk is far smaller than this; net/http multiplies sizes by two, which
	// must not overflow.
	maxChunk = 1 << 60

	maxChunkDigits = 16       // of one size, zeros in front included
	maxChunkExt    = 256      // bytes of extensions of one chunk
	maxOverhead    = 16 << 10 // see Chunked.endLine

	// Bytes of the trailer section. net/http gives up when its buffer of 4 KiB is
	// full; the violation must come before that.
	maxTrailers = 4<<10 - 1
)

// Chunked checks a body in the chunked transfer coding (RFC 9112 section 7.1)
// as it passes. The zero value is ready for one body. It keeps no data.
//
// Extensions must be well formed and are bounded, a chunk must end with CRLF
// where its size says, and trailer fields must be as strict as header fields
// and none of those that RFC 9110 section 6.5.1 forbids there, in requests nor
// any that could be taken for one of Holdfast's.
type Chunked struct {
	state    chunkState
	digits   int   // of the size in work
	line     int   // bytes of the size line so far, without CRLF
	left     int64 // bytes of the chunk to come, or its size so far
	overhead int64
	trailers int // bytes of the trailer section so far
	named    int // bytes of the trailer's name so far
	name     [maxForbidden]byte
	answer   bool // of a response: it may have trailers that are Holdfast's own, which the reader drops
	err      *Error
}

type chunkState uint8

const (
	chunkSize chunkState = iota
	chunkExtName
	chunkExtNameMore
	chunkExtValue
	chunkExtToken
	chunkExtQuoted
	chunkExtEscaped
	chunkExtEnd
	chunkSizeLF
	chunkData
	chunkDataCR
	chunkDataLF
	trailerStart
	trailerName
	trailerValue
	trailerLF
	trailerEndLF
	chunkDone
)

// Feed takes the next bytes of the body. It gives how many of them are good
// and belong to the body, and whether the body ends with the last of those.
// The error is final; the bytes before the offending one are counted.
func (c *Chunked) Feed(b []byte) (n int, done bool, err *Error) {
	n, err = c.feed(b, chunkDone)
	return n, c.state == chunkDone, err
}

// feed is Feed up to the state in which it stops.
func (c *Chunked) feed(b []byte, stop chunkState) (n int, err *Error) {
	for n < len(b) && c.state != stop && c.state != chunkDone && c.err == nil {
		if c.state == chunkData {
			take := min(c.left, int64(len(b)-n))
			c.left -= take
			n += int(take)
			if c.left == 0 {
				c.state = chunkDataCR
			}
			continue
		}
		if c.err = c.step(b[n]); c.err == nil {
			n++
		}
	}
	return n, c.err
}

func (c *Chunked) step(b byte) *Error {
	switch c.state {
	case chunkSize:
		return c.stepSize(b)
	case chunkSizeLF:
		return c.endLine(b)
	case chunkDataCR:
		return c.want(b, '\r', chunkDataLF, errChunkEnd)
	case chunkDataLF:
		c.digits, c.line = 0, 0
		return c.want(b, '\n', chunkSize, errChunkEnd)
	case trailerStart, trailerName, trailerValue, trailerLF, trailerEndLF:
		return c.stepTrailer(b)
	}
	return c.stepExt(b)
}

func (c *Chunked) want(b, wanted byte, then chunkState, err *Error) *Error {
	if b != wanted {
		return err
	}
	c.state = then
	return nil
}

func (c *Chunked) stepSize(b byte) *Error {
	switch {
	case is(b, isHex):
		if c.digits == maxChunkDigits || c.left >= maxChunk>>4 {
			return errChunkLarge
		}
		d := b - '0'
		if b > '9' {
			d = b | 0x20 - 'a' + 10
		}
		c.left = c.left<<4 | int64(d)
		c.digits++
		c.line++
		return nil
	case c.digits == 0:
		return errChunkSize
	case b == ';':
		c.line++
		c.state = chunkExtName
		return nil
	}
	return c.want(b, '\r', chunkSizeLF, errChunkSize)
}

// stepExt is RFC 9112 section 7.1.1, without its "bad white space".
func (c *Chunked) stepExt(b byte) *Error {
	c.line++
	if c.line-c.digits > maxChunkExt {
		return errChunkExtLong
	}
	switch c.state {
	case chunkExtName, chunkExtValue:
		switch {
		case is(b, isToken):
			c.state++ // chunkExtNameMore, chunkExtToken
			return nil
		case c.state == chunkExtValue:
			return c.want(b, '"', chunkExtQuoted, errChunkExt)
		}
		return errChunkExt
	case chunkExtQuoted:
		switch {
		case is(b, isQuoted):
			return nil
		case b == '\\':
			c.state = chunkExtEscaped
			return nil
		}
		return c.want(b, '"', chunkExtEnd, errChunkExt)
	case chunkExtEscaped:
		c.state = chunkExtQuoted
		if b == '\t' || b >= ' ' && b < 0x7f {
			return nil
		}
		return errChunkExt
	}
	// After a name, a token or a quoted string.
	switch {
	case c.state != chunkExtEnd && is(b, isToken):
		return nil
	case c.state == chunkExtNameMore && b == '=':
		c.state = chunkExtValue
		return nil
	case b == ';':
		c.state = chunkExtName
		return nil
	}
	c.line-- // CR is no part of the line
	return c.want(b, '\r', chunkSizeLF, errChunkExt)
}

// endLine ends a size line. What lines cost beyond 16 bytes and twice their
// data each may add up to 16 KiB, so that tiny chunks are fine and long
// extensions are not. The same sum as in net/http's reader: being any laxer
// here would let bodies pass that break there.
func (c *Chunked) endLine(b byte) *Error {
	if b != '\n' {
		return errChunkSize
	}
	c.overhead = max(0, c.overhead+int64(c.line)+2-16-2*c.left)
	if c.overhead > maxOverhead {
		return errChunkExtLong
	}
	c.state = chunkData
	if c.left == 0 {
		c.state = trailerStart
	}
	return nil
}

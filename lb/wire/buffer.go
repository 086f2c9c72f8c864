package wire

// waiting gives the number of bytes that were read but not passed on.
func (c *Conn) waiting() int { return len(c.buf) - c.at }

// consume drops n waiting bytes, and the buffer with the last of them.
func (c *Conn) consume(n int) {
	c.at += n
	if c.at == len(c.buf) {
		c.drop()
	}
}

func (c *Conn) drop() {
	c.own.release(c.buf)
	c.buf, c.at = nil, 0
}

// stash keeps bytes for later; nothing may be waiting.
func (c *Conn) stash(b []byte) {
	if len(b) > 0 {
		c.buf = append(c.own.buffer(len(b), c.limits.Head), b...)
	}
}

// fill reads more bytes behind the waiting ones. The caller sees to it that
// fewer than a head's limit are waiting. An idle connection waits with one
// byte, not with a buffer.
func (c *Conn) fill() error {
	if c.buf == nil {
		if _, err := c.readUnder(c.one[:]); err != nil {
			return err
		}
		c.stash(c.one[:])
		return nil
	}
	if len(c.buf) == cap(c.buf) {
		c.makeRoom()
	}
	n, err := c.readUnder(c.buf[len(c.buf):cap(c.buf)])
	c.buf = c.buf[:len(c.buf)+n]
	return err
}

// makeRoom moves the waiting bytes to the front, of a larger buffer if they
// fill this one.
func (c *Conn) makeRoom() {
	if c.at > 0 {
		c.buf = c.buf[:copy(c.buf, c.buf[c.at:])]
		c.at = 0
		return
	}
	larger := append(c.own.buffer(len(c.buf)+1, c.limits.Head), c.buf...)
	c.own.release(c.buf)
	c.buf = larger
}

// endHead gives the parser back.
func (c *Conn) endHead() {
	c.own.parsers.Put(c.parser)
	c.parser, c.timed = nil, false
}

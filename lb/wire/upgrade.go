package wire

type watchState uint32

const (
	watchNone     watchState = iota
	watchOpen                // a request asked for an upgrade, the final response has not begun
	watchSwitched            // it began with 101
	watchRefused             // it began with another status
	watchSealed              // the guard has answered: nothing may be written any more
)

// outcome finds the final status in the bytes of a response. Interim responses
// (RFC 9110 section 15.2) other than 101 are skipped.
type outcome struct {
	line  [len("HTTP/1.1 101")]byte
	n     int // bytes in line
	blank int // bytes of CRLF CRLF seen, while skipping
}

func (c *Conn) openWatch() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.outcome = outcome{}
	c.watch.Store(uint32(watchOpen))
}

// observe sets the outcome before its bytes leave: what the client sends next
// must find it.
func (c *Conn) observe(p []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if v := c.outcome.feed(p); v != watchOpen {
		c.watch.Store(uint32(v))
		c.wake.Broadcast()
	}
}

func (o *outcome) feed(p []byte) watchState {
	for len(p) > 0 {
		if o.n < len(o.line) {
			n := copy(o.line[o.n:], p)
			o.n += n
			p = p[n:]
			if o.n < len(o.line) {
				return watchOpen
			}
			if v := o.status(); v != watchOpen {
				return v
			}
			continue
		}
		o.skip(p[0])
		p = p[1:]
	}
	return watchOpen
}

func (o *outcome) status() watchState {
	code := string(o.line[9:])
	switch {
	case string(o.line[:7]) != "HTTP/1.":
		return watchRefused
	case code == "101":
		return watchSwitched
	case code[0] == '1':
		return watchOpen
	}
	return watchRefused
}

// skip looks for the empty line that ends an interim response.
func (o *outcome) skip(b byte) {
	switch {
	case b == "\r\n\r\n"[o.blank]:
		o.blank++
	case b == '\r':
		o.blank = 1
	default:
		o.blank = 0
	}
	if o.blank == 4 {
		o.n, o.blank = 0, 0
	}
}

package h1

// Ended reports whether the client has sent the end of its stream: it may have gone, or only have nothing more to say. Of the loop's goroutine, for a Director.
func (c *Conn) Ended() bool { return c.is(ended) }

// HTTP2 reports whether it is a stream of HTTP/2, which has nothing of a connection but its addresses.
func (c *Conn) HTTP2() bool { return c.stream != nil }

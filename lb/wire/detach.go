package wire

// Detach takes the connection away from the server between two messages: it gives what has been read of the next one, of which the server has had no byte, and from
// now on Read gives io.EOF and nothing is read any more. False, and nothing has changed, when a message is under way, the connection has been refused or
// speaks another protocol. Only the goroutine that reads may call it, when it is not in Read.
func (c *Conn) Detach() (rest []byte, ok bool) {
	if c.state != inHead || watchState(c.watch.Load()) == watchOpen {
		return nil, false
	}
	if c.parser != nil {
		c.endHead()
	}
	if c.waiting() > 0 {
		rest = append(rest, c.buf[c.at:]...)
		c.drop()
	}
	c.state = inEnd
	return rest, true
}

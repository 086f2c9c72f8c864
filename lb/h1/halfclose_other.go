//go:build !linux

package h1

// Ended belongs to the loops.
func (*Conn) Ended() bool { return false }

// HTTP2 belongs to the loops.
func (*Conn) HTTP2() bool { return false }

package lb

import (
	"net"
	"os"
	"sync"
)

// relay is the listener by which net/http gets the connections that the loop lets go of.
type relay struct {
	conns chan net.Conn
	over  chan struct{}
	once  sync.Once
	addr  relayAddr
}

type relayAddr string

func (relayAddr) Network() string  { return "tcp" }
func (a relayAddr) String() string { return string(a) }

func newRelay(address string) *relay {
	return &relay{conns: make(chan net.Conn), over: make(chan struct{}), addr: relayAddr(address)}
}

// Accept implements net.Listener.
func (l *relay) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.over:
		return nil, net.ErrClosed
	}
}

// Close has those that still come closed.
func (l *relay) Close() error {
	l.once.Do(func() { close(l.over) })
	return nil
}

// Addr implements net.Listener.
func (l *relay) Addr() net.Addr { return l.addr }

// give waits until net/http has the connection; it closes it when nobody takes it any more.
func (l *relay) give(c net.Conn) {
	select {
	case l.conns <- c:
	case <-l.over:
		c.Close()
	}
}

// socketOn makes a descriptor one of Go's connections again. The descriptor is gone after that, whatever comes of it.
func socketOn(fd int) (net.Conn, error) {
	file := os.NewFile(uintptr(fd), "client")
	defer file.Close()
	return net.FileConn(file)
}

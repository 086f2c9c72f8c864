//go:build !linux

package handoff

import (
	"errors"
	"net"
	"os"
	"syscall"
)

var errSystem = errors.New("sockets are handed from one process to another on Linux alone: restart the node instead")

type conn struct{ *net.UnixConn }

func pair(string) (net.Conn, *os.File, error) { return nil, nil, errSystem }
func connOf(int) (net.Conn, error)            { return nil, errSystem }
func (conn) send(message, int) error          { return errSystem }
func (conn) sendFile(message, *os.File) error { return errSystem }
func (conn) receive() (message, int, error)   { return message{}, -1, errSystem }
func closeDescriptor(int)                     {}
func gone(error) bool                         { return false }

// socket is never made.
type socket struct{ network, name string }

// Add fails.
func (s *Sockets) Add(string, syscall.Conn) error  { return errSystem }
func (s *Sockets) add(string, int) error           { return errSystem }
func (so *socket) listener() (net.Listener, error) { return nil, errSystem }
func (so *socket) packets() (*net.UDPConn, error)  { return nil, errSystem }
func (so *socket) way() (*net.UnixConn, error)     { return nil, errSystem }
func (so *socket) bound(net.IP, int) bool          { return false }
func (so *socket) address() string                 { return so.name }
func (so *socket) duplicate() (int, error)         { return -1, errSystem }
func (so *socket) descriptor() int                 { return -1 }
func (so *socket) close()                          {}

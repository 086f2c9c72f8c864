package server

import (
	"cmp"
	"fmt"
	"net"
	"syscall"

	"github.com/holdfast-lb/holdfast/lb"
	"github.com/holdfast-lb/holdfast/raftnode"
	"github.com/holdfast-lb/holdfast/server/handoff"
)

// The names under which a process hands its sockets to the next one; clients' listeners have their addresses behind theirs.
const (
	peerSocket   = "peer"
	adminSocket  = "admin"
	dnsSocket    = "dns"
	clientSocket = "client "
	http3Socket  = "http3 "
	http3Way     = "http3 way "
)

// sockets duplicates every socket on which others reach this node.
func (s *Server) sockets() (*handoff.Sockets, error) {
	list := &handoff.Sockets{}
	add := func(name string, from net.Listener) error {
		c, ok := from.(syscall.Conn)
		if !ok {
			return fmt.Errorf("socket %s: %T has no descriptor", name, from)
		}
		return list.Add(name, c)
	}
	err := add(adminSocket, s.adminLn)
	for address, ln := range s.balancer.Listeners() {
		err = cmp.Or(err, add(clientSocket+address, ln))
	}
	for address, conn := range s.balancer.PacketListeners() {
		err = cmp.Or(err, list.Add(clientSocket+address, conn))
	}
	if err == nil {
		err = s.addHTTP3Sockets(list)
	}
	if s.names != nil {
		packets, listener := s.names.Sockets()
		err = cmp.Or(err, list.Add(dnsSocket, packets), list.Add(dnsSocket, listener))
	}
	if err == nil {
		err = s.addPeerSocket(list)
	}
	if err == nil {
		err = list.AddManaged(s.config.Sockets)
	}
	if err != nil {
		list.Close()
		return nil, err
	}
	return list, nil
}

// addHTTP3Sockets adds the sockets of HTTP/3, each with the way by which the next process passes on what is for connections of this one.
func (s *Server) addHTTP3Sockets(list *handoff.Sockets) error {
	all, err := s.balancer.HTTP3Sockets()
	for address, h := range all {
		err = cmp.Or(err, list.Add(http3Socket+address, h.Packets), list.Add(http3Way+address, h.Way))
		_ = h.Way.Close() // the list has a copy
	}
	return err
}

func (s *Server) addPeerSocket(list *handoff.Sockets) error {
	f, err := s.node.PeerListener()
	if err != nil {
		return err
	}
	defer f.Close()
	return list.Add(peerSocket, f)
}

// peerNetwork is TCP, on which the peer port may have been open before.
type peerNetwork struct {
	raftnode.Network
	sockets *handoff.Sockets
}

func (n peerNetwork) Listen(addr string) (net.Listener, error) {
	if ln := n.sockets.Listen(peerSocket, addr); ln != nil {
		return ln, nil
	}
	return n.Network.Listen(addr)
}

// listenAdmin gives the admin API's listener.
func (s *Server) listenAdmin() (net.Listener, error) {
	if ln := s.config.Sockets.Listen(adminSocket, s.config.AdminAddr); ln != nil {
		return ln, nil
	}
	return net.Listen("tcp", s.config.AdminAddr)
}

// inheritClients gives a clients' listener that was open before, nil when there is none.
func (s *Server) inheritClients(address string) net.Listener {
	return s.config.Sockets.Listen(clientSocket+address, address)
}

// inheritPackets gives a clients' socket for datagrams in the same way.
func (s *Server) inheritPackets(address string) *net.UDPConn {
	return s.config.Sockets.Packets(clientSocket+address, address)
}

// inheritHTTP3 gives what the process before has of HTTP/3, or the service manager's socket.
func (s *Server) inheritHTTP3(address string) (h lb.HTTP3Socket) {
	if h.Packets = s.config.Sockets.Packets(http3Socket+address, address); h.Packets != nil {
		h.Way = s.config.Sockets.Way(http3Way + address)
	}
	return h
}

// keptOpen tells whether the service manager has the socket of a clients' listener.
func (s *Server) keptOpen(address string) bool { return s.config.Sockets.Managed("tcp", address) }

// inheritDNS gives the sockets of the DNS responder in the same way. Both or none.
func (s *Server) inheritDNS() (*net.UDPConn, *net.TCPListener) {
	packets := s.config.Sockets.Packets(dnsSocket, s.config.DNSAddr)
	listener, ok := s.config.Sockets.Listen(dnsSocket, s.config.DNSAddr).(*net.TCPListener)
	if packets != nil && ok {
		return packets, listener
	}
	if packets != nil {
		_ = packets.Close()
	}
	if ok {
		_ = listener.Close()
	}
	return nil, nil
}

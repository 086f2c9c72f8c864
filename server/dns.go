package server

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
	"github.com/holdfast-lb/holdfast/vip/dns"
)

// dnsEvery is how often the nodes are asked who serves, when this node answers DNS: with it, and the time for which an answer may be kept, a dead
// node is out of use.
const dnsEvery = 500 * time.Millisecond

// names is this node's DNS responder and what it answers from.
type names struct {
	*dns.Server
	view  atomic.Pointer[dns.View]
	zones map[string]string // of the nodes that have answered, their failure domains; for watchNames alone
}

func (s *Server) openDNS(metrics prometheus.Registerer) error {
	c := s.config
	if c.DNSAddr == "" {
		return nil
	}
	n := &names{zones: map[string]string{}}
	n.view.Store(&dns.View{})
	var err error
	n.Server, err = dns.New(dns.Options{Zone: c.DNSZone, Addr: c.DNSAddr, TTL: c.DNSTTL, View: func() dns.View { return *n.view.Load() }, Logger: s.log, Registerer: metrics,
		Inherited: s.inheritDNS})
	if err != nil {
		return fmt.Errorf("DNS: %w", err)
	}
	s.names = n
	return nil
}

// dnsZone is what a node says of the zone that it answers for.
type dnsZone struct {
	Name       string `json:"name"`
	TTLSeconds int    `json:"ttlSeconds"`
}

// dnsZone gives it as all nodes should have it, nil without one.
func (c Config) dnsZone() *dnsZone {
	if c.DNSZone == "" {
		return nil
	}
	return &dnsZone{Name: strings.ToLower(strings.TrimSuffix(c.DNSZone, ".")), TTLSeconds: int(c.DNSTTL / time.Second)}
}

// dnsAddresses are this node's in DNS answers: what its settings say, else the host by which other nodes dial it.
func (s *Server) dnsAddresses() ([]netip.Addr, error) {
	list, err := s.config.clientAddresses()
	if err != nil || len(list) > 0 {
		return list, err
	}
	return dialled(s.node.Addr()), nil
}

// dialled is the host of a peer address; nothing when that is a name: whoever wants addresses in DNS names them.
func dialled(peer string) []netip.Addr {
	host, _, err := net.SplitHostPort(peer)
	if err != nil {
		return nil
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return nil
	}
	return []netip.Addr{ip.Unmap()}
}

// runDNS answers until ctx ends.
func (s *Server) runDNS(ctx context.Context) error {
	watch, end := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { defer close(done); s.watchNames(watch) }()
	err := s.names.Run(ctx)
	end()
	<-done
	return err
}

// watchNames asks the nodes again and again.
func (s *Server) watchNames(ctx context.Context) {
	tick := time.NewTicker(dnsEvery)
	defer tick.Stop()
	for {
		view := s.names.from(s.state.Operating(), s.reports(ctx))
		if ctx.Err() != nil {
			return
		}
		s.names.view.Store(&view)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// from is what is answered from what the nodes say. A node that does not answer keeps the addresses that it had, as a name, and its failure domain, by which it has listeners. One
// that has not answered since this node began has those that it has without any settings.
func (s *names) from(op *fsm.Operating, reports []memberReport) dns.View {
	view := dns.View{Serial: uint32(op.Index)}
	before := map[string][]netip.Addr{}
	for _, n := range s.view.Load().Nodes {
		before[n.Name] = n.Addrs
	}
	seen := map[netip.Addr]bool{}
	for i := range reports {
		r := &reports[i]
		n := dns.Node{Name: r.node, Addrs: r.DNS, Live: r.reachable && r.Ready}
		if r.reachable {
			s.zones[r.node] = r.zone
		} else {
			had := false
			if n.Addrs, had = before[r.node]; !had {
				n.Addrs = dialled(r.addr)
			}
		}
		view.Nodes = append(view.Nodes, n)
		if r.VIP == nil {
			continue
		}
		for _, ip := range r.VIP.ips() {
			if !seen[ip] {
				seen[ip] = true
				view.Virtual = append(view.Virtual, ip)
			}
		}
	}
	if op.Config == nil {
		return view
	}
	for _, l := range op.Config.Listeners {
		host, text, err := net.SplitHostPort(l.Address)
		port, perr := strconv.ParseUint(text, 10, 16)
		if err != nil || perr != nil {
			continue // the configuration has been validated: a port by name
		}
		if l.Protocol == "udp" {
			continue // the names are those of services over TCP (_tcp)
		}
		service := dns.Service{Name: l.Name, Protocol: l.Protocol, Port: uint16(port), Nodes: s.listening(l, reports)}
		if ip, err := netip.ParseAddr(host); err == nil && !ip.IsUnspecified() {
			service.Host = ip
		}
		view.Services = append(view.Services, service)
	}
	return view
}

// listening lists the nodes that have a listener, nil for all of them.
func (s *names) listening(l config.Listener, reports []memberReport) []string {
	if len(l.Zones) == 0 && len(l.Nodes) == 0 {
		return nil
	}
	list := append([]string{}, l.Nodes...) // not nil, also when no node has it
	for i := range reports {
		node := reports[i].node
		if zone := s.zones[node]; zone != "" && slices.Contains(l.Zones, zone) && !slices.Contains(list, node) {
			list = append(list, node)
		}
	}
	return list
}

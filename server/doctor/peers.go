package doctor

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/holdfast-lb/holdfast/raftnode"
)

const (
	// peerWait bounds the questions to one node.
	peerWait = 4 * time.Second
	// skewWarned and skewRefused are how far clocks may be apart before the group warns, and before a node is not let in.
	skewWarned, skewRefused = 250 * time.Millisecond, 2 * time.Second
)

// peer is another node: a member, or only an address of --join.
type peer struct {
	name, addr, id string // name and id are empty for an address
	info           raftnode.Info
	skew           time.Duration // its clock minus this one
	rtt            time.Duration
	asked          bool // with the node's keys; otherwise only its port was tried
	err            error
}

func (p *peer) String() string {
	if p.name == "" {
		return p.addr
	}
	return fmt.Sprintf("node %s at %s", p.name, p.addr)
}

// others lists the nodes that this one has to reach.
func (v *visit) others() (list []peer) {
	switch {
	case v.status != nil:
		for _, n := range v.status.Nodes {
			if !n.Self {
				list = append(list, peer{name: n.Name, addr: n.PeerAddr})
			}
		}
	case v.inspection != nil && len(v.inspection.Members) > 0:
		for _, m := range v.inspection.Members {
			if own, _ := v.Config.Advertised(); m.ID != v.inspection.ID || m.Addr != own {
				list = append(list, peer{name: m.Name, addr: m.Addr, id: m.ID})
			}
		}
	}
	if len(list) > 0 {
		return list
	}
	own, _ := v.Config.Advertised()
	for _, addr := range v.Config.Join {
		if addr != own && addr != v.Config.PeerAddr {
			list = append(list, peer{addr: addr})
		}
	}
	return list
}

// askPeers asks all of them at once.
func (v *visit) askPeers(ctx context.Context) {
	v.peers = v.others()
	ctx, cancel := context.WithTimeout(ctx, peerWait)
	defer cancel()
	var all sync.WaitGroup
	for i := range v.peers {
		all.Go(func() { v.askPeer(ctx, &v.peers[i]) })
	}
	all.Wait()
}

func (v *visit) askPeer(ctx context.Context, p *peer) {
	if v.keys == nil {
		var d net.Dialer
		c, err := d.DialContext(ctx, "tcp", p.addr)
		if p.err = err; err == nil {
			_ = c.Close()
		}
		return
	}
	p.asked = true
	var sent time.Time
	if p.info, sent, p.rtt, p.err = raftnode.AskPeer(ctx, v.keys, p.addr, p.name); p.err == nil {
		p.skew = p.info.Now.Sub(sent.Add(p.rtt / 2))
	}
}

// reachable looks whether the other nodes answer, and what that says about this one.
func (v *visit) reachable() {
	if len(v.peers) == 0 {
		v.find("net", "peers", OK, "", "this node knows no other one")
		return
	}
	member := v.status != nil || v.inspection != nil && v.inspection.State != nil
	for i := range v.peers {
		p := &v.peers[i]
		if v.inspection != nil && p.id != "" && p.id == v.inspection.ID { // this node itself, where the membership has it
			if p.err == nil && p.info.ID == p.id {
				v.find("net", "copy", Fault, "stop it there if it is to run here; otherwise "+joinAgain, "node %s runs at %s: this directory is a copy of that node's, and two processes with one vote could break the group", p.name, p.addr)
			}
			continue
		}
		switch {
		case p.err != nil && member:
			v.find("net", "peers", Fault, peerFix(p.err), "%s does not answer: %v", p, p.err)
		case p.err != nil:
			v.find("net", "peers", Warning, peerFix(p.err), "%s does not answer yet: %v", p, p.err)
		case !p.asked:
			v.find("net", "peers", OK, "", "something answers at %s (which node that is takes this node's keys)", p.addr)
		default:
			v.find("net", "peers", OK, "", "node %s at %s answers in %v, also in large packets: version %s, epoch %d", p.info.Name, p.addr, p.rtt.Round(10*time.Microsecond), p.info.Version, p.info.Epoch)
			v.together(p)
		}
	}
}

func peerFix(err error) string {
	text := err.Error()
	switch {
	case strings.Contains(text, "refused"):
		return "start the node there, or correct the address; a firewall may refuse, too"
	case strings.Contains(text, "no such host"):
		return "correct the name, or the DNS of this machine"
	case strings.Contains(text, "large ones"):
		return "look for a link with a smaller MTU on the way, and let ICMP 'fragmentation needed' through: ip link, tracepath"
	case strings.Contains(text, "this is node"), strings.Contains(text, "verify peer"), strings.Contains(text, "tls:"):
		return "another node, group or program answers at that address: correct it"
	}
	return "look at the network and the firewalls on the way: nodes need each other's peer ports (TCP)"
}

// together looks whether this node can be in one group with another one that answers.
func (v *visit) together(p *peer) {
	if text := raftnode.Apart(v.report.Node, v.Config.Version, p.info); text != "" {
		v.find("group", "version", Fault, "install the same version on all nodes, one after the other", "%s", text)
	} else if p.info.Version != v.Config.Version {
		v.find("group", "version", Warning, "install the same version on all nodes, one after the other", "node %s runs version %s, this program is %s", p.info.Name, p.info.Version, v.Config.Version)
	}
	if q := p.info.Quarantine; q != nil {
		v.find("group", "quarantine", Warning, "look at the log of that node", "node %s has taken itself out of service: %v", p.info.Name, q)
	}
	i := v.inspection
	if i == nil || i.State == nil {
		return
	}
	own := i.State.Group().Founded()
	inForce := i.State.Group().Epoch
	switch {
	case p.info.Epoch > own:
		v.find("group", "epoch", Fault, "keep the data directory, what is in it may be missing in the group; but "+joinAgain, "node %s is in epoch %d of the group, this disk in epoch %d: the group was begun again without it, and the node will not start", p.info.Name, max(p.info.Epoch, p.info.InForce), inForce)
	case p.info.Epoch > 0 && p.info.Epoch < own:
		v.find("group", "epoch", Warning, "it will hear so, and end; "+joinAgain, "node %s is still in epoch %d of the group, this disk in epoch %d", p.info.Name, max(p.info.Epoch, p.info.InForce), inForce)
	case len(p.info.Members) > 0 && p.info.MembersIndex > i.MembersIndex && !slices.Contains(p.info.Members, i.ID):
		v.find("group", "membership", Fault, joinAgain, "node %s says that the members are %s: this node was removed, or replaced, and will not start", p.info.Name, strings.Join(p.info.Members, ", "))
	}
}

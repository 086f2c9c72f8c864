package doctor

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-lb/holdfast/server"
	"github.com/holdfast-lb/holdfast/vip"
	"github.com/holdfast-lb/holdfast/vip/kernel"
)

// claimWait is how long whoever has a virtual address is waited for.
const claimWait = 1500 * time.Millisecond

// address looks at the virtual addresses: whether this node could hold them, and who has them now.
func (v *visit) address(ctx context.Context) {
	if len(v.Config.VIPs) == 0 {
		return
	}
	if missing := kernel.Missing(); len(missing) > 0 && !v.report.Running {
		v.find("address", "capabilities", Fault, "setcap cap_net_admin,cap_net_raw+ep on the program, or AmbientCapabilities=CAP_NET_ADMIN CAP_NET_RAW in its systemd unit, or --vip-hook",
			"this user lacks %s, without which a node cannot hold virtual addresses; asked as another user than the node's this says nothing about the node", strings.Join(missing, " and "))
	} else if len(missing) == 0 {
		v.find("address", "capabilities", OK, "", "this user may put addresses onto this machine")
	}
	own, err := ownAddresses()
	if err != nil {
		v.find("address", "interfaces", Skipped, "", "%v", err)
		return
	}
	var ask []vip.Address
	for _, text := range v.Config.VIPs {
		a, err := vip.ParseAddress(text)
		if err != nil {
			continue // said with the settings
		}
		if !v.link(a) {
			continue
		}
		if on := own[a.IP().String()]; on != "" {
			v.here(a, on)
		} else {
			ask = append(ask, a)
		}
	}
	v.claims(ctx, ask)
	if v.status == nil {
		return
	}
	for _, n := range v.status.Nodes {
		if n.VIP != nil && n.VIP.Conflict != "" {
			v.find("address", "conflict", Fault, "find that machine by its link-layer address, and take the address off it", "node %s reports: %s", n.Name, n.VIP.Conflict)
		}
	}
}

// link looks at the interface of an address.
func (v *visit) link(a vip.Address) bool {
	l, err := net.InterfaceByName(a.Interface)
	switch {
	case err != nil:
		v.find("address", "interfaces", Fault, "name one that is there: 'ip -br link' lists them", "%s: there is no interface %s here", a, a.Interface)
		return false
	case l.Flags&net.FlagUp == 0:
		v.find("address", "interfaces", Fault, "ip link set "+a.Interface+" up", "%s: interface %s is down", a, a.Interface)
		return false
	case l.Flags&net.FlagRunning == 0:
		v.find("address", "interfaces", Fault, "look at the cable, the switch port, or the bond", "%s: interface %s has no carrier", a, a.Interface)
		return false
	}
	if text := server.UnfitAddress(a); text != "" {
		v.find("address", "interfaces", Warning, "correct the address or the interface of --vip, unless a route makes up for it", "%s", text)
		return true
	}
	v.find("address", "interfaces", OK, "", "interface %s of %s is up", a.Interface, a)
	return true
}

// here is about an address that this machine has.
func (v *visit) here(a vip.Address, on string) {
	holds, prepared := false, false
	if v.status != nil {
		for _, n := range v.status.Nodes {
			if n.Self && n.VIP != nil {
				holds, prepared = n.VIP.Holds, n.VIP.Prepared
			}
		}
	}
	switch {
	case holds:
		v.find("address", "holder", OK, "", "%s is on this machine: this node holds it", a.IP())
	case prepared:
		v.find("address", "holder", OK, "", "%s is on this machine, silently: this node is about to take over from the holder", a.IP())
	case v.report.Running && v.status == nil:
		v.find("address", "holder", Skipped, "", "%s is on this machine; whether the node that runs holds it is not known, because it does not answer", a.IP())
	default:
		v.find("address", "conflict", Fault, fmt.Sprintf("ip addr del %s dev %s, and take it out of the network configuration of this machine", a.Prefix, on),
			"%s is on interface %s of this machine, and no node here holds it: two machines could answer for it", a.IP(), on)
	}
}

// claims asks the links who has the addresses that this machine has not got.
func (v *visit) claims(ctx context.Context, ask []vip.Address) {
	if len(ask) == 0 {
		return
	}
	claims, err := kernel.Ask(ctx, ask, claimWait, func(string, ...any) {})
	if err != nil {
		v.find("address", "conflict", Skipped, "", "who has the addresses could not be asked: %v", err)
		return
	}
	holder := v.holder()
	for _, a := range ask {
		i := slices.IndexFunc(claims, func(c vip.Claim) bool { return c.Address == a })
		switch {
		case i < 0 && holder != "":
			v.find("address", "holder", Warning, "look at 'holdfast status' and the log of node "+holder, "nobody on the link of %s answers for %s, which node %s is said to hold", a.Interface, a.IP(), holder)
		case i < 0:
			v.find("address", "conflict", OK, "", "nobody on the link of %s has %s", a.Interface, a.IP())
		case holder != "":
			v.find("address", "holder", OK, "", "%s is answered for by %s: that should be node %s, which holds it", a.IP(), claims[i].Hardware, holder)
		default:
			v.find("address", "conflict", Fault, "find that machine by its link-layer address ('ip neigh', the table of the switch), and take the address off it; or name another --vip",
				"%s has %s already, and no node of the group that answers holds it", claims[i].Hardware, a.IP())
		}
	}
}

// holder is the node that holds the addresses, as far as anybody says: the leader does.
func (v *visit) holder() string {
	if v.status != nil {
		if h := v.status.Holder; h != nil {
			return h.Node
		}
		return ""
	}
	for i := range v.peers {
		if p := &v.peers[i]; p.err == nil && p.info.Role == "leader" {
			return p.info.Name
		}
	}
	return ""
}

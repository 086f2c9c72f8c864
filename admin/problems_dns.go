package admin

import (
	"fmt"
	"strings"
	"time"

	"github.com/holdfast-lb/holdfast/admin/wire"
)

// wireDNS gives it in the API's words.
func wireDNS(z *DNSZone) *wire.DNSZone {
	if z == nil {
		return nil
	}
	return &wire.DNSZone{Zone: z.Name, TTLSeconds: int(z.TTL / time.Second)}
}

// dnsProblems says that the nodes that answer do not answer DNS for the same zone in the same way. The zone names all nodes as its servers, so one that answers for none is asked in vain.
func dnsProblems(nodes []wire.Node) (list []string) {
	var have, without []string
	var first *wire.DNSZone
	same := true
	for i := range nodes {
		n := &nodes[i]
		switch {
		case !n.Reachable:
		case n.DNS == nil:
			without = append(without, n.Name)
		default:
			have = append(have, fmt.Sprintf("%s %s (%d s)", n.Name, n.DNS.Zone, n.DNS.TTLSeconds))
			if first == nil {
				first = n.DNS
			}
			same = same && *n.DNS == *first
		}
	}
	if !same {
		list = append(list, "nodes answer DNS differently: "+strings.Join(have, ", ")+": give all of them the same --dns-zone and --dns-ttl")
	}
	if len(have) > 0 && len(without) > 0 {
		list = append(list, fmt.Sprintf("node %s was started without --dns-zone, and the zone names it as one of its servers: %s", strings.Join(without, ", "), strings.Join(have, ", ")))
	}
	return list
}

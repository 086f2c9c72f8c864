package admin

import (
	"fmt"
	"net"
	"strings"

	"github.com/holdfast-lb/holdfast/admin/wire"
)

// votes says what makes the group weaker than its number of nodes promises: an even number of votes, and nodes that fail together.
func votes(nodes []wire.Node) (list []string) {
	voters, hosts := 0, map[string][]string{}
	var order []string
	for i := range nodes {
		n := &nodes[i]
		if !n.Voter {
			continue
		}
		voters++
		host, _, err := net.SplitHostPort(n.PeerAddr)
		if ip := net.ParseIP(host); err != nil || ip != nil && ip.IsLoopback() { // a trial on one machine says so itself
			continue
		}
		if hosts[host] == nil {
			order = append(order, host)
		}
		hosts[host] = append(hosts[host], n.Name)
	}
	if voters > 0 && voters%2 == 0 {
		spare := "survives the loss of no node, as one node alone"
		if voters > 2 {
			spare = fmt.Sprintf("survives the loss of no more than %d, as with %d", (voters-1)/2, voters-1)
		}
		list = append(list, fmt.Sprintf("%d nodes have a vote: an even number, which %s; let one more join, or have one run with --read-only", voters, spare))
	}
	for _, host := range order {
		if names := hosts[host]; len(names) > 1 {
			list = append(list, fmt.Sprintf("nodes %s share the host %s, and fail with it: run nodes with a vote on hosts of their own", strings.Join(names, ", "), host))
		}
	}
	return list
}

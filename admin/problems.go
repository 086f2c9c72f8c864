package admin

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

// maxSkew is the clock difference from which on an operator should hear of it: logs of two nodes can no longer be read
// side by side. Holdfast itself does not mind, its deadlines are replicated time.
const maxSkew = 250 * time.Millisecond

// leadingNode is another node that answers, and leads; empty without one. A node that loses its majority leads for no longer than its lease.
func leadingNode(s *wire.Status) string {
	for i := range s.Nodes {
		if n := &s.Nodes[i]; n.Reachable && n.Name != s.Node && n.Role == "leader" {
			return n.Name
		}
	}
	return ""
}

// problems says in words what is wrong, the most urgent first.
func problems(s *wire.Status) []string {
	list := []string{}
	add := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }
	switch full := withoutRoom(s); {
	case full != "" && s.Leader != "":
		add("no room: %s: known sessions are served, nothing can be recorded or changed until most nodes with a vote have room again; free some below their data directories, and they go on by themselves", full)
	case s.Group.Epoch == 0 && len(s.Nodes) == 0: // group and members are known from the first entry on
		add("node %s is in no group yet: it serves nothing, and /readyz and its log say what it waits for", s.Node)
	case (!s.Quorum || s.Leader == "") && leadingNode(s) != "":
		add("node %s, which was asked, hears no leader, but node %s leads: what follows may be old, and changes through this node have to wait; ask another node (--admin)", s.Node, leadingNode(s))
	case !s.Quorum || s.Leader == "":
		add("no quorum: known sessions are served, nothing can be recorded or changed until a majority of the nodes is back")
	}
	list = append(list, holderProblems(s)...)
	list = append(list, dnsProblems(s.Nodes)...)
	if l := s.Maintenance; l != nil {
		add("the maintenance lock is on, by %s since %s%s: nobody else changes the configuration (%s)", l.Owner, l.Since.UTC().Format(time.RFC3339), untilOf(l.Until), cmp.Or(l.Reason, "no reason given"))
	}
	list = append(list, evacuationProblems(s)...)
	for i := range s.Workflows {
		if text := halted(&s.Workflows[i]); text != "" {
			add("%s", text)
		}
	}
	for _, n := range s.Nodes {
		if n.Disk != "" && (n.Quarantine == nil || n.Quarantine.Cause != causeDiskFull) {
			add("node %s: %s", n.Name, n.Disk)
		}
		switch {
		case n.Quarantine != nil:
			add("node %s is in quarantine (%s) since %s: %s%s", n.Name, n.Quarantine.Cause, n.Quarantine.Since.UTC().Format(time.RFC3339), n.Quarantine.Text, differing(n.Quarantine.Difference))
		case n.HashState == wire.HashDiffers:
			add("node %s has another state than the leader (log index %d): 'holdfast node resync %s' gives it a new copy", n.Name, n.HashIndex, n.Name)
		}
	}
	list = append(list, mixedPrograms(s.Nodes, s.Group.Schema)...)
	list = append(list, mixedTimings(s.Nodes)...)
	list = append(list, votes(s.Nodes)...)
	for _, n := range s.Nodes {
		switch {
		case !n.Reachable:
			add("node %s does not answer: %s", n.Name, cmp.Or(n.Error, "unknown"))
		case n.Quarantine != nil: // said above
		case !n.Ready:
			add("node %s is not ready: %s", n.Name, cmp.Or(n.Reason, "unknown"))
		case n.Revision > s.Revision.Number: // see ahead
		case n.Revision != s.Revision.Number:
			add("node %s serves revision %d of the configuration, node %s knows of %d: it is behind; if it stays so look at its log", n.Name, n.Revision, s.Node, s.Revision.Number)
		}
	}
	if text := ahead(s); text != "" {
		add("%s", text)
	}
	for _, c := range s.Clusters {
		down := 0
		for _, i := range c.Instances {
			switch {
			case i.Health == wire.HealthDown:
				down++
				if i.Admin == wire.AdminStopped {
					continue // somebody has stopped it, and means it
				}
				add("instance %s of cluster %s is down: %s", i.Name, c.Name, cmp.Or(i.Nodes[0].Reason, "unknown"))
			case i.Health == wire.HealthPartial:
				add("instance %s of cluster %s is not available everywhere: %s", i.Name, c.Name, whereDown(i))
			}
		}
		if down > 0 && down == len(c.Instances) {
			add("cluster %s has no available instance", c.Name)
		}
		if enabled := slices.ContainsFunc(c.Instances, func(i wire.Instance) bool { return i.Admin == wire.AdminEnabled }); !enabled && len(c.Instances) > 0 && !workedAt(s, c.Name) {
			add("cluster %s has no enabled instance; 'holdfast cluster start %s' enables them", c.Name, c.Name)
		}
	}
	for _, d := range s.Duties {
		if d.Failing() {
			add("the duty %s of the leader fails on node %s: %s; it is tried again", d.Duty, d.Node, d.Error)
		}
	}
	for _, n := range s.Nodes {
		if skew := time.Duration(n.ClockSkewMillis) * time.Millisecond; skew.Abs() > maxSkew {
			add("the clock of node %s is %v off that of node %s", n.Name, skew, s.Node)
		}
	}
	return list
}

// ahead says that the node that answers is behind others, unless it is known why; empty when it is not.
func ahead(s *wire.Status) string {
	var names []string
	newest := uint64(0)
	for i := range s.Nodes {
		switch n := &s.Nodes[i]; {
		case n.Self && n.Quarantine != nil:
			return ""
		case n.Reachable && n.Revision > s.Revision.Number:
			names, newest = append(names, n.Name), max(newest, n.Revision)
		}
	}
	if len(names) == 0 {
		return ""
	}
	return fmt.Sprintf("node %s, which answers, is behind: it knows of revision %d of the configuration, and revision %d is served by %s; ask another node, and if it stays so look at its log", s.Node, s.Revision.Number, newest, strings.Join(names, ", "))
}

// withoutRoom says that the disks of so many nodes with a vote are full that no majority can write; empty when they are not.
func withoutRoom(s *wire.Status) string {
	var full []string
	voters := 0
	for i := range s.Nodes {
		n := &s.Nodes[i]
		if n.Voter {
			voters++
		}
		if n.Voter && n.NoRoom {
			full = append(full, n.Name)
		}
	}
	if len(full) == 0 || voters-len(full) > voters/2 {
		return ""
	}
	if len(full) == 1 {
		return "the disk of node " + full[0] + " is full"
	}
	return "the disks of nodes " + strings.Join(full, ", ") + " are full"
}

// differing says what differs, where that is known.
func differing(what string) string {
	if what == "" {
		return ""
	}
	return ". What differs first: " + what
}

// mixedPrograms says that the nodes that answer do not run the same program: UCD-01, TIP-29.
func mixedPrograms(nodes []wire.Node, inForce int) (list []string) {
	var versions, schemas []string
	first, sameVersion, sameSchema := (*wire.Node)(nil), true, true
	for i := range nodes {
		n := &nodes[i]
		if !n.Reachable {
			continue
		}
		first = cmp.Or(first, n)
		sameVersion = sameVersion && n.Version == first.Version
		sameSchema = sameSchema && n.Schema == first.Schema
		versions = append(versions, n.Name+" "+cmp.Or(n.Version, "unknown"))
		schemas = append(schemas, fmt.Sprintf("%s %d", n.Name, n.Schema))
	}
	if !sameSchema {
		list = append(list, "nodes run programs with different schemas of the state: "+strings.Join(schemas, ", ")+fmt.Sprintf("; the group has schema %d, and raises it once all of its nodes know a later one: install the same version on all of them", inForce))
	}
	if !sameVersion {
		list = append(list, "nodes run different versions: "+strings.Join(versions, ", "))
	}
	return list
}

// mixedTimings says that the nodes that answer do not run the same profile.
func mixedTimings(nodes []wire.Node) []string {
	var timings []string
	first, same := "", true
	for i := range nodes {
		if n := &nodes[i]; n.Timing != "" {
			first = cmp.Or(first, n.Timing)
			same = same && n.Timing == first
			timings = append(timings, n.Name+" "+n.Timing)
		}
	}
	if same {
		return nil
	}
	return []string{"nodes run different timing profiles: " + strings.Join(timings, ", ") + "; a node with a longer one than most others holds no virtual address: give all nodes the same --timing"}
}

// mixedVersions names the clusters whose sessions may fail over from one version to another (SUN-73).
func mixedVersions(c *config.Config) (list []string) {
	for i := range c.Clusters {
		k := &c.Clusters[i]
		if versions := k.MixedVersions(); len(versions) > 0 && !k.FailoverSameVersion {
			list = append(list, fmt.Sprintf("enabled instances of cluster %s have versions %s: sessions may fail over from one to another; give them one version, or set failoverSameVersion", k.Name, strings.Join(versions, ", ")))
		}
	}
	return list
}

// whereDown lists the nodes for which an instance is not fully available, with their reasons.
func whereDown(i wire.Instance) string {
	var list []string
	for _, n := range i.Nodes {
		if n.Health != wire.HealthUp {
			list = append(list, n.Node+": "+cmp.Or(n.Reason, n.Health))
		}
	}
	return strings.Join(list, "; ")
}

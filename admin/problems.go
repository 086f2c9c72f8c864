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
const maxSkew = 500 * time.Millisecond

// problems says in words what is wrong, the most urgent first.
func problems(s *wire.Status) []string {
	list := []string{}
	add := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }
	if !s.Quorum || s.Leader == "" {
		add("no quorum: known sessions are served, nothing can be recorded or changed until a majority of the nodes is back")
	}
	if l := s.Maintenance; l != nil {
		add("the maintenance lock is on, by %s since %s%s: nobody else changes the configuration (%s)", l.Owner, l.Since.UTC().Format(time.RFC3339), untilOf(l.Until), cmp.Or(l.Reason, "no reason given"))
	}
	for i := range s.Workflows {
		if text := halted(&s.Workflows[i]); text != "" {
			add("%s", text)
		}
	}
	for _, n := range s.Nodes {
		if n.HashState == wire.HashDiffers {
			add("node %s has another state than the leader (log index %d): stop it, and let it join again with an empty data directory", n.Name, n.HashIndex)
		}
	}
	list = append(list, mixedPrograms(s.Nodes)...)
	for _, n := range s.Nodes {
		switch {
		case !n.Reachable:
			add("node %s does not answer: %s", n.Name, cmp.Or(n.Error, "unknown"))
		case !n.Ready:
			add("node %s is not ready: %s", n.Name, cmp.Or(n.Reason, "unknown"))
		case n.Revision != s.Revision.Number:
			add("node %s serves revision %d of the configuration, node %s knows of %d: it is behind; if it stays so look at its log", n.Name, n.Revision, s.Node, s.Revision.Number)
		}
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

// mixedPrograms says that the nodes that answer do not run the same program: UCD-01, TIP-29.
func mixedPrograms(nodes []wire.Node) (list []string) {
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
		list = append(list, "nodes run programs with different schemas of the state: "+strings.Join(schemas, ", ")+": install the same version on all of them")
	}
	if !sameVersion {
		list = append(list, "nodes run different versions: "+strings.Join(versions, ", "))
	}
	return list
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

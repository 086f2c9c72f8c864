package fsm

import (
	"maps"
	"sync/atomic"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// maxInstances bounds the instance ids that a group can ever give out.
const maxInstances = 1 << 20

// names is the intern table: an id for each (cluster, instance) pair that was ever configured, in the order in which they
// appeared, kept for ever. A value is immutable but for the counts.
type names struct {
	refs   []InstanceRef // by id-1
	ids    map[InstanceRef]InstanceID
	limits idleLimits
	// rooms are how many sessions each instance may have, by id-1; 0: no bound.
	rooms []int64
	// counts are the sessions of each instance, by id-1. Written by the writer alone.
	counts []atomic.Int64
}

func (n *names) known(id InstanceID) bool { return id != 0 && uint64(id) <= uint64(len(n.refs)) }

// full tells whether an instance, whose id is known, has as many sessions as it may have.
func (n *names) full(id InstanceID) bool {
	room := n.rooms[id-1]
	return room > 0 && n.counts[id-1].Load() >= room
}

// sessions is the number of assignments of an instance; 0 for an id that was never given out.
func (n *names) sessions(id InstanceID) int {
	if !n.known(id) {
		return 0
	}
	return int(n.counts[id-1].Load())
}

func (n *names) count(id InstanceID, by int64) { n.counts[id-1].Add(by) }

// fresh lists the pairs of c that have no id yet, in the order of the configuration.
func (n *names) fresh(c *config.Config) []InstanceRef {
	var out []InstanceRef
	var seen map[InstanceRef]bool
	for i := range c.Clusters {
		for j := range c.Clusters[i].Instances {
			ref := InstanceRef{c.Clusters[i].Name, c.Clusters[i].Instances[j].Name}
			if n.ids[ref] != 0 || seen[ref] {
				continue
			}
			if seen == nil {
				seen = make(map[InstanceRef]bool)
			}
			seen[ref] = true
			out = append(out, ref)
		}
	}
	return out
}

// with returns n with ids for more, none of which has one yet, and with the limits of c.
func (n *names) with(more []InstanceRef, c *config.Config) *names {
	out := &names{refs: n.refs, ids: n.ids, counts: n.counts}
	if len(more) > 0 {
		// A new backing array always: readers hold the old value.
		out.refs = append(n.refs[:len(n.refs):len(n.refs)], more...)
		out.ids = maps.Clone(n.ids)
		if out.ids == nil {
			out.ids = make(map[InstanceRef]InstanceID, len(more))
		}
		for i, ref := range more {
			out.ids[ref] = InstanceID(len(n.refs) + i + 1)
		}
		out.counts = make([]atomic.Int64, len(out.refs))
		for i := range n.counts {
			out.counts[i].Store(n.counts[i].Load())
		}
	}
	out.limits = idleLimitsOf(out, c)
	out.rooms = roomsOf(out, c)
	return out
}

// roomsOf gives the maxSessions of each instance. One that is configured no more has no bound: nobody sends it sessions.
func roomsOf(n *names, c *config.Config) []int64 {
	out := make([]int64, len(n.refs))
	for i := range c.Clusters {
		for j := range c.Clusters[i].Instances {
			in := &c.Clusters[i].Instances[j]
			out[n.ids[InstanceRef{c.Clusters[i].Name, in.Name}]-1] = max(0, int64(in.MaxSessions))
		}
	}
	return out
}

// appendName is the canonical form of an intern table entry.
func appendName(b []byte, id InstanceID, ref InstanceRef) []byte {
	b = appendU32(b, uint32(id))
	b = appendBytes(b, ref.Cluster)
	return appendBytes(b, ref.Instance)
}

func parseName(b []byte) (id InstanceID, ref InstanceRef, ok bool) {
	p := parser{b: b}
	id = InstanceID(p.u32())
	ref = InstanceRef{Cluster: p.string(), Instance: p.string()}
	return id, ref, p.done()
}

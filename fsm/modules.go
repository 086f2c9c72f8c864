package fsm

import (
	"maps"
	"math"
	"sync/atomic"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// maxModules bounds the module ids that a group can ever give out.
const maxModules = math.MaxUint16

// modules is the intern table of modules, made like names: ids in the order in which the modules appeared, kept for ever. A value is
// immutable but for the counts. A ConfigSet of an older version gives out none, as it did not there: the next ConfigChange does.
type modules struct {
	refs []ModuleRef // by id-1
	ids  map[ModuleRef]ModuleID
	// counts are the sessions of each module, by id-1. Written by the writer alone.
	counts []atomic.Int64
}

func (m *modules) known(id ModuleID) bool { return id != 0 && int(id) <= len(m.refs) }

// given is id when it was given out, else 0.
func (m *modules) given(id ModuleID) ModuleID {
	if !m.known(id) {
		return 0
	}
	return id
}

// count takes 0 for a session whose module is not known.
func (m *modules) count(id ModuleID, by int64) {
	if id != 0 {
		m.counts[id-1].Add(by)
	}
}

// fresh lists the modules of c that have no id yet, in the order of the configuration.
func (m *modules) fresh(c *config.Config) []ModuleRef {
	var out []ModuleRef
	seen := map[ModuleRef]bool{}
	for i := range c.Clusters {
		for j := range c.Clusters[i].Modules {
			ref := ModuleRef{c.Clusters[i].Name, c.Clusters[i].Modules[j].Host, c.Clusters[i].Modules[j].ContextRoot}
			if m.ids[ref] == 0 && !seen[ref] {
				seen[ref] = true
				out = append(out, ref)
			}
		}
	}
	return out
}

// with returns m with ids for more, none of which has one yet.
func (m *modules) with(more []ModuleRef) *modules {
	if len(more) == 0 {
		return m
	}
	out := &modules{ids: maps.Clone(m.ids)}
	if out.ids == nil {
		out.ids = make(map[ModuleRef]ModuleID, len(more))
	}
	// A new backing array always: readers hold the old value.
	out.refs = append(m.refs[:len(m.refs):len(m.refs)], more...)
	for i, ref := range more {
		out.ids[ref] = ModuleID(len(m.refs) + i + 1)
	}
	out.counts = make([]atomic.Int64, len(out.refs))
	for i := range m.counts {
		out.counts[i].Store(m.counts[i].Load())
	}
	return out
}

// sessions is the number of assignments of a module; 0 for an id that was never given out.
func (m *modules) sessions(id ModuleID) int {
	if !m.known(id) {
		return 0
	}
	return int(m.counts[id-1].Load())
}

// ModuleID is the id of a module that is or was configured.
func (s *State) ModuleID(cluster, host, contextRoot string) (ModuleID, bool) {
	id, ok := s.cur.Load().modules.Load().ids[ModuleRef{cluster, host, contextRoot}]
	return id, ok
}

// ModuleRef names the module of an id, also of one that is configured no more.
func (s *State) ModuleRef(id ModuleID) (ModuleRef, bool) {
	m := s.cur.Load().modules.Load()
	if !m.known(id) {
		return ModuleRef{}, false
	}
	return m.refs[id-1], true
}

// ModuleSessions is the number of assignments of a module; 0 for an id that was never given out.
func (s *State) ModuleSessions(id ModuleID) int { return s.cur.Load().modules.Load().sessions(id) }

// appendModule is the canonical form of an entry of the modules' intern table.
func appendModule(b []byte, id ModuleID, ref ModuleRef) []byte {
	b = appendU32(b, uint32(id))
	b = appendBytes(b, ref.Cluster)
	b = appendBytes(b, ref.Host)
	return appendBytes(b, ref.ContextRoot)
}

func parseModule(b []byte) (id uint32, ref ModuleRef, ok bool) {
	p := parser{b: b}
	id = p.u32()
	ref = ModuleRef{Cluster: p.string(), Host: p.string(), ContextRoot: p.string()}
	return id, ref, p.done()
}

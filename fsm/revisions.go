package fsm

import (
	"fmt"
	"time"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// MaxRevisions is how many configurations the history keeps, the current one included.
const MaxRevisions = 100

// maxHistoryBytes bounds the encoded configurations of the history together; the oldest go first, the current one stays.
const maxHistoryBytes = 64 << 20

// history is the configuration with those before it, oldest first. A value is immutable.
type history struct {
	revisions []*Revision
	bytes     int
}

// revisionZero is what there is before the first ConfigSet.
var revisionZero = &Revision{Config: config.Empty()}

func (h *history) current() *Revision {
	if len(h.revisions) == 0 {
		return revisionZero
	}
	return h.revisions[len(h.revisions)-1]
}

// with returns h with rev as the current revision, and what has to be forgotten for it.
func (h *history) with(rev *Revision) (next *history, forgotten []*Revision) {
	all := append(h.revisions[:len(h.revisions):len(h.revisions)], rev)
	bytes := h.bytes + len(rev.raw)
	drop := 0
	for len(all)-drop > 1 && (len(all)-drop > MaxRevisions || bytes > maxHistoryBytes) {
		bytes -= len(all[drop].raw)
		drop++
	}
	return &history{revisions: all[drop:], bytes: bytes}, all[:drop]
}

// parseConfig returns nil without an error when there is no configuration. Unknown fields are ignored (doc.go), and keys that an
// older version did not write have their defaults.
func parseConfig(raw []byte) (*config.Config, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return nil, nil
	}
	return config.Load(raw)
}

// millis is a replicated time as a time.Time; zero stays zero.
func millis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// appendRevision is the canonical form of a revision. The configuration is the JSON that was proposed, byte for byte.
func appendRevision(b []byte, r *Revision) []byte {
	b = appendU64(b, r.Number)
	b = appendU64(b, r.Index)
	b = appendTime(b, r.Time)
	b = appendBytes(b, r.Actor)
	b = appendBytes(b, r.Message)
	return appendBytes(b, r.raw)
}

func parseRevision(b []byte) (*Revision, error) {
	p := parser{b: b}
	r := &Revision{Number: p.u64(), Index: p.u64(), Time: p.time(), Actor: p.string(), Message: p.string(), raw: p.bytes()}
	if !p.done() {
		return nil, fmt.Errorf("revision: wrong length")
	}
	var err error
	if r.Config, err = parseConfig(r.raw); err != nil {
		return nil, fmt.Errorf("revision %d: %w", r.Number, err)
	}
	if r.Config == nil {
		return nil, fmt.Errorf("revision %d: no configuration", r.Number)
	}
	return r, nil
}

package raftnode

import (
	"testing"

	"github.com/hashicorp/raft"
)

// FuzzMemberWords: what another node says about removals and epochs is taken or refused; it neither panics nor puts a node out of its group that is meant by none of it.
func FuzzMemberWords(f *testing.F) {
	for _, seed := range []string{"", "{}", `{"id":"n1/x","by":"n2"}`, `{"epoch":4294967295}`, `{"epoch":1e9}`, `[[[[`, `{"id":null}`, "\x00\xff"} {
		f.Add([]byte(seed))
	}
	n := &Node{}
	id := raft.ServerID("n1/01234567")
	n.id.Store(&id)
	f.Fuzz(func(t *testing.T, b []byte) {
		if p, err := decodeJSON[parting](b); err == nil && p.ID == id {
			return // it is meant
		}
		if _, err := n.handleRemoved(t.Context(), caller{"n2", "n2/01234567"}, b); err == nil {
			t.Errorf("taken: %q", b)
		}
		if w, err := decodeJSON[epochWord](b); err == nil && len(encodeJSON(w)) > 64 {
			t.Errorf("%q: %+v", b, w)
		}
		if c, err := decodeConfiguration(b); err == nil && len(c.Servers) > len(b) {
			t.Errorf("%q: %d members", b, len(c.Servers))
		}
	})
}

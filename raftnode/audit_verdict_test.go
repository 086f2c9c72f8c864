package raftnode

import (
	"fmt"
	"testing"

	"github.com/hashicorp/raft"

	"github.com/holdfast-lb/holdfast/fsm"
)

// TestVerdict: who is right at a checkpoint. In the votes a letter is a digest, a dash a voter that says nothing; the first is this node, and the leader is named by its place.
func TestVerdict(t *testing.T) {
	for _, tc := range []struct {
		votes  string // of the voters; a lower-case first letter: this node does not count, or has no vote
		leader int    // place in votes; -1: none is known
		log    bool   // the log says that the leader's digest was another one at the checkpoint before
		want   auditVerdict
	}{
		{"aaa", 0, false, verdictEqual}, {"aaa", 1, false, verdictEqual}, {"aa-", 2, false, verdictEqual}, {"aab", 1, true, verdictEqual},
		{"abb", 0, false, verdictDiverged}, {"abb", 1, false, verdictDiverged}, {"abb", -1, false, verdictDiverged},
		{"abbcc", 1, false, verdictDiffers}, {"abbb-", 4, false, verdictDiverged}, {"aabbb", 0, false, verdictDiverged}, {"aabb-", 0, false, verdictOpen},
		{"ab-", 1, false, verdictDiffers}, {"ab-", 0, false, verdictOpen}, {"ab-", 2, false, verdictOpen}, {"ab-", 2, true, verdictDiffers},
		{"abc", 0, false, verdictOpen}, {"abc", 1, false, verdictDiffers},
		{"ab", 1, false, verdictDiffers}, {"ab", 0, false, verdictOpen}, {"aa", 1, false, verdictEqual}, {"a-", 1, false, verdictOpen}, {"a-", 1, true, verdictDiffers},
		{"a", 0, false, verdictEqual},
		{"---", 1, false, verdictOpen}, {"a--", 1, false, verdictOpen},
	} {
		t.Run(fmt.Sprintf("%s leader %d log %v", tc.votes, tc.leader, tc.log), func(t *testing.T) {
			digest := func(c byte) fsm.Digest { return fsm.Digest{c} }
			b := ballot{voters: len(tc.votes), counts: tc.votes[0] != '-', leads: tc.leader == 0, point: fsm.CheckpointRecord{Index: 9, Digest: digest(tc.votes[0])}}
			if tc.log {
				b.point.Diverged = 8
			}
			if tc.leader >= 0 {
				b.leader = raft.ServerID(fmt.Sprint(tc.leader))
			}
			for i := 1; i < len(tc.votes); i++ {
				s := raft.Server{ID: raft.ServerID(fmt.Sprint(i))}
				b.answers = append(b.answers, ballotAnswer{server: s, id: s.ID, digest: digest(tc.votes[i]), known: tc.votes[i] != '-', counts: true})
			}
			if got := b.verdict(); got != tc.want {
				t.Errorf("%s, want %s", got, tc.want)
			}
		})
	}
}

// A node without a vote, or one that has found itself wrong, is judged by the others alone.
func TestVerdictOfOneThatDoesNotCount(t *testing.T) {
	b := ballot{voters: 3, point: fsm.CheckpointRecord{Digest: fsm.Digest{1}}}
	for i, d := range []byte{1, 2} {
		s := raft.Server{ID: raft.ServerID(fmt.Sprint("n", i))}
		b.answers = append(b.answers, ballotAnswer{server: s, id: s.ID, digest: fsm.Digest{d}, known: true, counts: true})
	}
	if v := b.verdict(); v != verdictOpen {
		t.Errorf("one for and one against: %s", v)
	}
	s := raft.Server{ID: "n2"}
	b.answers = append(b.answers, ballotAnswer{server: s, id: s.ID, digest: fsm.Digest{2}, known: true, counts: true})
	if v := b.verdict(); v != verdictDiverged {
		t.Errorf("one for and two against: %s", v)
	}
	b.answers[2].counts = false
	if v := b.verdict(); v != verdictOpen {
		t.Errorf("two against, of which one does not count: %s", v)
	}
	b.answers[2].counts = true
	if _, having, _ := b.majority(); serverNames(having) != "n1, n2" {
		t.Errorf("the majority is %v", having)
	}
}

package raftnode

import (
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// absences are the peers whose heartbeats fail.
//
// raft 1.8.0 counts the entries that it could not send to a follower, and waits longer from each to the next, in the end 10 s (replication.go: replicateTo), which nothing can cut short. Its heartbeats never
// wait for more than half a time-out. So a follower that had been away for 10 s heard its leader at once when it came back, and got no entry for seconds. Here a message of entries that has failed is not
// answered before the peer's heartbeats succeed again: raft counts one failure for a whole absence, and sends at once when it is over.
type absences struct {
	mu   sync.Mutex
	away map[raft.ServerID]time.Time // since when
	// back is signalled when one is over, and when all who wait must look again.
	back broadcast
	// released is until when nobody waits, see release.
	released time.Time
}

// releaseFor is for how long a hand-over keeps everybody from waiting: longer than raft's own waits, a few times.
const releaseFor = 2 * time.Minute

// beat notes how a heartbeat to a peer has ended.
func (a *absences) beat(id raft.ServerID, ok bool) {
	a.mu.Lock()
	_, away := a.away[id]
	switch {
	case ok:
		delete(a.away, id)
	case a.away == nil:
		a.away = map[raft.ServerID]time.Time{id: time.Now()}
	case !away:
		a.away[id] = time.Now()
	}
	a.mu.Unlock()
	if ok && away {
		a.back.signal()
	}
}

// waits tells whether a message to a peer is to wait now.
func (a *absences) waits(id raft.ServerID) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	_, away := a.away[id]
	return away && time.Since(a.released) >= 0
}

// gone tells whether a peer has been away for so long.
func (a *absences) gone(id raft.ServerID, least time.Duration) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	since, away := a.away[id]
	return away && time.Since(since) >= least
}

// release lets all go, and keeps them from waiting for a while: a hand-over asks the goroutine that sends entries to a follower, and while that is not heard nothing is committed.
func (a *absences) release() {
	a.mu.Lock()
	a.released = time.Now().Add(releaseFor)
	a.mu.Unlock()
	a.back.signal()
}

// forget is for the end of a term, which nothing is left of: in the next one nobody is away before a heartbeat has failed.
func (a *absences) forget() {
	a.mu.Lock()
	a.away, a.released = nil, time.Time{}
	a.mu.Unlock()
	a.back.signal()
}

// awaitPeer returns when the peer is not away any more, is no peer any more, or this node does not lead in that term any more.
func (t *peerTransport) awaitPeer(id raft.ServerID, target raft.ServerAddress, term uint64) {
	for {
		back := t.absent.back.wait()
		if !t.absent.waits(id) || !t.sends(id, target, term) {
			return
		}
		select {
		case <-back:
		case <-time.After(t.timing.election): // nothing tells of a peer that was removed
		}
	}
}

// sends tells whether raft still has something to send to that peer, at that address and in that term.
func (t *peerTransport) sends(id raft.ServerID, target raft.ServerAddress, term uint64) bool {
	r := t.raft()
	if r == nil || r.State() != raft.Leader || r.CurrentTerm() != term || t.isMute(term) {
		return false
	}
	s, member := memberByID(r.GetConfiguration().Configuration(), id)
	return member && s.Address == target
}

// isHeartbeat is raft's own test (net_transport.go).
func isHeartbeat(m *raft.AppendEntriesRequest) bool {
	return m.Term != 0 && m.PrevLogEntry == 0 && m.PrevLogTerm == 0 && len(m.Entries) == 0 && m.LeaderCommitIndex == 0
}

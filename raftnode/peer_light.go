package raftnode

import "github.com/hashicorp/raft"

// maxMessage is how many bytes of entries one message may have, unless it has one entry alone. A message has a fixed time (timing.rpc), and raft puts maxAppendEntries of entries into one,
// whatever they have: with large values a follower that has something to catch up would get the same message again and again, and never in time.
const maxMessage = 1 << 20

// lighten leaves entries out at the end. Raft goes on behind the last one that is in the message when it comes back: it looks there, and not at what it wanted to send.
func lighten(m *raft.AppendEntriesRequest) {
	size := 0
	for i, e := range m.Entries {
		if size += len(e.Data); i > 0 && size > maxMessage {
			m.Entries = m.Entries[:i]
			return
		}
	}
}

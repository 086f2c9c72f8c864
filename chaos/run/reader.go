package run

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/holdfast-lb/holdfast/admin/client"
	"github.com/holdfast-lb/holdfast/chaos/group"
	"github.com/holdfast-lb/holdfast/chaos/load"
)

const (
	// readEvery is how often the reader asks, about: every other time for a session, else for the configuration or how far the group is.
	readEvery = 100 * time.Millisecond
	// readTime bounds one question.
	readTime = 2 * time.Second
	// reader is its number in the history, beyond those of all clients.
	reader = 1 << 20
)

// read asks drawn nodes, again and again until ctx ends, for the newest state: where a session is that a client was told of, and which configuration is current. The histories hold each answer against what was
// told before, through whichever node. A node that cannot know the newest state must not answer, and that says nothing.
func (t *traffic) read(ctx context.Context) {
	random := rand.New(rand.NewPCG(t.p.Seed, 4))
	for pause(ctx, time.Duration(float64(readEvery)*(0.5+random.Float64()))) == nil {
		draw := random.Uint64()
		n := t.p.stage.Group.Nodes[random.IntN(len(t.p.stage.Group.Nodes))]
		if !n.Alive() {
			continue
		}
		limited, cancel := context.WithTimeout(ctx, readTime)
		if draw%4 == 0 {
			t.readConfiguration(limited, n.Client)
		} else if draw%4 == 2 {
			t.readStatus(limited, n)
		} else if s := t.borrow(draw); s != nil {
			sent := time.Now()
			instance, recorded, err := n.Newest(limited, s)
			if err == nil && recorded && t.p.load.Ledger.Settled(s.Entry) {
				t.p.evidence.History.Looked(s.Entry.Number, reader, sent, time.Now(), instance)
				t.looked.Add(1)
			}
			t.giveBack(s)
		}
		cancel()
	}
}

// readConfiguration reads the current revision, and tells its contents apart.
func (t *traffic) readConfiguration(ctx context.Context, c *client.Client) {
	sent := time.Now()
	got, err := c.Config(ctx, client.JSON)
	if err != nil {
		return
	}
	sum := sha256.Sum256(got.Data)
	t.p.evidence.History.ReadRevision(reader, sent, time.Now(), got.Revision, hex.EncodeToString(sum[:8]))
	t.p.evidence.Watch.Read("a reader", 0, 0, got.Revision)
	t.readings.Add(1)
}

// readStatus reads how far the group is. Indexes of two epochs are not of one log, and a node's term may be ahead of the group's as long as it stands for election: each is held against its own.
func (t *traffic) readStatus(ctx context.Context, n *group.Node) {
	got, err := n.Client.Status(ctx)
	if err != nil || got.Consistency != linearizable {
		return
	}
	t.p.evidence.Watch.Read(fmt.Sprintf("a reader, in epoch %d,", got.Group.Epoch), got.Applied, 0, got.Revision.Number)
	t.p.evidence.Watch.Read("a reader of node "+n.Name, 0, got.Term, 0)
	t.positions.Add(1)
}

// linearizable is how an answer is marked that is the newest state.
const linearizable = "linearizable"

// borrow takes a session that nobody uses and whose client was told nothing else than at first; nil: there is none just now.
func (t *traffic) borrow(draw uint64) *load.Session {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.idle) == 0 {
		return nil
	}
	i, last := int(draw%uint64(len(t.idle))), len(t.idle)-1
	s := t.idle[i]
	if s.Entry == nil || !t.p.load.Ledger.Settled(s.Entry) {
		return nil
	}
	t.idle[i] = t.idle[last]
	t.idle = t.idle[:last]
	return s
}

func (t *traffic) giveBack(s *load.Session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.idle = append(t.idle, s)
}

// said tells how much was read.
func (t *traffic) said() string {
	return fmt.Sprintf("the newest state was read %d times for a session, %d times for the configuration, %d times for how far it is", t.looked.Load(), t.readings.Load(), t.positions.Load())
}

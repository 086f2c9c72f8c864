package raftnode

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

// TestTheLogStaysLight: an application that writes the same large values again and again does not fill the disks: long before there are so many entries that a snapshot is due, there are
// so many bytes.
func TestTheLogStaysLight(t *testing.T) {
	const most = 1 << 20
	g := expectGroup(t, 3, func(o *Options) { o.Compaction.Bytes = most })
	for _, m := range g {
		m.run()
	}
	g.ready()
	c := config.Empty()
	c.Clusters = append(c.Clusters, config.Cluster{Name: "c", Modules: []config.Module{{ContextRoot: "/a", Store: &config.Store{KV: true, MaxValue: 1 << 20, MaxBytes: 1 << 20}}}})
	if res, err := g.leader().node.Propose(t.Context(), &fsm.ConfigChange{Config: c}); err != nil || res.Code != fsm.CodeOK {
		t.Fatal(res, err)
	}
	usual := g.leader().node.raft.Load().ReloadableConfig().TrailingLogs
	data := bytes.Repeat([]byte{7}, 32<<10)
	for i := range 200 {
		data[0] = byte(i)
		res, err := g.leader().node.Propose(t.Context(), &fsm.StorePut{StoreKey: fsm.StoreKey{Space: fsm.SpaceKV, Module: 1, Key: "k"}, Data: data})
		if err != nil || res.Code != fsm.CodeOK {
			t.Fatal(res, err)
		}
	}
	for _, m := range g {
		m.sync()
		within(t, time.Minute, m.opt.Name+" keeps a heavy log", func() bool {
			n, err := logBytes(m.node.store)
			return err == nil && n < 4*most && m.node.raft.Load().ReloadableConfig().TrailingLogs == usual
		})
	}
	late := g.followers()[0]
	late.crash()
	late.again()
	late.sync()
	if got, want := late.state.Digest(), g.leader().state.Digest(); got != want {
		t.Errorf("after a restart: %v, the leader has %v", got, want)
	}
}

// logBytes is what all entries of a log have.
func logBytes(l *nodeLog) (n int64, err error) {
	first, err := l.FirstIndex()
	if err != nil {
		return 0, err
	}
	last, err := l.LastIndex()
	if err != nil {
		return 0, err
	}
	for i := first; i <= last; i++ {
		var entry raft.Log
		if err := l.log.GetLog(i, &entry); err != nil {
			return 0, fmt.Errorf("entry %d: %w", i, err)
		}
		n += int64(len(entry.Data))
	}
	return n, nil
}

func TestLogWeight(t *testing.T) {
	w := logWeight{heavy: make(chan struct{}, 1)}
	if _, over := w.bound(100); over {
		t.Error("an empty log is heavy")
	}
	w.add([]*raft.Log{{Data: make([]byte, 60)}, {Data: make([]byte, 40)}})
	if len(w.heavy) != 0 {
		t.Error("at the limit")
	}
	entries, size := w.now()
	w.add([]*raft.Log{{Data: make([]byte, 50)}})
	if tail, over := w.bound(100); !over || tail != 1 || len(w.heavy) != 1 {
		t.Errorf("%d %v", tail, over)
	}
	w.covered(entries, size)
	if _, over := w.bound(49); !over {
		t.Error("what came while the snapshot was written is forgotten")
	}
	if _, over := w.bound(50); over {
		t.Error("too much is left")
	}
}

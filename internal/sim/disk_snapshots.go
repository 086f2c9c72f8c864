package sim

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/hashicorp/raft"
)

// snapshot is one that is durable. It is immutable.
type snapshot struct {
	meta raft.SnapshotMeta
	data []byte
}

// snapshots is the snapshot store on a simulated disk. The newest two are kept.
type snapshots struct{ *handle }

func (s snapshots) Create(v raft.SnapshotVersion, index, term uint64, c raft.Configuration, ci uint64, _ raft.Transport) (raft.SnapshotSink, error) {
	if err := s.state(); err != nil {
		return nil, err
	}
	return &sink{of: s.handle, snap: &snapshot{meta: raft.SnapshotMeta{Version: v, ID: fmt.Sprintf("%d-%d", term, index), Index: index, Term: term, Configuration: c, ConfigurationIndex: ci}}}, nil
}

func (s snapshots) List() ([]*raft.SnapshotMeta, error) {
	return look(s.handle, func(i *image) (list []*raft.SnapshotMeta) {
		for _, snap := range i.snaps {
			meta := snap.meta
			list = append(list, &meta)
		}
		return list
	})
}

func (s snapshots) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	found, err := look(s.handle, func(i *image) *snapshot {
		for _, snap := range i.snaps {
			if snap.meta.ID == id {
				return snap
			}
		}
		return nil
	})
	switch {
	case err != nil:
		return nil, nil, err
	case found == nil:
		return nil, nil, fmt.Errorf("no snapshot %s", id)
	}
	meta := found.meta
	return &meta, io.NopCloser(bytes.NewReader(found.data)), nil
}

// sink is a snapshot that is being written.
type sink struct {
	of   *handle
	snap *snapshot
	buf  bytes.Buffer
	done bool
}

func (s *sink) ID() string { return s.snap.meta.ID }

func (s *sink) Write(b []byte) (int, error) { return s.buf.Write(b) }

func (s *sink) Cancel() error {
	s.done = true
	return nil
}

// Close makes it durable.
func (s *sink) Close() error {
	if s.done {
		return errors.New("the snapshot is closed")
	}
	s.done = true
	s.snap.data = s.buf.Bytes()
	s.snap.meta.Size = int64(len(s.snap.data))
	return s.of.write("write a snapshot", func(i *image) {
		kept := []*snapshot{s.snap}
		for _, old := range i.snaps {
			if old.meta.ID != s.snap.meta.ID && len(kept) < 2 {
				kept = append(kept, old)
			}
		}
		i.snaps = kept
	})
}

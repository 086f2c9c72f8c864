package sim

import (
	"encoding/binary"
	"fmt"

	"github.com/hashicorp/raft"

	"github.com/holdfast-lb/holdfast/storage"
)

// logStore is the Raft log on a simulated disk, with the promises of storage.Log.
type logStore struct{ *handle }

func (l logStore) FirstIndex() (uint64, error) {
	return look(l.handle, func(i *image) uint64 { return i.first })
}

func (l logStore) LastIndex() (uint64, error) {
	return look(l.handle, func(i *image) uint64 { return i.last })
}

func (l logStore) GetLog(index uint64, log *raft.Log) error {
	got, err := look(l.handle, func(i *image) *raft.Log { return i.entries[index] })
	switch {
	case err != nil:
		return err
	case got == nil:
		return raft.ErrLogNotFound
	}
	*log = *got
	log.Data = append([]byte(nil), got.Data...)
	return nil
}

func (l logStore) StoreLog(log *raft.Log) error { return l.StoreLogs([]*raft.Log{log}) }

func (l logStore) StoreLogs(logs []*raft.Log) error {
	if len(logs) == 0 {
		return nil
	}
	last, err := l.LastIndex()
	if err != nil {
		return err
	}
	copies := make([]*raft.Log, len(logs))
	for i, log := range logs {
		if log.Index <= last {
			return fmt.Errorf("store log entries: entry %d does not follow %d", log.Index, last)
		}
		last = log.Index
		c := *log
		c.Data = append([]byte(nil), log.Data...)
		copies[i] = &c
	}
	l.mu.Lock()
	staged := l.staged
	l.mu.Unlock()
	return l.write("store log entries", func(i *image) {
		for _, c := range copies {
			i.entries[c.Index] = c
			if i.first == 0 {
				i.first = c.Index
			}
			i.last = c.Index
		}
		i.commit = max(i.commit, min(staged, i.last))
	})
}

func (l logStore) DeleteRange(lo, hi uint64) error {
	return l.write("delete log entries", func(i *image) {
		for n := max(lo, i.first); n <= min(hi, i.last); n++ {
			delete(i.entries, n)
		}
		switch {
		case lo <= i.first && hi >= i.last:
			i.first, i.last = 0, 0
		case lo <= i.first:
			i.first = max(i.first, hi+1)
		case hi >= i.last:
			i.last = min(i.last, lo-1)
			i.commit = min(i.commit, i.last)
		}
	})
}

func (l logStore) StageCommitIndex(index uint64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.staged = index
	return nil
}

func (l logStore) GetCommitIndex() (uint64, error) {
	return look(l.handle, func(i *image) uint64 { return i.commit })
}

// stable keeps term and vote.
type stable struct{ *handle }

func (s stable) Set(key, value []byte) error { return s.SetAll(storage.Pair{Key: key, Value: value}) }

func (s stable) SetAll(pairs ...storage.Pair) error {
	copies := make([]storage.Pair, len(pairs))
	for i, p := range pairs {
		copies[i] = storage.Pair{Key: p.Key, Value: append([]byte{}, p.Value...)}
	}
	return s.write("set stable value", func(i *image) {
		for _, p := range copies {
			i.values[string(p.Key)] = p.Value
		}
	})
}

func (s stable) Get(key []byte) ([]byte, error) {
	v, err := look(s.handle, func(i *image) []byte { return i.values[string(key)] })
	if err == nil && v == nil {
		err = storage.ErrKeyNotFound
	}
	return append([]byte{}, v...), err
}

func (s stable) SetUint64(key []byte, value uint64) error {
	return s.Set(key, binary.BigEndian.AppendUint64(nil, value))
}

func (s stable) GetUint64(key []byte) (uint64, error) {
	v, err := s.Get(key)
	if err != nil {
		return 0, err
	}
	return binary.BigEndian.Uint64(v), nil
}

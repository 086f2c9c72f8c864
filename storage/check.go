//go:build !wasip1

package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/hashicorp/go-msgpack/v2/codec"
	"github.com/hashicorp/raft"
	"golang.org/x/sys/unix"
)

// openCheckBytes bounds what Open reads of the entries' contents, newest first. raft itself reads everything behind the
// newest snapshot when it starts; older entries are checked when they are read.
const openCheckBytes = 1 << 30

// logCheck is what a check of raft.db found.
type logCheck struct {
	seal    seal
	tx      uint64 // transaction on disk
	checked int    // entries whose content was checked
	bytes   int64  // size of their stored form
	term    uint64 // term of the newest entry
}

// checkBolt reads a raft.db without bbolt and without changing it. It checks every page that is in use, the seal, that the
// entries are exactly those that the seal names, and the contents of the newest entries up to budget bytes (< 0: of all).
func checkBolt(path string, budget int64) (logCheck, error) {
	f, err := os.Open(path)
	if err != nil {
		return logCheck{}, fmt.Errorf("check log: %w", err)
	}
	defer func() { _ = f.Close() }()
	st, err := f.Stat()
	if err != nil {
		return logCheck{}, fmt.Errorf("check log: %w", err)
	}
	if !st.Mode().IsRegular() {
		return logCheck{}, &CorruptError{Path: path, Reason: "it is not a regular file"}
	}
	if st.Size() == 0 {
		return logCheck{}, &CorruptError{Path: path, Reason: "it is empty"}
	}
	data, err := unix.Mmap(int(f.Fd()), 0, int(st.Size()), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return logCheck{}, fmt.Errorf("check log: map %s: %w", path, err)
	}
	defer func() { _ = unix.Munmap(data) }()
	var out logCheck
	err = guard(path, func() (err error) {
		out, err = checkImage(path, data, budget)
		return err
	})
	return out, err
}

// checkImage is checkBolt on the bytes of the file.
func checkImage(path string, data []byte, budget int64) (logCheck, error) {
	corrupt := func(index uint64, format string, a ...any) (logCheck, error) {
		return logCheck{}, &CorruptError{Path: path, Index: index, Reason: fmt.Sprintf(format, a...)}
	}
	meta, records, reason := scanBolt(data)
	if reason != "" {
		return corrupt(0, "%s", reason)
	}
	if len(records) == 0 || records[len(records)-1].index != sealIndex {
		return corrupt(0, "the seal is missing")
	}
	var log raft.Log
	if _, _, reason := openRecord(records[len(records)-1], &log); reason != "" {
		return corrupt(0, "the seal: %s", reason)
	}
	records = records[:len(records)-1]
	s, err := decodeSeal(&log)
	if err != nil {
		return corrupt(0, "%v", err)
	}
	// A deletion removes entries in transactions of their own; each is followed by a seal.
	if s.tx != meta.tx && (s.pending.empty() || s.tx+1 != meta.tx) {
		return corrupt(0, "the seal is of transaction %d, the file of %d", s.tx, meta.tx)
	}
	kept, reason := matchRecords(records, s)
	if reason != "" {
		return corrupt(0, "%s", reason)
	}
	out := logCheck{seal: s, tx: meta.tx}
	return out, out.entries(path, kept, budget)
}

// matchRecords holds the entries that are there against those that the seal names and leaves out those that are to be
// deleted.
func matchRecords(records []record, s seal) ([]record, string) {
	kept := records[:0:0]
	if s.pending.empty() {
		kept = records
	} else {
		for _, r := range records {
			if s.entries.has(r.index) || !s.pending.has(r.index) {
				kept = append(kept, r)
			}
		}
	}
	i := 0
	for _, p := range s.entries {
		if n := uint64(len(kept) - i); p.hi-p.lo >= n {
			return nil, fmt.Sprintf("entries are missing: %d..%d should be there", p.lo, p.hi)
		}
		for want := p.lo; want <= p.hi; want++ {
			if kept[i].index != want {
				return nil, fmt.Sprintf("entry %d is missing", want)
			}
			i++
		}
	}
	if i != len(kept) {
		return nil, fmt.Sprintf("entry %d should not be there", kept[i].index)
	}
	return kept, ""
}

// entries checks contents from the newest entry back: each must carry the checksum that its successor (for the last one the
// seal) remembers, and terms never fall.
func (c *logCheck) entries(path string, records []record, budget int64) error {
	want, wantTerm := c.seal.lastSum, uint64(0)
	for i := len(records) - 1; i >= 0; i-- {
		r := records[i]
		if budget >= 0 && c.bytes > budget {
			return nil
		}
		var log raft.Log
		sum, prev, reason := openRecord(r, &log)
		newest := i == len(records)-1
		chained := newest || records[i+1].index == r.index+1
		switch {
		case reason != "":
		case chained && sum != want:
			reason = "it is not the one that was stored last at this index"
		case !newest && log.Term > wantTerm:
			reason = "its term is higher than its successor's"
		}
		if reason != "" {
			return &CorruptError{Path: path, Index: r.index, Reason: reason}
		}
		if newest {
			c.term = log.Term
		}
		want, wantTerm = prev, log.Term
		c.checked++
		c.bytes += int64(len(r.value))
	}
	return nil
}

// openRecord decodes a stored entry as raft-boltdb does and checks it.
func openRecord(r record, log *raft.Log) (sum, prev uint32, reason string) {
	if err := decodeStored(r.value, log); err != nil {
		return 0, 0, "it cannot be decoded: " + err.Error()
	}
	return unwrapEntry(log, r.index)
}

// decodeStored panics, as reading any other part of a mapped file does, where the decoder has made an error of that.
func decodeStored(value []byte, log *raft.Log) error {
	err := codec.NewDecoderBytes(value, &codec.MsgpackHandle{}).Decode(log)
	if fault := faultIn(err); fault != nil {
		panic(fault)
	}
	return err
}

// fileExists tells a missing file from one that cannot be looked at.
func fileExists(path string) (bool, error) {
	_, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

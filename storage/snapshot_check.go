//go:build !wasip1

package storage

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"hash/crc64"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/raft"
)

const (
	snapshotMetaFile  = "meta.json"
	snapshotStateFile = "state.bin"
	snapshotSumFile   = "meta.crc32c" // 8 hexadecimal digits: CRC32C of meta.json
	maxSnapshotMeta   = 16 << 20
)

// snapshotID takes the name of a snapshot apart: term, last index, time in ms (raft's snapshotName).
func snapshotID(name string) (id [3]uint64, ok bool) {
	parts := strings.Split(name, "-")
	if len(parts) != 3 {
		return id, false
	}
	for i, p := range parts {
		n, err := strconv.ParseUint(p, 10, 64)
		if err != nil {
			return id, false
		}
		id[i] = n
	}
	return id, true
}

// snapshotIDs lists what claims to be a finished snapshot, readable or not, newest first in raft's order.
func snapshotIDs(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list snapshots: %w", err)
	}
	var ids []string
	for _, e := range entries {
		if _, ok := snapshotID(e.Name()); ok && e.IsDir() {
			ids = append(ids, e.Name())
		}
	}
	slices.SortFunc(ids, func(a, b string) int {
		x, _ := snapshotID(a)
		y, _ := snapshotID(b)
		return cmp.Or(slices.Compare(y[:], x[:]), strings.Compare(b, a))
	})
	return ids, nil
}

// readSnapshot checks a snapshot completely without raft's store, which writes into the directory when it is opened and
// leaves out in silence what it cannot read. The error is a *CorruptError whose Index is the snapshot's last entry.
func readSnapshot(dir, id string) (*raft.SnapshotMeta, error) {
	parts, _ := snapshotID(id)
	meta, err := readSnapshotMeta(dir, id)
	if err != nil {
		return nil, &CorruptError{Path: filepath.Join(dir, id, snapshotMetaFile), Index: parts[1], Reason: "snapshot metadata", Err: err}
	}
	if err := checkSnapshotState(filepath.Join(dir, id, snapshotStateFile), meta.Size, meta.CRC); err != nil {
		return nil, &CorruptError{Path: filepath.Join(dir, id, snapshotStateFile), Index: parts[1], Reason: "snapshot content", Err: err}
	}
	return &meta.SnapshotMeta, nil
}

// snapshotMeta is meta.json (raft's fileSnapshotMeta).
type snapshotMeta struct {
	raft.SnapshotMeta
	CRC []byte
}

// readSnapshotMeta holds meta.json against its checksum and against the name of its directory. The checksum is written right
// after raft has moved the snapshot into place, so it can be missing after a crash; the name and the CRC64 then remain.
func readSnapshotMeta(dir, id string) (*snapshotMeta, error) {
	data, err := readLimited(filepath.Join(dir, id, snapshotMetaFile), maxSnapshotMeta)
	if err != nil {
		return nil, err
	}
	sum, err := readLimited(filepath.Join(dir, id, snapshotSumFile), 64)
	switch {
	case errors.Is(err, os.ErrNotExist):
	case err != nil:
		return nil, err
	case !bytes.Equal(sum, metaSum(data)):
		return nil, errors.New("checksum mismatch")
	}
	var m snapshotMeta
	if err := json.Unmarshal(data, &m); err != nil {
		return nil, err
	}
	if m.Version < raft.SnapshotVersionMin || m.Version > raft.SnapshotVersionMax {
		return nil, fmt.Errorf("unknown version %d", m.Version)
	}
	if parts, ok := snapshotID(id); !ok || m.ID != id || m.Term != parts[0] || m.Index != parts[1] {
		return nil, errors.New("it does not belong to this snapshot")
	}
	return &m, nil
}

func checkSnapshotState(path string, size int64, want []byte) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	h := crc64.New(crc64.MakeTable(crc64.ECMA))
	n, err := io.Copy(h, f)
	if err != nil {
		return err
	}
	if n != size {
		return fmt.Errorf("%d bytes, should be %d", n, size)
	}
	if !bytes.Equal(h.Sum(nil), want) {
		return errors.New("checksum mismatch")
	}
	return nil
}

func metaSum(meta []byte) []byte {
	return fmt.Appendf(nil, "%08x\n", crc32.Checksum(meta, castagnoli))
}

func readLimited(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = errors.New("it is too large")
	}
	return data, err
}

//go:build !wasip1

package raftnode

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/hashicorp/raft"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/raftnode/pki"
	"github.com/holdfast-lb/holdfast/storage"
)

// Inspection is what the disk of a node that does not run would have it start with.
type Inspection struct {
	Disk storage.Report
	// State goes to the end of the log; nil: there is none of a group yet.
	State *fsm.State
	// Members are those of the latest membership, ID says which of them is this node.
	Members []ImageMember
	ID      string
	// MembersIndex is the log index of that membership.
	MembersIndex uint64
	// Expelled is why the node is out of its group for good, empty when it is not.
	Expelled string
}

// NewerError says that a disk has the state of a program that is newer than this one. It is an ErrRefused.
type NewerError struct{ Err error }

func (e *NewerError) Error() string        { return e.Err.Error() }
func (e *NewerError) Unwrap() error        { return e.Err }
func (e *NewerError) Is(target error) bool { return target == ErrRefused }

// Inspect reads the data directory of a node that does not run, and changes nothing in it. The error is a *storage.LockedError when a node runs on it, *storage.CorruptErrors when something is damaged, and a
// *NewerError for what this program is too old to read; what could be read up to there is in the Inspection.
func Inspect(dir string) (*Inspection, error) {
	i := &Inspection{}
	state := fsm.New()
	var members raft.Configuration
	disk, err := storage.Inspect(dir, storage.Inspector{
		Snapshot: func(meta raft.SnapshotMeta, from io.Reader) error {
			members, i.MembersIndex = meta.Configuration, meta.ConfigurationIndex
			return newer(state.Restore(from))
		},
		Entry: func(l *raft.Log) (err error) {
			switch l.Type {
			case raft.LogCommand:
				_, err = state.Apply(l.Index, l.Data)
			case raft.LogConfiguration:
				members, err = decodeConfiguration(l.Data)
				i.MembersIndex = l.Index
				state.Advance(l.Index)
			}
			return newer(err)
		},
	})
	i.Disk, i.Members = disk, imageMembers(members.Servers)
	if id := disk.Identity; disk.HasIdentity {
		i.ID = string(serverID(id.Name, id.NodeID))
	}
	if b, ok := disk.Values[string(keyExpelled)]; ok {
		var e expulsion
		if json.Unmarshal(b, &e) == nil {
			i.Expelled = fmt.Sprintf("since %s: %s", e.At.Format(time.RFC3339), e.Reason)
		}
	}
	if err == nil && state.Group() != nil {
		i.State = state
	}
	return i, err
}

func newer(err error) error {
	if errors.Is(err, fsm.ErrEntryUnknown) || errors.Is(err, fsm.ErrSnapshotUnknown) {
		return &NewerError{err}
	}
	return err
}

// paddingBytes is what AskPeer sends along: more than a packet, so that a path that lets only small ones through is found.
const paddingBytes = 16 << 10

// AskPeer asks the node at a peer address, which must have that name if it is not empty, what it says of itself, with the keys of another node of its group. sent and rtt say when, and how long the answer took.
func AskPeer(ctx context.Context, keys *pki.Credentials, addr, name string) (info Info, sent time.Time, rtt time.Duration, err error) {
	nc, err := dialPeer(ctx, tcp{}, keys, protoCall, addr, name, time.Now)
	if err != nil {
		return Info{}, time.Time{}, 0, err
	}
	c := newCallConn(nc)
	defer c.close(ErrClosed)
	if _, err := c.call(ctx, callInfo, nil); err != nil { // the other node makes its answer ready once, so that the second one is fast
		return Info{}, time.Time{}, 0, err
	}
	sent = time.Now()
	b, err := c.call(ctx, callInfo, make([]byte, paddingBytes))
	if err != nil {
		return Info{}, sent, time.Since(sent), fmt.Errorf("it answers small packets and not large ones: %w", err)
	}
	rtt = time.Since(sent)
	if err := json.Unmarshal(b, &info); err != nil {
		return Info{}, sent, rtt, fmt.Errorf("%w: %w", errFrame, err)
	}
	return info, sent, rtt, errors.Join(info.release().valid(), release{Schema: info.GroupSchema}.valid(), pki.CheckName("node name", info.Name))
}

// Apart says why a program of this version and schema cannot be in one group with the node that says info; empty when it can.
func Apart(name, version string, info Info) string {
	return release{version, fsm.Schema}.apart(name, info.release(), info.Name, info.GroupSchema)
}

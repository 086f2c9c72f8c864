package server

import (
	"errors"
	"time"

	"github.com/holdfast-lb/holdfast/raftnode"
	"github.com/holdfast-lb/holdfast/storage"
)

// hungTime is how long a node whose disk does not answer waits for what would need it. That it ends is worth more than that it ends in order: other nodes have what it
// knows.
const hungTime = time.Second

// ErrDisk is in the reason for which Run ends when a write has failed, or has not ended, and in that of New when what is on the disk is damaged or belongs to somebody else.
var ErrDisk = raftnode.ErrDisk

// DiskInDoubt tells whether err means that the disk must be looked at before the node is started again.
func DiskInDoubt(err error) bool {
	var damaged *storage.CorruptError
	var failed *storage.FatalError
	return errors.Is(err, ErrDisk) || errors.As(err, &damaged) || errors.As(err, &failed)
}

// leaveTimes are how long requests may go on, and how long the member may take to stop.
func (s *Server) leaveTimes() (drain, stop time.Duration) {
	if s.node.DiskStalled() != nil {
		return drainTime, hungTime
	}
	return drainTime, leaveTime
}

// closeDir gives the data directory back, unless a write in it never ends: then the end of the process does.
func (s *Server) closeDir() error {
	if s.node != nil && s.node.DiskStalled() != nil {
		return nil
	}
	return s.dir.Close()
}

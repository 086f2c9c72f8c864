package raftnode

import "github.com/holdfast-lb/holdfast/storage"

// A data directory is a node's disk.
var _ Disk = (*storage.Dir)(nil)

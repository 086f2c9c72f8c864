package raftnode

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

// TestUsualWarningsOfRaft are none: they come with each planned move, and each start.
func TestUsualWarningsOfRaft(t *testing.T) {
	var out bytes.Buffer
	l := newRaftLogger(slog.New(slog.NewTextHandler(&out, nil)))
	l.Error("peer has newer term, stopping replication", "peer", "n2")
	l.Warn("skipping application of old log", "index", 5)
	l.Error("failed to heartbeat to", "peer", "n2")
	l.Error("failed to heartbeat to", "peer", "n2") // not again so soon
	if got := out.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "level=WARN") || !strings.Contains(got, "failed to heartbeat") {
		t.Errorf("%s", got)
	}
}

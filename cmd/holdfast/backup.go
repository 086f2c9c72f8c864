package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-lb/holdfast/server"
	"github.com/holdfast-lb/holdfast/storage/archive"
)

func newBackupCommand(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "backup",
		Short: "The whole state in one file: make it, check it, begin again from it",
		Long: `An archive holds everything that the group replicates, as of one log index: configuration with its history, assignments, quiesces, tokens (as hashes), the keys
of the cookies and of the group. It is as secret as the group itself: keep it where only its administrators can read it.`,
		Example: `  holdfast backup create --to /backup --keep 14      # from the running group, as cron does it
  holdfast backup list /backup
  holdfast backup verify /backup/*.hfb
  holdfast backup restore /backup/shop-1-51234-20260301T120000Z.hfb --data-dir /var/lib/holdfast --name n1`,
		Args: cobra.ArbitraryArgs,
		RunE: groupOnly,
	}
	cmd.AddCommand(newBackupCreateCommand(g), newBackupListCommand(g), newBackupVerifyCommand(g), newBackupRestoreCommand(g))
	return cmd
}

// archiveView is an archive as -o json shows it.
type archiveView struct {
	Path      string    `json:"path,omitempty"`
	Bytes     int64     `json:"bytes,omitempty"`
	Group     string    `json:"group,omitempty"`
	GroupID   string    `json:"groupId,omitempty"`
	Epoch     uint32    `json:"epoch,omitempty"`
	Index     uint64    `json:"index,omitempty"`
	Confirmed uint64    `json:"confirmed,omitempty"`
	GroupTime time.Time `json:"groupTime,omitzero"`
	Created   time.Time `json:"created,omitzero"`
	Node      string    `json:"node,omitempty"`
	Scheduled bool      `json:"scheduled,omitempty"`
	Program   string    `json:"program,omitempty"`
	Schema    int       `json:"schema,omitempty"`
	Members   []string  `json:"members,omitempty"`
	Error     string    `json:"error,omitempty"`
	Damaged   bool      `json:"damaged,omitempty"` // the error says that bytes are not those that were written

	// What only reading all of it shows.
	Verified bool   `json:"verified"`
	Sessions *int   `json:"sessions,omitempty"`
	Revision uint64 `json:"revision,omitempty"`
	Digest   string `json:"digest,omitempty"`
	SHA256   string `json:"sha256,omitempty"`
}

func viewOf(path string, size int64, h archive.Header) archiveView {
	v := archiveView{
		Path: path, Bytes: size, Group: h.GroupName, GroupID: h.GroupID, Epoch: h.Epoch, Index: h.Index, Confirmed: h.Confirmed, GroupTime: h.GroupTime, Created: h.Created,
		Node: h.Node, Scheduled: h.Scheduled, Program: h.Program, Schema: h.Schema,
	}
	for _, m := range h.Members {
		v.Members = append(v.Members, m.Name)
	}
	return v
}

func (v archiveView) verified(r server.BackupReport) archiveView {
	v.Verified, v.Sessions, v.Revision, v.Digest, v.SHA256 = true, &r.Sessions, r.Revision, r.Digest.String(), r.Hash
	return v
}

// bytesText gives a size for people.
func bytesText(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%d B", n)
}

// meter counts what goes through it and says so: on a terminal in one line that changes, elsewhere in a line every ten seconds.
type meter struct {
	w        io.Writer
	what     string
	terminal bool
	now      func() time.Time

	n           int64
	start, last time.Time
	shown       bool
}

const meterEvery = 200 * time.Millisecond

func (g *globals) meter(what string) *meter {
	return &meter{w: g.err, what: what, terminal: isTerminal(g.err), now: time.Now, start: time.Now(), last: time.Now()}
}

// Write takes note of p.
func (m *meter) Write(p []byte) (int, error) {
	m.n += int64(len(p))
	every := progressEvery
	if m.terminal {
		every = meterEvery
	}
	if now := m.now(); now.Sub(m.last) >= every {
		m.last = now
		m.show(now)
	}
	return len(p), nil
}

func (m *meter) show(now time.Time) {
	rate := int64(float64(m.n) / max(now.Sub(m.start).Seconds(), 0.001))
	line := fmt.Sprintf("%s: %s, %s/s", m.what, bytesText(m.n), bytesText(rate))
	if m.terminal {
		fmt.Fprintf(m.w, "\r\x1b[K%s", line)
		m.shown = true
		return
	}
	fmt.Fprintln(m.w, line)
}

// done takes the line that changes away.
func (m *meter) done() {
	if m.shown {
		fmt.Fprint(m.w, "\r\x1b[K")
		m.shown = false
	}
}

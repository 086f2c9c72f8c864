package admin

import (
	"fmt"
	"strings"
	"time"

	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm"
)

// wireBackups is the schedule of backups: who makes them, and what the group knows of them; nil when there is neither.
func wireBackups(b *fsm.Backups, members []Member) *wire.Backups {
	out := &wire.Backups{Nodes: []wire.BackupNode{}}
	every := time.Duration(0)
	for i := range members {
		m := &members[i]
		if m.Backup == nil {
			continue
		}
		out.Nodes = append(out.Nodes, wire.BackupNode{Node: m.Name, To: m.Backup.To, EverySeconds: int64(m.Backup.Every / time.Second), Keep: m.Backup.Keep})
		if every == 0 || m.Backup.Every < every {
			every = m.Backup.Every
		}
	}
	if b == nil && len(out.Nodes) == 0 {
		return nil
	}
	if b != nil {
		if every == 0 {
			every = b.Every
		}
		out.Last = &wire.BackupAttempt{ID: b.ID, Node: b.Node, Begun: b.Begun, Ended: b.Ended, Failure: b.Failure, Failures: b.Failures}
		out.Since = b.Since()
		if g := b.Good; g != nil {
			out.Good = &wire.GoodBackup{Node: g.Node, Name: g.Name, Index: g.Index, Bytes: g.Bytes, At: g.At}
		}
	}
	out.EverySeconds = int64(every / time.Second)
	return out
}

// backupsForgotten is for how long a schedule that no node has any more is missed, by the group's time from its newest attempt.
const backupsForgotten = 30 * 24 * time.Hour

// backupProblems says what is wrong with the schedule of backups. now is the group's time. A schedule is over when all nodes say that they have none; whether that is meant, or a flag was
// forgotten with a promotion or a restart, nobody can tell, so it is said for some time.
func backupProblems(s *wire.Status, now time.Time) (list []string) {
	b := s.Backups
	if b == nil || b.Last == nil {
		return nil
	}
	over := len(b.Nodes) == 0
	for i := range s.Nodes {
		over = over && s.Nodes[i].Reachable
	}
	if over {
		newest := b.Since
		if b.Last.Begun.After(newest) {
			newest = b.Last.Begun
		}
		if age := now.Sub(newest); age > backupsForgotten || age <= 2*time.Duration(b.EverySeconds)*time.Second && b.Last.Failure == "" {
			return nil
		}
		text := "scheduled backups have stopped: no node runs with --backup-to any more"
		if b.Last.Failure != "" {
			text += fmt.Sprintf("; the last one failed on node %s: %s", b.Last.Node, strings.TrimSuffix(b.Last.Failure, "."))
		} else if b.Good != nil {
			text += fmt.Sprintf(", and the newest one is %v old", now.Sub(b.Good.At).Truncate(time.Second))
		}
		return []string{text + "; start the nodes with it again (30 days after the last attempt this is taken for meant)"}
	}
	if b.Last.Failure != "" {
		text := fmt.Sprintf("the scheduled backup fails on node %s: %s", b.Last.Node, b.Last.Failure)
		if b.Last.Failures > 1 {
			text = fmt.Sprintf("the scheduled backup has failed %d times in a row, the last time on node %s: %s", b.Last.Failures, b.Last.Node, b.Last.Failure)
		}
		list = append(list, strings.TrimSuffix(text, ".")+"; it is tried again")
	}
	every := time.Duration(b.EverySeconds) * time.Second
	if age := now.Sub(b.Since); every > 0 && age > 2*every {
		what := "there is no scheduled backup that is whole, and they have been due"
		if b.Good != nil {
			what = fmt.Sprintf("the newest scheduled backup that is whole is %v old (%s on node %s), and one is due", age.Truncate(time.Second), b.Good.Name, b.Good.Node)
		}
		text := fmt.Sprintf("%s every %v", what, every)
		if len(b.Nodes) == 0 {
			text += "; no node that answers runs with --backup-to"
		}
		list = append(list, text)
	}
	return list
}

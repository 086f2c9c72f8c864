package main

import (
	"fmt"
	"os"
	"os/user"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
)

// operatorName is who works on this machine, as USER@HOST, for the events of a group that begins again: there is no token yet that could say it.
func operatorName() string {
	name := "uid " + fmt.Sprint(os.Getuid())
	if u, err := user.Current(); err == nil && u.Username != "" {
		name = u.Username
	}
	if host, err := os.Hostname(); err == nil && host != "" {
		name += "@" + host
	}
	return clean(name)
}

// backupReminder says that a group that begins again makes no scheduled backups any more, unless its node is started with --backup-to; empty when it made none.
func backupReminder(b *fsm.Backups) string {
	if b == nil {
		return ""
	}
	newest := "none of them is whole"
	if g := b.Good; g != nil {
		newest = fmt.Sprintf("the newest is %s on node %s, of %s", clean(g.Name), clean(g.Node), when(g.At))
	}
	return fmt.Sprintf("the group made backups every %v (%s): start the node with --backup-to, or none is made any more\n", b.Every.Round(time.Second), newest)
}

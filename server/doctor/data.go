package doctor

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/raftnode"
	"github.com/holdfast-lb/holdfast/raftnode/pki"
	"github.com/holdfast-lb/holdfast/storage"
)

const (
	elsewhere = "name another --data-dir, or move this one away"
	joinAgain = "move the data directory away, and let the node join again as a new member with a join token ('holdfast token create --role node')"
	// soonOver is how long before its end a certificate is warned of.
	soonOver = 90 * 24 * time.Hour
)

// data looks at the data directory: whose it is, whether a node runs on it, and whether everything in it can be read by this program.
func (v *visit) data() {
	dir := v.Config.DataDir
	st, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		v.absent(dir)
		return
	case err != nil:
		v.find("data", "directory", Fault, "run this as the user of the node, or as root", "%v", err)
		return
	case !st.IsDir():
		v.find("data", "directory", Fault, elsewhere, "%s is no directory", dir)
		return
	case st.Mode().Perm()&0o002 != 0:
		v.find("data", "directory", Fault, "chmod 0700 "+dir, "%s can be written to by everybody: a node refuses it", dir)
	case unix.Access(dir, unix.R_OK|unix.W_OK|unix.X_OK) != nil:
		v.find("data", "directory", Fault, "chown -R the directory to the user of the node, or run this as that user", "this user may not write into %s", dir)
		return
	case st.Mode().Perm()&0o077 != 0:
		v.find("data", "directory", Warning, "chmod 0700 "+dir+" (a node that starts does so)", "%s is open to others than its owner, and holds the keys of the group", dir)
	default:
		v.find("data", "directory", OK, "", "%s is for its owner alone", dir)
	}
	v.owner(dir)
	v.certificate()
	v.content(dir)
}

// absent looks whether the directory could be made.
func (v *visit) absent(dir string) {
	parent := existing(dir)
	if unix.Access(parent, unix.W_OK|unix.X_OK) != nil {
		v.find("data", "directory", Fault, "make it, and give it to the user of the node: mkdir -m 0700 "+dir, "there is no %s, and this user may not make it in %s", dir, parent)
		return
	}
	v.find("data", "directory", OK, "", "there is no %s yet: a node that starts makes it", dir)
}

// existing is the nearest directory above that is there.
func existing(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	for {
		if st, err := os.Stat(path); err == nil && st.IsDir() {
			return path
		}
		up := filepath.Dir(path)
		if up == path {
			return path
		}
		path = up
	}
}

// owner looks whose directory it is.
func (v *visit) owner(dir string) {
	id, named, err := storage.IdentityOf(dir)
	var format *storage.FormatError
	switch {
	case errors.As(err, &format):
		v.find("data", "identity", Fault, "install a version of Holdfast that is as new as the one that made the directory", "%v", err)
		return
	case err != nil:
		v.find("data", "identity", Fault, "put node.json back from a backup of the file, or "+joinAgain, "%v", err)
		return
	case !named:
		v.find("data", "identity", OK, "", "the directory belongs to no node yet")
		return
	}
	v.identity, v.named = id, true
	if v.NameGiven && id.Name != v.Config.Name {
		v.find("data", "identity", Fault, fmt.Sprintf("start it with --name %s, or with another --data-dir: a node keeps its name", id.Name), "the directory is that of node %s, not of %s", id.Name, v.Config.Name)
		return
	}
	v.report.Node = id.Name
	v.find("data", "identity", OK, "", "node %s (%s) of group %s", id.Name, id.NodeID, id.GroupID)
}

// certificate looks at the node's key and certificate.
func (v *visit) certificate() {
	dir := v.Config.TLSDir
	if dir == "" {
		dir = filepath.Join(v.Config.DataDir, "tls")
	}
	keys, err := pki.Load(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !v.named:
		v.find("data", "certificate", OK, "", "there is none yet: the node gets one when it enters its group")
		return
	case errors.Is(err, fs.ErrNotExist):
		v.find("data", "certificate", Fault, "put it back from a backup of "+dir+", name the directory with --tls-dir, or "+joinAgain, "the certificate of node %s is not in %s", v.identity.Name, dir)
		return
	case errors.Is(err, fs.ErrPermission):
		v.find("data", "certificate", Skipped, "", "it cannot be read by this user, so other nodes are not asked: %v", err)
		return
	case err != nil:
		v.find("data", "certificate", Fault, "put it back from a backup of "+dir+", or "+joinAgain, "%v", err)
		return
	case v.named && (keys.GroupID != v.identity.GroupID || keys.Name != v.identity.Name):
		v.find("data", "certificate", Fault, "name the right --tls-dir: one of the two is from another node or group", "the certificate in %s is that of node %s of group %s, the directory that of node %s of group %s", dir, keys.Name, keys.GroupID, v.identity.Name, v.identity.GroupID)
		return
	}
	v.keys = keys
	leaf, err := x509.ParseCertificate(keys.CertDER)
	if err != nil {
		v.find("data", "certificate", Fault, joinAgain, "%v", err)
		return
	}
	now := v.now()
	switch {
	case now.Before(leaf.NotBefore):
		v.find("data", "certificate", Fault, "set this machine's clock", "the certificate of node %s begins to count on %s, and by this clock it is %s", keys.Name, leaf.NotBefore.Format(time.DateOnly), now.UTC().Format(time.RFC3339))
	case now.After(leaf.NotAfter):
		v.find("data", "certificate", Fault, joinAgain, "the certificate of node %s has been over since %s: no other node takes it", keys.Name, leaf.NotAfter.Format(time.DateOnly))
	case now.Add(soonOver).After(leaf.NotAfter):
		v.find("data", "certificate", Warning, joinAgain+", before that day", "the certificate of node %s is over on %s", keys.Name, leaf.NotAfter.Format(time.DateOnly))
	default:
		v.find("data", "certificate", OK, "", "of node %s, until %s", keys.Name, leaf.NotAfter.Format(time.DateOnly))
	}
}

// content reads everything, as a start of the node would.
func (v *visit) content(dir string) {
	found, err := raftnode.Inspect(dir)
	var locked *storage.LockedError
	if errors.As(err, &locked) {
		v.report.Running, v.report.PID = true, locked.PID
		v.find("data", "lock", OK, "", "%s", inUse(locked.PID))
		v.find("data", "content", Skipped, "", "a node has the directory open: it checks each entry that it reads, and its snapshots when it starts")
		return
	}
	if errors.Is(err, fs.ErrPermission) {
		v.find("data", "content", Skipped, "", "it cannot be read by this user: %v", err)
		return
	}
	v.find("data", "lock", OK, "", "no node runs on the directory")
	if found.Expelled != "" {
		v.find("data", "membership", Fault, joinAgain, "this node is out of its group for good %s", found.Expelled)
	}
	var newer *raftnode.NewerError
	for _, err := range each(err) {
		var format *storage.FormatError
		switch {
		case errors.As(err, &newer), errors.As(err, &format):
			v.find("data", "content", Fault, "install the version of Holdfast that this node ran last, or a newer one: a schema is never lowered", "this program is too old for what is on the disk: %v", err)
		default:
			v.find("data", "content", Fault, "let the node take everything from the others: "+joinAgain+". Only when no other node has it: 'holdfast backup restore'", "%v", err)
		}
	}
	if err == nil {
		v.inspection = found
		v.state(found)
	}
}

func inUse(pid int) string {
	if pid == 0 {
		return "a process has the directory open"
	}
	return fmt.Sprintf("process %d has the directory open", pid)
}

// state looks at what a start would have the node begin with.
func (v *visit) state(i *raftnode.Inspection) {
	if i.State == nil {
		v.find("data", "content", OK, "", "there is no state of a group yet")
		return
	}
	g := i.State.Group()
	if want := v.Config.Group; want != "" && want != g.Name {
		v.find("data", "group", Fault, "start it with --group "+g.Name+", or "+elsewhere, "the directory is that of group %s, not of %s", g.Name, want)
	}
	if have := i.State.Schema(); !fsm.SchemaFits(fsm.Schema, have) {
		v.find("data", "schema", Fault, fmt.Sprintf("upgrade one schema at a time: start all nodes with a version that has schema %d first, and wait until 'holdfast status' shows that the group has it", have+1),
			"the group has schema %d of the state, this program schema %d, and may be one ahead", have, fsm.Schema)
	} else {
		v.find("data", "schema", OK, "", "the group has schema %d of the state, this program knows up to %d", have, fsm.Schema)
	}
	v.find("data", "content", OK, "", "%d entries of the log and %d snapshots are whole; group %s, epoch %d, log index %d of %s: %d sessions, configuration revision %d",
		i.Disk.Entries, len(i.Disk.Snapshots), g.Name, g.Epoch, i.State.Applied(), i.State.Now().Format(time.RFC3339), i.State.Len(), i.State.Revision().Number)
}

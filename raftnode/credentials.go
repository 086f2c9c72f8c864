package raftnode

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/holdfast-lb/holdfast/internal/failpoint"
	"github.com/holdfast-lb/holdfast/raftnode/pki"
	"github.com/holdfast-lb/holdfast/storage"
)

// loadCredentials takes what an earlier start has kept, and holds it against the options.
func (n *Node) loadCredentials() error {
	id, named := n.opt.Dir.Identity()
	if named && id.Name != n.opt.Name {
		return fmt.Errorf("%s belongs to node %s, not to %s: a node keeps its name; use another data directory, or start it with --name %s", n.opt.Dir.Path(), id.Name, n.opt.Name, id.Name)
	}
	c, err := pki.Load(n.opt.TLSDir)
	if errors.Is(err, fs.ErrNotExist) {
		if named {
			return fmt.Errorf("%s belongs to node %s, but its certificate is not in %s: restore it from a backup, or move the data directory away and let the node join again", n.opt.Dir.Path(), id.Name, n.opt.TLSDir)
		}
		return nil
	}
	if damaged := (*pki.DamagedError)(nil); errors.As(err, &damaged) {
		return damagedKeys(damaged)
	}
	if err != nil {
		return err
	}
	return n.useCredentials(c)
}

// damagedKeys makes damage of the node's key and certificates what damage of all its files is.
func damagedKeys(d *pki.DamagedError) error {
	return &storage.CorruptError{Path: d.Path, Reason: "it is not the key and the certificates of a node", Err: d.Err}
}

// VerifyKeys is a *storage.CorruptError when the node's key and certificates in a directory are damaged; nil when they are whole, or not there. Another error says that they cannot be read.
func VerifyKeys(dir string) error {
	_, err := pki.Load(dir)
	if damaged := (*pki.DamagedError)(nil); errors.As(err, &damaged) {
		return damagedKeys(damaged)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// useCredentials makes c this node's own, and its identity durable.
func (n *Node) useCredentials(c *pki.Credentials) error {
	if c.Name != n.opt.Name {
		return fmt.Errorf("the certificate in %s is that of node %s, not of %s", n.opt.TLSDir, c.Name, n.opt.Name)
	}
	if want := n.opt.Group; want != "" && c.GroupName() != want {
		return refused("%s belongs to group %s (%s), this node wants group %s: start it with --group %s, or with another data directory", n.opt.Dir.Path(), c.GroupName(), c.GroupID, want, c.GroupName())
	}
	nodeID, err := nodeIDOf(c.Key().Public())
	if err != nil {
		return err
	}
	if id, named := n.opt.Dir.Identity(); named && (id.NodeID != nodeID || id.GroupID != c.GroupID) {
		return fmt.Errorf("the certificate in %s does not belong to the data directory %s: one of them is from another node or group", n.opt.TLSDir, n.opt.Dir.Path())
	} else if !named {
		if err := n.opt.Dir.SetIdentity(storage.Identity{Name: c.Name, NodeID: nodeID, GroupID: c.GroupID, Epoch: 1}); err != nil {
			return err
		}
	}
	failpoint.Hit(failpoint.JoinIdentity)
	sid := serverID(c.Name, nodeID)
	n.id.Store(&sid)
	n.creds.Store(c)
	return nil
}

// ReloadCredentials reads the node's key and certificates again, after somebody has put another certificate there. It must be one of this node, its key and its group; after an error
// the old one stays in use. Connections that are open are not touched.
func (n *Node) ReloadCredentials() error {
	if n.creds.Load() == nil {
		return nil // it has none yet, and reads them when it needs them
	}
	c, err := pki.Load(n.opt.TLSDir)
	if err == nil {
		err = n.useCredentials(c)
	}
	if err != nil {
		return fmt.Errorf("read the node's certificate again: %w", err)
	}
	if l := n.port.Load(); l != nil {
		return l.use(c, n.opt.Now)
	}
	return nil
}

// obtainCredentials makes, derives or asks for the node's certificate unless it has one.
func (n *Node) obtainCredentials(ctx context.Context) error {
	token := strings.TrimSpace(n.opt.JoinToken)
	if c := n.creds.Load(); c != nil {
		return n.sameGroup(token, c)
	}
	switch {
	case strings.HasPrefix(token, "hfj"):
		return n.redeemToken(ctx, token)
	case token != "":
		in, err := pki.ParseInit(token, n.opt.Now())
		if err != nil {
			return err
		}
		if n.opt.Group != "" && n.opt.Group != in.GroupName {
			return fmt.Errorf("the init string is of group %s, this node wants group %s: set --group %s", in.GroupName, n.opt.Group, in.GroupName)
		}
		ca, err := in.CA()
		if err != nil {
			return err
		}
		return n.selfIssue(ca)
	case n.opt.Bootstrap:
		name := n.opt.Group
		if name == "" {
			name = "holdfast"
		}
		ca, err := pki.NewCA(pki.NewGroupID(), name, n.opt.Now())
		if err != nil {
			return err
		}
		return n.selfIssue(ca)
	}
	return errors.New("this node has no state and no way into a group: start it with --join-token (an init string or a join token) and --join or --bootstrap-expect, or with --bootstrap to found a group")
}

func (n *Node) selfIssue(ca *pki.CA) error {
	c, err := pki.SelfIssue(ca, n.opt.Name, n.opt.Now())
	if err != nil {
		return err
	}
	if err := c.Save(n.opt.TLSDir); err != nil {
		return err
	}
	failpoint.Hit(failpoint.JoinCertificate)
	return n.useCredentials(c)
}

// sameGroup refuses the string of another group on a node that is in one, or has begun to enter one: whoever gave it means that group, and would get the state of this one.
func (n *Node) sameGroup(token string, c *pki.Credentials) error {
	var id, name string
	if in, err := pki.ParseInit(token, time.Time{}); err == nil {
		id, name = in.GroupID, " "+in.GroupName
	} else if t, err := pki.ParseJoinToken(token, time.Time{}); err == nil {
		id = t.GroupID
	}
	if id == "" || id == c.GroupID {
		return nil
	}
	has := "belongs to"
	if n.opt.Dir.Empty() {
		has = "has begun to enter"
	}
	return refused("the join token is of group%s (%s), but the data directory %s %s group %s (%s): start it without the token to go on in that group, or move the directory away to enter the other one", name, id, n.opt.Dir.Path(), has, c.GroupName(), c.GroupID)
}

// forgetCAKey removes the authority's key from this node's files once the group's state has it.
func (n *Node) forgetCAKey() error {
	c := n.creds.Load()
	if len(c.CAKeyDER) == 0 || n.state.Group() == nil {
		return nil
	}
	c = c.WithoutCAKey()
	if err := c.Save(n.opt.TLSDir); err != nil {
		return err
	}
	n.creds.Store(c)
	return nil
}

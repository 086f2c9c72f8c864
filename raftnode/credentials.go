package raftnode

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

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
	if err != nil {
		return err
	}
	return n.useCredentials(c)
}

// useCredentials makes c this node's own, and its identity durable.
func (n *Node) useCredentials(c *pki.Credentials) error {
	if c.Name != n.opt.Name {
		return fmt.Errorf("the certificate in %s is that of node %s, not of %s", n.opt.TLSDir, c.Name, n.opt.Name)
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
	sid := serverID(c.Name, nodeID)
	n.id.Store(&sid)
	n.creds.Store(c)
	return nil
}

// obtainCredentials makes, derives or asks for the node's certificate unless it has one.
func (n *Node) obtainCredentials(ctx context.Context) error {
	token := strings.TrimSpace(n.opt.JoinToken)
	if c := n.creds.Load(); c != nil {
		if !n.opt.Dir.Empty() {
			return nil
		}
		return n.sameGroup(token, c.GroupID)
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
	return n.useCredentials(c)
}

// sameGroup refuses the string of another group on a node that has begun to enter one.
func (n *Node) sameGroup(token, groupID string) error {
	var got string
	if in, err := pki.ParseInit(token, n.opt.Now()); err == nil {
		got = in.GroupID
	} else if t, err := pki.ParseJoinToken(token, n.opt.Now()); err == nil {
		got = t.GroupID
	}
	if got != "" && got != groupID {
		return fmt.Errorf("the join token is of group %s, but the data directory %s has begun to enter group %s: move it away to enter another group", got, n.opt.Dir.Path(), groupID)
	}
	return nil
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

package raftnode

import (
	"bufio"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/raftnode/pki"
)

// roleNode is the role of tokens that let a node in.
const roleNode = "node"

// NewJoinToken makes a join token that is valid for ttl and records it. The text is a secret; it is not kept anywhere.
func (n *Node) NewJoinToken(ctx context.Context, ttl time.Duration, note string) (string, error) {
	if err := n.Sync(ctx); err != nil {
		return "", fmt.Errorf("make join token: %w", err)
	}
	g := n.state.Group()
	if g == nil {
		return "", fmt.Errorf("make join token: %w", retryLater("the group has no state yet"))
	}
	ca, err := pki.LoadCA(g.CACert, g.CAKey)
	if err != nil {
		return "", fmt.Errorf("make join token: %w", err)
	}
	tok, err := pki.NewJoinToken(ca, ttl, n.opt.Now())
	if err != nil {
		return "", fmt.Errorf("make join token: %w", err)
	}
	r, err := n.Propose(ctx, &fsm.TokenPut{Token: fsm.Token{ID: tok.ID, Role: roleNode, Hash: tok.SecretHash(), Note: note,
		Created: n.opt.Now().UTC().Truncate(time.Second), Expires: tok.Expires}})
	if err != nil {
		return "", fmt.Errorf("make join token: %w", err)
	}
	if r.Code != fsm.CodeOK {
		return "", fmt.Errorf("make join token: %w", refused("%s", r.Message))
	}
	return tok.String(), nil
}

// serveJoin answers the one request of a node that has no certificate yet.
func (n *Node) serveJoin(c *tls.Conn) {
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(handshakeWait))
	f, err := readFrame(bufio.NewReader(c), maxTokenFrame)
	if err != nil || f.kind != callToken {
		n.met.refused.WithLabelValues("bad join request").Inc()
		return
	}
	ctx, cancel := context.WithTimeout(n.ctx, joinWait)
	defer cancel()
	reply := frame{id: f.id, kind: replyOK}
	if at, _ := n.watch.get(); at.known && !at.self {
		// The one hop: the joining node cannot call the leader itself, since it need not be able to reach it.
		reply.payload, err = n.pool.call(ctx, at.addr, nameOf(at.id), callToken, f.payload)
	} else {
		reply.payload, err = n.handleToken(ctx, caller{}, f.payload)
	}
	if err != nil {
		n.met.refused.WithLabelValues("join token refused").Inc()
		reply.kind, reply.payload = replyFailed, asFailure(err).encode()
	}
	_ = c.SetDeadline(time.Now().Add(writeWait))
	_, _ = c.Write(appendFrame(nil, reply))
}

// handleToken is the leader's end: it uses the token up and signs the certificate.
func (n *Node) handleToken(ctx context.Context, _ caller, payload []byte) ([]byte, error) {
	req, err := decodeJSON[tokenRequest](payload)
	if err != nil {
		return nil, refused("join request: %v", err)
	}
	l, err := n.leading(ctx)
	if err != nil {
		return nil, err
	}
	g := n.state.Group()
	if g == nil {
		return nil, retryLater("the group has no state yet")
	}
	// One text for all that somebody without a genuine token could try.
	unknown := refused("the join token is unknown, or has been revoked")
	tok, ok := n.state.TokenByID(req.ID)
	hash := sha256.Sum256(req.Secret)
	if subtle.ConstantTimeCompare(hash[:], tok.Hash) != 1 || !ok || tok.Role != roleNode {
		return nil, unknown
	}
	name, pub, err := pki.CheckCSR(req.CSR, g.ID)
	if err != nil {
		return nil, refused("%v", err)
	}
	if err := n.admissible(name, req.release); err != nil { // before the token is used up
		return nil, err
	}
	nodeID, err := nodeIDOf(pub)
	if err != nil {
		return nil, refused("%v", err)
	}
	if n.wasRemoved(serverID(name, nodeID)) {
		return nil, staysOut(name)
	}
	if err := n.nameIsFree(ctx, name, serverID(name, nodeID)); err != nil {
		return nil, err
	}
	spki, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return nil, refused("%v", err)
	}
	usedBy := sha256.Sum256(spki)
	r, err := n.command(l, fsm.Identify(&fsm.TokenUse{ID: req.ID, UsedBy: usedBy[:], UsedName: name}, freshID))
	if err != nil {
		return nil, err
	}
	switch r.Code {
	case fsm.CodeOK:
	case fsm.CodeUsed:
		return nil, refused("the join token has been used: each lets one node in; make a new one with \"holdfast token create --role node\"")
	case fsm.CodeExpired:
		return nil, refused("the join token has expired: make a new one with \"holdfast token create --role node\"")
	default:
		return nil, unknown
	}
	ca, err := pki.LoadCA(g.CACert, g.CAKey)
	if err != nil {
		return nil, err
	}
	cert, err := ca.IssueNode(name, pub, n.opt.Now())
	if err != nil {
		return nil, refused("%v", err)
	}
	n.log.Info("join token used", "token", req.ID, "member", name)
	return encodeJSON(tokenReply{Cert: cert, Group: g.Name}), nil
}

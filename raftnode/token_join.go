package raftnode

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/holdfast-lb/holdfast/internal/failpoint"
	"github.com/holdfast-lb/holdfast/raftnode/pki"
)

// maxTokenFrame bounds what a node without a certificate may send and is sent, in bytes.
const maxTokenFrame = 16 << 10

// tokenRequest asks for a certificate.
type tokenRequest struct {
	ID     string `json:"id"`
	Secret []byte `json:"secret"`
	CSR    []byte `json:"csr"` // PKCS #10, DER
	release
}

// tokenReply has it.
type tokenReply struct {
	Cert  []byte `json:"cert"` // DER
	Group string `json:"group"`
}

// redeemToken gets the node's certificate for a join token, from any node of the group. Membership is another matter: with
// the certificate the node joins like all others.
func (n *Node) redeemToken(ctx context.Context, text string) error {
	n.setPhase("joining")
	tok, err := pki.ParseJoinToken(text, n.opt.Now())
	if err != nil {
		return err
	}
	if len(n.opt.Join) == 0 && n.opt.Discovered == nil {
		return errors.New("a join token needs --join HOST:PORT to say where the group is, or --discover multicast to look for it")
	}
	// The token is bound to the key that it is first used with, so the key must survive a crash before the reply is here.
	key, err := pendingKey(n.opt.TLSDir)
	if err != nil {
		return err
	}
	csr, err := pki.CSR(key, n.opt.Name, tok.GroupID)
	if err != nil {
		return err
	}
	n.log.Info("asking for a certificate", "by", n.known(), "token", tok.ID)
	wait := backoff{base: 50 * time.Millisecond, limit: 2 * time.Second}
	for {
		for _, addr := range n.known() {
			err := n.redeemAt(ctx, addr, tok, key, csr)
			if err == nil || errors.Is(err, ErrRefused) {
				return err
			}
			n.inTrouble(addr, err)
		}
		select {
		case <-time.After(wait.next()):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (n *Node) redeemAt(ctx context.Context, addr string, tok *pki.JoinToken, key ed25519.PrivateKey, csr []byte) error {
	ctx, cancel := context.WithTimeout(ctx, 2*joinWait)
	defer cancel()
	cfg, err := pki.JoinTLS(tok, protoJoin, n.opt.Now)
	if err != nil {
		return err
	}
	c, err := dialTLS(ctx, n.opt.Network, cfg, addr)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	if at, ok := ctx.Deadline(); ok {
		_ = c.SetDeadline(at)
	}
	defer context.AfterFunc(ctx, func() { _ = c.Close() })()
	reply, err := exchange(c, frame{id: 1, kind: callToken, deadline: joinWait,
		payload: encodeJSON(tokenRequest{ID: tok.ID, Secret: tok.Secret[:], CSR: csr, release: n.says})})
	if err != nil {
		return err
	}
	got, err := decodeJSON[tokenReply](reply)
	if err != nil {
		return err
	}
	if n.opt.Group != "" && n.opt.Group != got.Group {
		return refused("the join token is of group %s, this node wants group %s: set --group %s", got.Group, n.opt.Group, got.Group)
	}
	ca, err := pki.PeerCA(c.ConnectionState(), tok.CAPin)
	if err != nil {
		return err
	}
	creds, err := pki.NewCredentials(got.Cert, key, ca)
	if err != nil {
		return err
	}
	if err := creds.Save(n.opt.TLSDir); err != nil {
		return err
	}
	failpoint.Hit(failpoint.JoinCertificate)
	return errors.Join(n.useCredentials(creds), dropPendingKey(n.opt.TLSDir))
}

// exchange sends one request and reads its reply.
func exchange(c net.Conn, f frame) ([]byte, error) {
	if _, err := c.Write(appendFrame(nil, f)); err != nil {
		return nil, err
	}
	reply, err := readFrame(bufio.NewReader(c), maxTokenFrame)
	if err != nil {
		return nil, err
	}
	switch {
	case reply.id != f.id:
		return nil, fmt.Errorf("%w: reply to another request", errFrame)
	case reply.kind == replyOK:
		return reply.payload, nil
	case reply.kind == replyFailed:
		fail, err := decodeFailure(reply.payload)
		if err != nil {
			return nil, err
		}
		return nil, fail
	}
	return nil, fmt.Errorf("%w: kind %d is no reply", errFrame, reply.kind)
}

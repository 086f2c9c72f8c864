package fsm

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"fmt"
	"slices"
)

// maxTokens bounds the tokens of a group: each change copies the list.
const maxTokens = 10_000

// RoleNode is the role of join tokens.
const RoleNode = "node"

// tokens is the list of tokens by id. A value is immutable.
type tokens []Token

func (ts tokens) find(id string) (int, bool) {
	return slices.BinarySearchFunc(ts, id, func(t Token, id string) int { return cmp.Compare(t.ID, id) })
}

func (r *replica) tokenPut(c *TokenPut) Result {
	t := c.Token
	ts := *r.tokens.Load()
	i, found := ts.find(t.ID)
	switch {
	case t.ID == "":
		return Result{Code: CodeInvalid, Message: "the token has no id"}
	case len(t.Hash) != sha256.Size:
		return Result{Code: CodeInvalid, Message: "the token's hash is not a SHA-256"}
	case found:
		return Result{Code: CodeInvalid, Message: "the token exists"}
	case len(ts) >= maxTokens:
		return Result{Code: CodeInvalid, Message: fmt.Sprintf("there are %d tokens, the most that a group keeps: revoke some", maxTokens)}
	}
	t.Created, t.Expires = canonicalTime(t.Created), canonicalTime(t.Expires)
	if len(t.UsedBy) == 0 {
		t.UsedBy = nil // as a snapshot gives it back
	}
	r.setTokens(slices.Insert(slices.Clone(ts), i, t), nil, &t)
	return Result{}
}

func (r *replica) tokenUse(c *TokenUse) Result {
	ts := *r.tokens.Load()
	i, found := ts.find(c.ID)
	if !found {
		return Result{Code: CodeAbsent, Message: "no such token"}
	}
	t := ts[i]
	switch {
	case t.Role != RoleNode:
		return Result{Code: CodeInvalid, Message: "the token is not a join token"}
	case len(c.UsedBy) == 0:
		return Result{Code: CodeInvalid, Message: "the token is used without a public key"}
	case len(t.UsedBy) > 0 && bytes.Equal(t.UsedBy, c.UsedBy):
		return Result{} // sent again, perhaps after it has expired: the key is in already
	case len(t.UsedBy) > 0:
		return Result{Code: CodeUsed, Message: "the token has been used by another key"}
	case !t.Expires.IsZero() && r.now.Load() >= t.Expires.UnixMilli():
		return Result{Code: CodeExpired, Message: "the token has expired"}
	}
	old := t
	t.UsedBy, t.UsedName = c.UsedBy, c.UsedName
	next := slices.Clone(ts)
	next[i] = t
	r.setTokens(next, &old, &t)
	return Result{}
}

func (r *replica) tokenDrop(c *TokenDrop) Result {
	ts := *r.tokens.Load()
	i, found := ts.find(c.ID)
	if !found {
		return Result{Code: CodeAbsent, Message: "no such token"}
	}
	old := ts[i]
	r.setTokens(slices.Delete(slices.Clone(ts), i, i+1), &old, nil)
	return Result{}
}

// setTokens makes next current; out and in are what has left and come, or nil.
func (r *replica) setTokens(next tokens, out, in *Token) {
	if out != nil {
		r.items.sub(itemSum(itemToken, appendToken(nil, out)))
	}
	if in != nil {
		r.items.add(itemSum(itemToken, appendToken(nil, in)))
	}
	r.tokens.Store(&next)
}

// appendToken is the canonical form of a token.
func appendToken(b []byte, t *Token) []byte {
	b = appendBytes(b, t.ID)
	b = appendBytes(b, t.Role)
	b = appendBytes(b, t.Hash)
	b = appendBytes(b, t.Note)
	b = appendTime(b, t.Created)
	b = appendTime(b, t.Expires)
	b = appendBytes(b, t.UsedBy)
	return appendBytes(b, t.UsedName)
}

func parseToken(b []byte) (Token, bool) {
	p := parser{b: b}
	t := Token{ID: p.string(), Role: p.string(), Hash: p.bytes(), Note: p.string(), Created: p.time(), Expires: p.time(),
		UsedBy: p.bytes(), UsedName: p.string()}
	return t, p.done() && t.ID != "" && len(t.Hash) == sha256.Size
}

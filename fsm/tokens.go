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

// maxTokenClusters bounds the clusters that one token is bound to.
const maxTokenClusters = 100

// RoleNode is the role of join tokens.
const RoleNode = "node"

// tokens is the list of tokens by id. A value is immutable.
type tokens []Token

func (ts tokens) find(id string) (int, bool) {
	return slices.BinarySearchFunc(ts, id, func(t Token, id string) int { return cmp.Compare(t.ID, id) })
}

func (r *replica) tokenPut(index uint64, c *TokenPut) Result {
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
	case t.User != "" && t.Role != "":
		return Result{Code: CodeInvalid, Message: "a token of a user has no role of its own: it has those of the user"}
	case t.User != "" && r.operating.Load().Access.User(t.User) == nil:
		return Result{Code: CodeInvalid, Message: fmt.Sprintf("there is no user %s: 'holdfast user set' makes one", clip(t.User, maxAccessName))}
	case t.User == "" && !BuiltIn(t.Role) && r.operating.Load().Access.Role(t.Role) == nil:
		return Result{Code: CodeInvalid, Message: fmt.Sprintf("there is no role %s: 'holdfast role set' makes one", clip(t.Role, maxAccessName))}
	case len(ts) >= maxTokens:
		return Result{Code: CodeInvalid, Message: fmt.Sprintf("there are %d tokens, the most that a group keeps: revoke some", maxTokens)}
	}
	if len(t.Clusters) > maxTokenClusters || slices.ContainsFunc(t.Clusters, func(c string) bool { return c == "" || len(c) > maxNameBytes }) {
		return Result{Code: CodeInvalid, Message: fmt.Sprintf("a token is bound to at most %d clusters, with names of 1 to %d bytes", maxTokenClusters, maxNameBytes)}
	}
	if len(t.Clusters) == 0 {
		t.Clusters = nil
	}
	t.Created, t.Expires = canonicalTime(t.Created), canonicalTime(t.Expires)
	if len(t.UsedBy) == 0 {
		t.UsedBy = nil // as a snapshot gives it back
	}
	r.setTokens(slices.Insert(slices.Clone(ts), i, t), nil, &t)
	if c.Actor != "" {
		r.emit(index, Event{Kind: EventAccess, Actor: c.Actor, Text: fmt.Sprintf("Token %s made%s: %s", t.ID, by(c.Actor), t.whose())})
	}
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

// whose says what a token stands for.
func (t *Token) whose() string {
	if t.User != "" {
		return "of user " + t.User
	}
	return "role " + t.Role
}

func (r *replica) tokenDrop(index uint64, c *TokenDrop) Result {
	ts := *r.tokens.Load()
	i, found := ts.find(c.ID)
	if !found {
		return Result{Code: CodeAbsent, Message: "no such token"}
	}
	old := ts[i]
	next := slices.Delete(slices.Clone(ts), i, i+1)
	// A group that has nothing but tokens goes on as it did before there were users.
	if a := r.operating.Load().Access; a != nil {
		if res, refused := r.lockedOut(a, next); refused {
			return res
		}
	}
	r.setTokens(next, &old, nil)
	if c.Actor != "" {
		r.emit(index, Event{Kind: EventAccess, Actor: c.Actor, Text: fmt.Sprintf("Token %s revoked%s: %s", old.ID, by(c.Actor), old.whose())})
	}
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
	b = appendBytes(b, t.UsedName)
	// An older version had neither users nor bounds: what has none keeps its form.
	if t.User != "" {
		b = append(b, tokenUser)
		b = appendBytes(b, t.User)
	}
	if len(t.Clusters) > 0 {
		b = append(b, tokenClusters)
		b = appendU32(b, uint32(len(t.Clusters)))
		for _, c := range t.Clusters {
			b = appendBytes(b, c)
		}
	}
	return b
}

// What begins the parts of a token's canonical form that not every token has, in their order.
const (
	tokenUser     = 'U'
	tokenClusters = 'c'
)

func parseToken(b []byte) (Token, bool) {
	p := parser{b: b}
	t := Token{ID: p.string(), Role: p.string(), Hash: p.bytes(), Note: p.string(), Created: p.time(), Expires: p.time(),
		UsedBy: p.bytes(), UsedName: p.string()}
	last := uint8(0)
	for len(p.b) > 0 && !p.bad {
		field := p.u8()
		switch {
		case field <= last:
			return t, false
		case field == tokenUser:
			t.User = p.string()
			p.bad = p.bad || t.User == "" || t.Role != ""
		case field == tokenClusters:
			n := p.u32()
			for ; n > 0 && !p.bad && len(t.Clusters) < maxTokenClusters; n-- {
				t.Clusters = append(t.Clusters, p.string())
			}
			if n > 0 || len(t.Clusters) == 0 || slices.ContainsFunc(t.Clusters, func(c string) bool { return c == "" || len(c) > maxNameBytes }) {
				return t, false
			}
		default:
			return t, false
		}
		last = field
	}
	return t, p.done() && t.ID != "" && len(t.Hash) == sha256.Size
}

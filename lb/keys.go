package lb

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"sync"

	"github.com/holdfast-lb/holdfast/fsm"
)

// keyring holds the data plane's keys of one group: all are derived from the group's secret, so that every node has the same.
type keyring struct {
	group *fsm.Group
	block cipher.Block
	aead  cipher.AEAD
	macs  sync.Pool // of *mac
}

// mac is a reusable HMAC with the buffer that its input is put together in.
type mac struct {
	h   hash.Hash
	buf []byte
}

// errNoGroup is returned while the node does not belong to a group yet.
var errNoGroup = errors.New("no group yet")

func newKeyring(g *fsm.Group) (*keyring, error) {
	cookieKey, err := hkdf.Key(sha256.New, g.Secret, nil, "cookie", 32)
	if err != nil {
		return nil, fmt.Errorf("derive cookie key: %w", err)
	}
	sessionKey, err := hkdf.Key(sha256.New, g.Secret, nil, "session", 32)
	if err != nil {
		return nil, fmt.Errorf("derive session key: %w", err)
	}
	block, err := aes.NewCipher(cookieKey)
	if err != nil {
		return nil, fmt.Errorf("cookie cipher: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("cookie cipher: %w", err)
	}
	k := &keyring{group: g, block: block, aead: aead}
	k.macs.New = func() any { return &mac{h: hmac.New(sha256.New, sessionKey)} }
	return k, nil
}

// fits reports whether the keyring is the one of g. The state may hand out a new value for the same group after a restore.
func (k *keyring) fits(g *fsm.Group) bool {
	return k.group == g || k.group.Epoch == g.Epoch && k.group.Line() == g.Line() && bytes.Equal(k.group.Secret, g.Secret)
}

// sessionKey is the replicated key of an application's session id (without suffix) in a scope.
func (k *keyring) sessionKey(scope []byte, bareID string) fsm.Key {
	m := k.macs.Get().(*mac)
	defer k.macs.Put(m)
	m.buf = append(append(append(m.buf[:0], scope...), 0), bareID...)
	m.h.Reset()
	m.h.Write(m.buf)
	n := len(m.buf)
	m.buf = m.h.Sum(m.buf)
	key := fsm.Key(m.buf[n : n+len(fsm.Key{})])
	clear(m.buf) // the id is the application's secret
	return key
}

// scopeOf binds keys and cookies to one module of one cluster. NUL cannot occur in any of the three.
func scopeOf(cluster, host, contextRoot string) []byte {
	return []byte(cluster + "\x00" + normalHost(host) + "\x00" + normalRoot(contextRoot))
}

// SessionKey gives the key under which the group records the session with the given id. bareID has no route or clone suffix
// (see Balancer.SessionKey for ids as clients send them). The zero key is returned for a group without a usable secret.
func SessionKey(group *fsm.Group, cluster, host, contextRoot, bareID string) fsm.Key {
	if group == nil {
		return fsm.Key{}
	}
	k, err := newKeyring(group)
	if err != nil {
		return fsm.Key{}
	}
	return k.sessionKey(scopeOf(cluster, host, contextRoot), bareID)
}

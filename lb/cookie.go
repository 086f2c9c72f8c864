package lb

import (
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"sync"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/internal/mutant"
)

// Cookie is what a sealed cookie says. The client can neither read nor change it.
type Cookie struct {
	// Epoch is the group's epoch in which the cookie was made, Line that epoch's (fsm.EpochStart.Line).
	Epoch, Line uint32
	// Index is the log index of the assignment, 0 for a provisional one.
	Index    uint64
	Instance fsm.InstanceID
	// Born is the line of the epoch in which the instance got its id (fsm.Group.Born).
	Born uint32
	Key  fsm.Key
	// Provisional means that no majority had recorded the assignment when the cookie was made.
	Provisional bool
}

// The sealed form is base64url without padding of version 1 | nonce 12 | AES-256-GCM(epoch 4 | index 8 | instance 4 | key 16 |
// flags 1 | line 4 | born 4) with its tag of 16, numbers big endian; the additional data is the scope (cluster NUL host NUL context root).
// Version 2 is that; version 1 has neither line nor born, both are 0, and is what a group writes as long as they are.
// Nonces are random: NIST SP 800-38D allows 2^32 of them under one key before a repeat is likelier than 2^-32.
const (
	cookieNonceLen  = 12
	cookiePlainLen1 = 4 + 8 + 4 + 16 + 1
	cookiePlainLen2 = cookiePlainLen1 + 4 + 4
	cookieTagLen    = 16
	cookieMore      = 1 + cookieNonceLen + cookieTagLen
	flagProvisional = 1
)

// Strict refuses the spare bits of the last digit, so that one cookie has one spelling.
var cookieEncoding = base64.RawURLEncoding.Strict()

// cookieTextLen1 and cookieTextLen2 are the lengths of the two versions in characters.
var (
	cookieTextLen1 = cookieEncoding.EncodedLen(cookieMore + cookiePlainLen1)
	cookieTextLen2 = cookieEncoding.EncodedLen(cookieMore + cookiePlainLen2)
)

// errCookie is all that is said about a cookie that does not open: which check failed is nobody's business.
var errCookie = errors.New("cookie is not authentic for this module")

// cookieScratch keeps the buffers of one seal or open off the heap of each request.
type cookieScratch struct {
	text  [96]byte
	raw   [cookieMore + cookiePlainLen2]byte
	plain [cookiePlainLen2]byte
}

var cookieScratches = sync.Pool{New: func() any { return new(cookieScratch) }}

// seal gives the cookie's value.
func (k *keyring) seal(c Cookie, scope []byte) string {
	s := cookieScratches.Get().(*cookieScratch)
	defer cookieScratches.Put(s)
	p := s.plain[:]
	binary.BigEndian.PutUint32(p, c.Epoch)
	binary.BigEndian.PutUint64(p[4:], c.Index)
	binary.BigEndian.PutUint32(p[12:], uint32(c.Instance))
	copy(p[16:], c.Key[:])
	p[32] = 0
	if c.Provisional {
		p[32] = flagProvisional
	}
	binary.BigEndian.PutUint32(p[33:], c.Line)
	binary.BigEndian.PutUint32(p[37:], c.Born)
	version, size := byte(2), cookieTextLen2
	if c.Line == 0 && c.Born == 0 {
		version, size, p = 1, cookieTextLen1, p[:cookiePlainLen1]
	}
	s.raw[0] = version
	nonce := s.raw[1 : 1+cookieNonceLen]
	rand.Read(nonce) // never fails, by its contract
	raw := k.aead.Seal(s.raw[:1+cookieNonceLen], nonce, p, scope)
	text := s.text[:size]
	cookieEncoding.Encode(text, raw)
	return string(text)
}

// open gives what an authentic cookie of this scope says, else errCookie. It does not allocate.
func (k *keyring) open(value string, scope []byte) (Cookie, error) {
	version := byte(1)
	switch len(value) {
	case cookieTextLen1:
	case cookieTextLen2:
		version = 2
	default:
		return Cookie{}, errCookie
	}
	s := cookieScratches.Get().(*cookieScratch)
	defer cookieScratches.Put(s)
	text := s.text[:copy(s.text[:], value)]
	n, err := cookieEncoding.Decode(s.raw[:], text)
	if err != nil || s.raw[0] != version {
		return Cookie{}, errCookie
	}
	nonce, sealed := s.raw[1:1+cookieNonceLen], s.raw[1+cookieNonceLen:n]
	p, err := k.aead.Open(s.plain[:0], nonce, sealed, scope)
	if err != nil {
		if !mutant.On("cookie-unauthenticated") {
			return Cookie{}, errCookie
		}
		p = s.plain[:n-cookieMore]
		unsealUnchecked(k.block, p, nonce, sealed)
	}
	c := Cookie{
		Epoch:       binary.BigEndian.Uint32(p),
		Index:       binary.BigEndian.Uint64(p[4:]),
		Instance:    fsm.InstanceID(binary.BigEndian.Uint32(p[12:])),
		Key:         fsm.Key(p[16:32]),
		Provisional: p[32]&flagProvisional != 0,
	}
	if version == 2 {
		c.Line, c.Born = binary.BigEndian.Uint32(p[33:]), binary.BigEndian.Uint32(p[37:])
	}
	return c, nil
}

// unsealUnchecked decrypts without looking at the tag: GCM encrypts in counter mode from nonce | 2 on (SP 800-38D, 7.1).
// Only the mutant of open uses it, by which the kill test shows that it would notice.
func unsealUnchecked(block cipher.Block, plain, nonce, sealed []byte) {
	var iv [16]byte
	copy(iv[:], nonce)
	iv[15] = 2
	cipher.NewCTR(block, iv[:]).XORKeyStream(plain, sealed[:len(plain)])
}

// OpenCookie lets an operator see what a client's cookie says. Instance is 0 when its id does not stand for that instance here, as in a cookie from another
// history of the group. The error does not tell why a cookie is refused.
func OpenCookie(group *fsm.Group, cluster, host, contextRoot, value string) (Cookie, error) {
	if group == nil {
		return Cookie{}, errNoGroup
	}
	k, err := newKeyring(group)
	if err != nil {
		return Cookie{}, err
	}
	c, err := k.open(value, scopeOf(cluster, host, contextRoot))
	if next, _ := group.Missed(c.Epoch, c.Line, c.Index); err == nil && (c.Epoch <= group.Epoch && lost(next, c.Instance) || !group.Means(c.Instance, c.Born)) {
		c.Instance = 0
	}
	return c, err
}

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
	// Epoch is the group's epoch in which the cookie was made.
	Epoch uint32
	// Index is the log index of the assignment, 0 for a provisional one.
	Index    uint64
	Instance fsm.InstanceID
	Key      fsm.Key
	// Provisional means that no majority had recorded the assignment when the cookie was made.
	Provisional bool
}

// The sealed form is base64url without padding of version 1 | nonce 12 | AES-256-GCM(epoch 4 | index 8 | instance 4 | key 16 |
// flags 1) with its tag of 16, numbers big endian; the additional data is the scope (cluster NUL host NUL context root).
// Nonces are random: NIST SP 800-38D allows 2^32 of them under one key before a repeat is likelier than 2^-32.
const (
	cookieVersion   = 1
	cookieNonceLen  = 12
	cookiePlainLen  = 4 + 8 + 4 + 16 + 1
	cookieTagLen    = 16
	cookieRawLen    = 1 + cookieNonceLen + cookiePlainLen + cookieTagLen
	flagProvisional = 1
)

// Strict refuses the spare bits of the last digit, so that one cookie has one spelling.
var cookieEncoding = base64.RawURLEncoding.Strict()

var cookieTextLen = cookieEncoding.EncodedLen(cookieRawLen)

// errCookie is all that is said about a cookie that does not open: which check failed is nobody's business.
var errCookie = errors.New("cookie is not authentic for this module")

// cookieScratch keeps the buffers of one seal or open off the heap of each request.
type cookieScratch struct {
	text  [88]byte
	raw   [cookieRawLen]byte
	plain [cookiePlainLen]byte
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
	s.raw[0] = cookieVersion
	nonce := s.raw[1 : 1+cookieNonceLen]
	rand.Read(nonce) // never fails, by its contract
	k.aead.Seal(s.raw[:1+cookieNonceLen], nonce, p, scope)
	text := s.text[:cookieTextLen]
	cookieEncoding.Encode(text, s.raw[:])
	return string(text)
}

// open gives what an authentic cookie of this scope says, else errCookie. It does not allocate.
func (k *keyring) open(value string, scope []byte) (Cookie, error) {
	if len(value) != cookieTextLen {
		return Cookie{}, errCookie
	}
	s := cookieScratches.Get().(*cookieScratch)
	defer cookieScratches.Put(s)
	text := s.text[:copy(s.text[:], value)]
	if n, err := cookieEncoding.Decode(s.raw[:], text); err != nil || n != cookieRawLen || s.raw[0] != cookieVersion {
		return Cookie{}, errCookie
	}
	nonce, sealed := s.raw[1:1+cookieNonceLen], s.raw[1+cookieNonceLen:]
	p, err := k.aead.Open(s.plain[:0], nonce, sealed, scope)
	if err != nil {
		if !mutant.On("cookie-unauthenticated") {
			return Cookie{}, errCookie
		}
		p = s.plain[:]
		unsealUnchecked(k.block, p, nonce, sealed)
	}
	return Cookie{
		Epoch:       binary.BigEndian.Uint32(p),
		Index:       binary.BigEndian.Uint64(p[4:]),
		Instance:    fsm.InstanceID(binary.BigEndian.Uint32(p[12:])),
		Key:         fsm.Key(p[16:32]),
		Provisional: p[32]&flagProvisional != 0,
	}, nil
}

// unsealUnchecked decrypts without looking at the tag: GCM encrypts in counter mode from nonce | 2 on (SP 800-38D, 7.1).
// Only the mutant of open uses it, by which the kill test shows that it would notice.
func unsealUnchecked(block cipher.Block, plain, nonce, sealed []byte) {
	var iv [16]byte
	copy(iv[:], nonce)
	iv[15] = 2
	cipher.NewCTR(block, iv[:]).XORKeyStream(plain, sealed[:len(plain)])
}

// OpenCookie lets an operator see what a client's cookie says. The error does not tell why a cookie is refused.
func OpenCookie(group *fsm.Group, cluster, host, contextRoot, value string) (Cookie, error) {
	if group == nil {
		return Cookie{}, errNoGroup
	}
	k, err := newKeyring(group)
	if err != nil {
		return Cookie{}, err
	}
	return k.open(value, scopeOf(cluster, host, contextRoot))
}

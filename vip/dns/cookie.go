package dns

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"time"
)

// cookies makes and checks server cookies (RFC 7873): one that a client brings back shows that answers reach it at the address from which it asks. They have
// the form of RFC 9018: version, 3 reserved bytes, time in seconds, 8 bytes of hash. The key is made anew in each process: each node has an address of its
// own, so no other node has to know it.
type cookies struct {
	key [32]byte
}

// cookie is what a query's cookie comes to.
type cookie struct {
	answer string // in hexadecimal digits, for the answer; empty when the query had none
	proven bool   // the client's address is its own
}

const (
	clientCookie = 8
	serverCookie = 16
	cookieLife   = time.Hour
	cookieEarly  = 5 * time.Minute // RFC 9018 4.3
)

func newCookies() *cookies {
	c := &cookies{}
	_, _ = rand.Read(c.key[:]) // never fails
	return c
}

// read checks the cookie of a query. false: it has a length that no cookie has (RFC 7873 5.2.2).
func (c *cookies) read(digits string, from netip.Addr, now time.Time) (cookie, bool) {
	raw, err := hex.DecodeString(digits)
	if n := len(raw); err != nil || n < clientCookie || n > clientCookie && n < clientCookie+8 || n > clientCookie+32 {
		return cookie{}, false
	}
	client, server := raw[:clientCookie], raw[clientCookie:]
	made := cookie{answer: hex.EncodeToString(c.make(client, uint32(now.Unix()), from))}
	if len(server) == serverCookie {
		stamp := binary.BigEndian.Uint32(server[4:])
		age := time.Duration(int32(uint32(now.Unix())-stamp)) * time.Second // serial number arithmetic
		made.proven = age <= cookieLife && age >= -cookieEarly && hmac.Equal(raw, c.make(client, stamp, from))
	}
	return made, true
}

// make gives the client's cookie with the server's behind it.
func (c *cookies) make(client []byte, stamp uint32, from netip.Addr) []byte {
	full := make([]byte, clientCookie+8, clientCookie+serverCookie+sha256.Size)
	copy(full, client)
	full[clientCookie] = 1
	binary.BigEndian.PutUint32(full[clientCookie+4:], stamp)
	mac := hmac.New(sha256.New, c.key[:])
	mac.Write(full)
	ip := from.As16()
	mac.Write(ip[:])
	return mac.Sum(full)[:clientCookie+serverCookie]
}

package lb

import (
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"time"
)

// requestIDPolicy says how requests get their ids.
type requestIDPolicy struct {
	header       string // canonical; "": there are none
	all, proxies bool   // whose id is kept: everybody's, that of trusted proxies
	respond      bool
}

// maxRequestID is more than any usual form has (a trace of Amazon's has 70 characters and more).
const maxRequestID = 128

// requestID gives the id of a request: the one that it has, if its sender may give one and it is of a harmless form, or else a new one.
func (p *requestIDPolicy) requestID(h http.Header, trusted bool, now time.Time) string {
	if p.header == "" {
		return ""
	}
	if p.all || trusted && p.proxies {
		if list := h[p.header]; len(list) == 1 && isRequestID(list[0]) {
			return list[0]
		}
	}
	return newRequestID(now)
}

// isRequestID allows what base64, UUIDs and trace ids are made of.
func isRequestID(id string) bool {
	if id == "" || len(id) > maxRequestID {
		return false
	}
	for i := range len(id) {
		switch c := id[i]; {
		case isAlnum(c), c == '-', c == '_', c == '.', c == '=', c == '+', c == '/', c == ':', c == ';', c == '@', c == '~':
		default:
			return false
		}
	}
	return true
}

// newRequestID makes a UUID of version 7 (RFC 9562, 5.7): sorted by time, and random enough that nobody meets or guesses another one.
func newRequestID(now time.Time) string {
	var raw [16]byte
	rand.Read(raw[6:]) // never fails
	ms := uint64(now.UnixMilli())
	for i := range 6 {
		raw[i] = byte(ms >> (40 - 8*i))
	}
	raw[6], raw[8] = raw[6]&0x0f|0x70, raw[8]&0x3f|0x80
	var text [36]byte
	at := 0
	for _, part := range [...][]byte{raw[:4], raw[4:6], raw[6:8], raw[8:10], raw[10:]} {
		if at > 0 {
			text[at] = '-'
			at++
		}
		at += hex.Encode(text[at:], part)
	}
	return string(text[:])
}

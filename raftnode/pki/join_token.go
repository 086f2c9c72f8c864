package pki

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
)

// JoinToken lets one node into a group: it pins the group's authority and carries a secret that is used once.
type JoinToken struct {
	GroupID string   // UUID
	CAPin   [32]byte // PinOf the CA certificate
	ID      string   // names the token in the replicated state
	Secret  [32]byte `json:"-"`
	Expires time.Time
}

// NewJoinToken makes a token for the group of ca with a random id and secret, valid for ttl (above 0, at most 366 days).
func NewJoinToken(ca *CA, ttl time.Duration, now time.Time) (*JoinToken, error) {
	if err := checkTTL(ttl); err != nil {
		return nil, fmt.Errorf("make join token: %w", err)
	}
	t := &JoinToken{GroupID: ca.GroupID, CAPin: PinOf(ca.CertDER), Expires: seconds(now.Add(ttl))}
	var id [5]byte
	rand.Read(id[:])
	rand.Read(t.Secret[:])
	t.ID = strings.ToLower(base32.StdEncoding.EncodeToString(id[:]))
	return t, nil
}

// SecretHash is the SHA-256 of the secret: what the replicated state keeps.
func (t JoinToken) SecretHash() []byte {
	h := sha256.Sum256(t.Secret[:])
	return h[:]
}

// String gives the token's text, secret included: call it only to hand the token over. fmt and slog do not use it.
// It is empty when a field is not what ParseJoinToken would accept.
func (t JoinToken) String() string {
	id, err := parseUUID(t.GroupID)
	if err != nil || !validName(t.ID) || t.Expires.Unix() <= 0 {
		return ""
	}
	// Payload: group id 16 | CA pin 32 | secret 32 | expires s 8 | id length 1 | id. Big endian.
	b := append(make([]byte, 0, 89+len(t.ID)), id[:]...)
	b = append(b, t.CAPin[:]...)
	b = append(b, t.Secret[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(t.Expires.Unix()))
	b = append(b, byte(len(t.ID)))
	return seal(joinPrefix, append(b, t.ID...))
}

// ParseJoinToken reads a join token. The error wraps ErrKind, ErrMistyped or ErrExpired and never quotes the token.
// A zero now skips the check of the time. Whether the token is still unused only the group can tell.
func ParseJoinToken(s string, now time.Time) (*JoinToken, error) {
	t, err := parseJoinToken(s)
	if err == nil {
		err = checkTime(time.Time{}, t.Expires, now, "holdfast token create --role node")
	}
	if err != nil {
		return nil, fmt.Errorf("join token: %w", err)
	}
	return t, nil
}

func parseJoinToken(s string) (*JoinToken, error) {
	b, err := unseal(joinPrefix, s)
	if err != nil {
		return nil, err
	}
	if len(b) < 89 || len(b) != 89+int(b[88]) {
		return nil, fmt.Errorf("%w: it has the wrong length", ErrMistyped)
	}
	t := &JoinToken{GroupID: formatUUID([16]byte(b[:16])), CAPin: [32]byte(b[16:48]), Secret: [32]byte(b[48:80]), ID: string(b[89:])}
	if t.Expires, err = decodeTime(b[80:88]); err != nil {
		return nil, err
	}
	if !validName(t.ID) {
		return nil, errors.New("its id has characters that no id has")
	}
	return t, nil
}

// Format prints the token without its secret, whatever the verb.
func (t JoinToken) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "pki.JoinToken{%s, group %s, expires %s, secret redacted}", t.ID, t.GroupID, t.Expires.Format(time.RFC3339))
}

// LogValue implements slog.LogValuer without the secret.
func (t JoinToken) LogValue() slog.Value {
	return slog.GroupValue(slog.String("id", t.ID), slog.String("groupId", t.GroupID), slog.Time("expires", t.Expires))
}

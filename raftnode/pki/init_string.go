package pki

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// clockSlack is how far the clocks of two machines may differ before a certificate or string counts as "not yet
// valid". It is generous because a wrong clock at installation is common and gains an attacker nothing here.
const clockSlack = 24 * time.Hour

// maxTTL bounds the life of init strings and join tokens: they are for minutes or days.
const maxTTL = 366 * 24 * time.Hour

// Init is what an init string says. Whoever has it can make certificates of the group: it is the group's key.
type Init struct {
	GroupID   string // UUID
	GroupName string
	NotBefore time.Time
	Expires   time.Time
	// seed sits behind a pointer so that fmt, when it meets an Init inside another struct, prints an address only.
	seed *[32]byte
}

// NewInit makes the init string of a new group, valid from now for ttl (above 0, at most 366 days).
func NewInit(group string, ttl time.Duration, now time.Time) (string, error) {
	if err := CheckName("group name", group); err != nil {
		return "", fmt.Errorf("make init string: %w", err)
	}
	if err := checkTTL(ttl); err != nil {
		return "", fmt.Errorf("make init string: %w", err)
	}
	in := Init{GroupID: NewGroupID(), GroupName: group, NotBefore: seconds(now), Expires: seconds(now.Add(ttl)), seed: new([32]byte)}
	rand.Read(in.seed[:])
	return in.encode(), nil
}

// ParseInit reads an init string. The error wraps ErrKind, ErrMistyped or ErrExpired and never quotes the string.
// A zero now skips the check of the time.
func ParseInit(s string, now time.Time) (*Init, error) {
	in, err := parseInit(s)
	if err == nil {
		err = checkTime(in.NotBefore, in.Expires, now, "holdfast init")
	}
	if err != nil {
		return nil, fmt.Errorf("init string: %w", err)
	}
	return in, nil
}

// CA derives the group's certificate authority. Every holder of the string gets the same bytes.
func (in *Init) CA() (*CA, error) {
	return deriveCA(in.GroupID, in.GroupName, in.seed[:], in.NotBefore)
}

// Payload: group id 16 | not before s 8 | expires s 8 | seed 32 | name length 1 | name. Big endian.
func (in *Init) encode() string {
	id, err := parseUUID(in.GroupID)
	if err != nil {
		panic("BUG: init with a bad group id")
	}
	b := append(make([]byte, 0, 65+len(in.GroupName)), id[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(in.NotBefore.Unix()))
	b = binary.BigEndian.AppendUint64(b, uint64(in.Expires.Unix()))
	b = append(b, in.seed[:]...)
	b = append(b, byte(len(in.GroupName)))
	return seal(initPrefix, append(b, in.GroupName...))
}

func parseInit(s string) (*Init, error) {
	b, err := unseal(initPrefix, s)
	if err != nil {
		return nil, err
	}
	if len(b) < 65 || len(b) != 65+int(b[64]) {
		return nil, fmt.Errorf("%w: it has the wrong length", ErrMistyped)
	}
	in := &Init{GroupID: formatUUID([16]byte(b[:16])), GroupName: string(b[65:]), seed: new([32]byte)}
	copy(in.seed[:], b[32:64])
	if in.NotBefore, err = decodeTime(b[16:24]); err != nil {
		return nil, err
	}
	if in.Expires, err = decodeTime(b[24:32]); err != nil {
		return nil, err
	}
	if err := CheckName("group name", in.GroupName); err != nil {
		return nil, err
	}
	return in, nil
}

// seconds cuts t to what the strings and certificates can carry.
func seconds(t time.Time) time.Time { return t.UTC().Truncate(time.Second) }

// decodeTime refuses what X.509 cannot write (years 1950 to 9999, RFC 5280 4.1.2.5).
func decodeTime(b []byte) (time.Time, error) {
	s := binary.BigEndian.Uint64(b)
	if s == 0 || s > 250_000_000_000 { // year 9892
		return time.Time{}, errors.New("its time is out of range; make a new one")
	}
	return time.Unix(int64(s), 0).UTC(), nil
}

func checkTTL(ttl time.Duration) error {
	if ttl < time.Second || ttl > maxTTL {
		return fmt.Errorf("time to live %v: must be from 1s to %dh", ttl, int(maxTTL.Hours()))
	}
	return nil
}

func checkTime(from, until, now time.Time, remedy string) error {
	switch {
	case now.IsZero():
		return nil
	case !now.Before(until):
		return fmt.Errorf("%w: expired on %s; make a new one with %q", ErrExpired, until.Format(time.RFC3339), remedy)
	case !from.IsZero() && now.Before(from.Add(-clockSlack)):
		return fmt.Errorf("%w: it was made on %s, which is in the future here; set this machine's clock", ErrExpired, from.Format(time.RFC3339))
	}
	return nil
}

// Format prints the init without its secret, whatever the verb.
func (in Init) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "pki.Init{group %s (%s), expires %s, secret redacted}", in.GroupName, in.GroupID, in.Expires.Format(time.RFC3339))
}

// LogValue implements slog.LogValuer without the secret.
func (in Init) LogValue() slog.Value {
	return slog.GroupValue(slog.String("group", in.GroupName), slog.String("groupId", in.GroupID), slog.Time("expires", in.Expires))
}

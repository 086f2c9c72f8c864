package pki

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// The ways in which an init string or a join token can be refused; test with errors.Is.
var (
	// ErrKind: this is another kind of string, or none of ours.
	ErrKind = errors.New("wrong kind of string")
	// ErrMistyped: the checksum does not match, so characters were lost or changed on the way.
	ErrMistyped = errors.New("mistyped or cut off")
	// ErrExpired: the string is genuine but its time is over (or has not come).
	ErrExpired = errors.New("outside its time")
)

const (
	initPrefix   = "hfi1."
	joinPrefix   = "hfj1."
	checksumSize = 6
	// maxText bounds what is decoded at all; the longest genuine string has about 300 characters.
	maxText = 1024
)

// kinds says what each prefix of Holdfast stands for, for the message to someone who took the wrong string.
var kinds = map[string]string{
	initPrefix: "an init string (from holdfast init)",
	joinPrefix: "a join token (from holdfast token create)",
	"hft1.":    "an access token",
}

// seal writes payload as prefix + base64url(payload | checksum). The checksum covers the prefix too. It guards against
// slips of the hand only: what the string is worth lies in the secret inside.
func seal(prefix string, payload []byte) string {
	return prefix + base64.RawURLEncoding.EncodeToString(append(bytes.Clone(payload), checksum(prefix, payload)...))
}

func checksum(prefix string, payload []byte) []byte {
	sum := sha256.Sum256(append([]byte(prefix), payload...))
	return sum[:checksumSize]
}

// unseal is the inverse of seal. White space around the text is forgiven: strings come out of files and terminals.
func unseal(prefix, text string) ([]byte, error) {
	text = strings.TrimSpace(text)
	body, ok := strings.CutPrefix(text, prefix)
	if !ok {
		for p, what := range kinds {
			if strings.HasPrefix(text, p) {
				return nil, fmt.Errorf("%w: this is %s, wanted %s", ErrKind, what, kinds[prefix])
			}
		}
		return nil, fmt.Errorf("%w: wanted %s, which begins with %q", ErrKind, kinds[prefix], prefix)
	}
	if len(body) > maxText {
		return nil, fmt.Errorf("%w: more than %d characters; copy the whole string once", ErrMistyped, maxText)
	}
	// Strict, and no line breaks: else several texts would stand for one string.
	raw, err := base64.RawURLEncoding.Strict().DecodeString(body)
	if err != nil || strings.ContainsAny(body, "\r\n") || len(raw) < checksumSize {
		// The decoder's own error is left out: it would quote the position and, through it, parts of the secret.
		return nil, fmt.Errorf("%w: copy the whole string once", ErrMistyped)
	}
	payload, sum := raw[:len(raw)-checksumSize], raw[len(raw)-checksumSize:]
	if !bytes.Equal(sum, checksum(prefix, payload)) {
		return nil, fmt.Errorf("%w: the checksum does not match; copy the whole string once", ErrMistyped)
	}
	return payload, nil
}

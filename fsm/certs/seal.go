package certs

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
)

// Layout of what is sealed: format 1 byte, salt 32 bytes, then the AES-256-GCM text with its tag. The key is drawn from the group's secret and the salt by HKDF
// with SHA-256 and is used once, so that the nonce is all zeros. What it belongs to is authenticated with it: a sealed key cannot be put under another name.
const (
	sealFormat = 1
	saltSize   = 32
	sealInfo   = "holdfast sealed key 1"
)

// SealOverhead is how much longer a text is when it is sealed, in bytes.
const SealOverhead = 1 + saltSize + 16

// ErrSealed means that something cannot be opened: it was sealed by another group, for another purpose, or is damaged.
var ErrSealed = errors.New("it cannot be opened: it was sealed with another secret, for something else, or is damaged")

// Seal encrypts text with the group's secret (fsm.Group.Secret). purpose says what it is for, and Open must be told the same. random is 32 bytes that nobody
// can guess and that are used for nothing else.
func Seal(secret []byte, purpose string, random [32]byte, text []byte) ([]byte, error) {
	aead, err := sealer(secret, random[:])
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	out := append([]byte{sealFormat}, random[:]...)
	return aead.Seal(out, make([]byte, aead.NonceSize()), text, []byte(purpose)), nil
}

// Open gives the text of what Seal made; the error is ErrSealed.
func Open(secret []byte, purpose string, sealed []byte) ([]byte, error) {
	if len(sealed) < SealOverhead || sealed[0] != sealFormat {
		return nil, ErrSealed
	}
	salt, box := sealed[1:1+saltSize], sealed[1+saltSize:]
	aead, err := sealer(secret, salt)
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	text, err := aead.Open(nil, make([]byte, aead.NonceSize()), box, []byte(purpose))
	if err != nil {
		return nil, ErrSealed
	}
	return text, nil
}

func sealer(secret, salt []byte) (cipher.AEAD, error) {
	key, err := hkdf.Key(sha256.New, secret, salt, sealInfo, 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

//go:build linux

package h1_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"
)

// writer writes records of TLS 1.3 as a client does (RFC 8446, sections 5.2 and 7), so that a test can send what crypto/tls sends for nobody.
type writer struct {
	t      *testing.T
	to     net.Conn
	secret []byte
	aead   cipher.AEAD
	iv     []byte
	seq    uint64
}

// newWriter goes on behind the handshake of a client whose secrets are in log.
func newWriter(t *testing.T, c *secureClient, log string) *writer {
	t.Helper()
	if s := c.ConnectionState(); s.CipherSuite != tls.TLS_AES_128_GCM_SHA256 {
		t.Fatalf("cipher suite %s", tls.CipherSuiteName(s.CipherSuite))
	}
	for line := range strings.Lines(log) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "CLIENT_TRAFFIC_SECRET_0" {
			secret, err := hex.DecodeString(f[2])
			if err != nil {
				t.Fatal(err)
			}
			w := &writer{t: t, to: c.raw.Conn}
			w.use(secret)
			return w
		}
	}
	t.Fatal("no secret")
	return nil
}

func (w *writer) expand(label string, n int) []byte {
	w.t.Helper()
	label = "tls13 " + label
	info := append([]byte{byte(n >> 8), byte(n), byte(len(label))}, label...)
	key, err := hkdf.Expand(sha256.New, w.secret, string(append(info, 0)), n)
	if err != nil {
		w.t.Fatal(err)
	}
	return key
}

func (w *writer) use(secret []byte) {
	w.t.Helper()
	w.secret, w.seq = secret, 0
	block, err := aes.NewCipher(w.expand("key", 16))
	if err != nil {
		w.t.Fatal(err)
	}
	if w.aead, err = cipher.NewGCM(block); err != nil {
		w.t.Fatal(err)
	}
	w.iv = w.expand("iv", 12)
}

// record gives one of a type.
func (w *writer) record(kind byte, content string) []byte {
	plain := append([]byte(content), kind)
	n := len(plain) + w.aead.Overhead()
	head := []byte{23, 3, 3, byte(n >> 8), byte(n)}
	nonce := bytes.Clone(w.iv)
	var seq [8]byte
	binary.BigEndian.PutUint64(seq[:], w.seq)
	for i, b := range seq {
		nonce[4+i] ^= b
	}
	w.seq++
	return w.aead.Seal(head, nonce, plain, head)
}

// update gives a KeyUpdate that asks for one, and writes with the next key from then on.
func (w *writer) update() []byte {
	b := w.record(22, "\x18\x00\x00\x01\x01")
	w.use(w.expand("traffic upd", 32))
	return b
}

// TestKeysAreUpdated: a client that changes its key and asks for the other side's to change is served on, by crypto/tls's own answer; one that asks again and again and never takes the
// answers is cut when too many wait, and others go on.
func TestKeysAreUpdated(t *testing.T) {
	r := newRig(t, echo)
	var log bytes.Buffer
	c := r.secureWith(&tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13, KeyLogWriter: &log}, "", nil)
	w := newWriter(t, c, log.String())
	for i := range 3 {
		b := append(w.record(23, "GET /up"), w.update()...)
		b = append(b, w.record(23, fmt.Sprintf("dated%d HTTP/1.1\r\nHost: h\r\n\r\n", i))...)
		if _, err := w.to.Write(b); err != nil {
			t.Fatal(err)
		}
		c.want(t, fmt.Sprintf("/updated%d ", i))
	}

	var flood bytes.Buffer
	f := r.secureWith(&tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13, KeyLogWriter: &flood}, "", func(conn *net.TCPConn) {
		conn.SetWriteBuffer(4 << 10)
		conn.SetReadBuffer(1 << 20)
	})
	f.raw.Conn.(*net.TCPConn).SetReadBuffer(4 << 10)
	fw := newWriter(t, f, flood.String())
	b := fw.record(23, "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 100000000\r\n\r\n")
	var cut error
	for range 200_000 {
		if b = append(append(b, fw.update()...), fw.record(23, "x")...); len(b) > 64<<10 {
			if _, cut = fw.to.Write(b); cut != nil {
				break
			}
			b = b[:0]
		}
	}
	if cut == nil {
		t.Error("a client asks for answers that it never takes, and goes on")
	} else if timeout, ok := cut.(net.Error); ok && timeout.Timeout() {
		t.Errorf("the client is neither read nor cut: %v", cut)
	}
	eventually(t, "the flood has ended", func() bool { return r.d.look(func() bool { return r.d.gone == 1 }) })
	if w.to.SetDeadline(time.Now().Add(patience)) != nil {
		t.Fatal("closed")
	}
	if _, err := w.to.Write(w.record(23, fmt.Sprintf(plainGet, "other"))); err != nil {
		t.Fatal(err)
	}
	c.want(t, "/other ")
}

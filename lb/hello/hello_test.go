package hello

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/iotest"
)

// helloOf is what Go's own client sends first.
func helloOf(t testing.TB, c *tls.Config) []byte {
	t.Helper()
	client, server := net.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		tls.Client(client, c).HandshakeContext(ctx)
		client.Close()
	}()
	defer server.Close()
	defer cancel()
	head := make([]byte, 5)
	if _, err := io.ReadFull(server, head); err != nil {
		t.Fatal(err)
	}
	body := make([]byte, int(head[3])<<8+int(head[4]))
	if _, err := io.ReadFull(server, body); err != nil {
		t.Fatal(err)
	}
	return append(head, body...)
}

// split spreads the message of one record over records of n bytes.
func split(record []byte, n int) (out []byte) {
	for rest := record[5:]; len(rest) > 0; {
		part := rest[:min(n, len(rest))]
		rest = rest[len(part):]
		out = append(append(out, 22, 3, 1, byte(len(part)>>8), byte(len(part))), part...)
	}
	return out
}

// withName makes a small ClientHello with the given bytes in place of the server name extension's value.
func withName(value []byte, extensions int) []byte {
	body := append([]byte{3, 3}, make([]byte, 32)...)
	body = append(body, 0, 0, 2, 0x13, 1, 1, 0)
	var all []byte
	for range extensions {
		all = append(append(all, 0, 0, byte(len(value)>>8), byte(len(value))), value...)
	}
	body = append(append(body, byte(len(all)>>8), byte(len(all))), all...)
	message := append([]byte{1, 0, byte(len(body) >> 8), byte(len(body))}, body...)
	return append([]byte{22, 3, 1, byte(len(message) >> 8), byte(len(message))}, message...)
}

func nameList(kind byte, name string) []byte {
	entry := append([]byte{kind, byte(len(name) >> 8), byte(len(name))}, name...)
	return append([]byte{byte(len(entry) >> 8), byte(len(entry))}, entry...)
}

func TestNames(t *testing.T) {
	for name, record := range map[string][]byte{
		"shop.example.com": helloOf(t, &tls.Config{ServerName: "Shop.Example.com"}),
		"old.example.com":  helloOf(t, &tls.Config{ServerName: "old.example.com", MaxVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}),
		"":                 helloOf(t, &tls.Config{ServerName: "10.0.0.1", InsecureSkipVerify: true}),
		"a_b.c-d":          withName(nameList(0, "A_b.c-d"), 1),
	} {
		for _, text := range [][]byte{record, split(record, 1), split(record, 100), append(bytes.Clone(record), "what follows"...)} {
			if got, err := Name(text); err != nil || got != name {
				t.Errorf("%q, not %q, %v", got, name, err)
			}
			got, all, err := Read(iotest.OneByteReader(bytes.NewReader(text)), nil)
			if err != nil || got != name || !bytes.HasPrefix(text, all) {
				t.Errorf("byte by byte: %q, not %q, %v", got, name, err)
			}
		}
		for n := range record {
			if _, err := Name(record[:n]); err != ErrShort {
				t.Fatalf("%s, %d bytes: %v", name, n, err)
			}
		}
	}
}

func TestHostileHellos(t *testing.T) {
	good := withName(nameList(0, "a.example"), 1)
	change := func(at int, to byte) []byte {
		b := bytes.Clone(good)
		b[at] = to
		return b
	}
	interrupted := append(bytes.Clone(split(good, 10)[:15]), 23, 3, 3, 0, 1, 0)
	for name, text := range map[string][]byte{
		"an empty record": {22, 3, 1, 0, 0}, "a long record": {22, 3, 1, 0xff, 0xff}, "a long message": {22, 3, 1, 0, 4, 1, 0xff, 0xff, 0xff},
		"another record between": interrupted, "a long session id": change(5+4+34, 0xff), "long extensions": change(5+4+34+8, 0xff), "short extensions": change(5+4+34+8, 1),
		"two extensions": withName(nameList(0, "a.example"), 2), "no list": withName(nil, 1), "an empty list": withName([]byte{0, 0}, 1), "more behind the list": withName(append(nameList(0, "a"), 0), 1),
		"an empty name": withName(nameList(0, ""), 1), "a dot at the end": withName(nameList(0, "a.example."), 1), "two dots": withName(nameList(0, "a..b"), 1), "a space": withName(nameList(0, "a b"), 1),
		"a zero byte": withName(nameList(0, "a\x00b"), 1), "not ASCII": withName(nameList(0, "\xc3\xbc"), 1), "a long label": withName(nameList(0, strings.Repeat("a", 64)), 1),
		"a long name": withName(nameList(0, strings.Repeat("abcdefgh.", 30)+"a"), 1),
		"two names":   withName(append([]byte{0, 8}, []byte{0, 0, 1, 'a', 0, 0, 1, 'b'}...), 1),
	} {
		var wrong *Error
		if got, err := Name(text); !errors.As(err, &wrong) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	for _, text := range []string{"GET / HTTP/1.1\r\n\r\n", "\x16\x02", "\x17\x03\x01", "SSH-2.0", "\x16\x03\x01\x00\x04\x02\x00\x00\x00"} {
		if got, all, err := Read(strings.NewReader(text), nil); err != ErrNone || string(all) != text {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	if got, err := Name(withName(nameList(7, "a.example"), 1)); got != "" || err != nil {
		t.Errorf("a name of another kind: %q, %v", got, err)
	}
	endless := append([]byte{22, 3, 1, 0x40, 0, 1, 0, 0x3f, 0xf0}, make([]byte, 1<<14)...)
	if _, all, err := Read(bytes.NewReader(append(split(endless[:9+1<<13], 3), make([]byte, 1<<16)...)), nil); err == nil || len(all) > MaxLen {
		t.Errorf("%d bytes, %v", len(all), err)
	}
	if _, _, err := Read(strings.NewReader("\x16\x03"), nil); err != io.EOF {
		t.Error(err)
	}
}

// FuzzName: any bytes are read without a panic, and what comes behind a name that is certain changes nothing.
func FuzzName(f *testing.F) {
	f.Add(split(withName(nameList(0, "shop.example.com"), 1), 3))
	f.Add(withName(nameList(0, "a.example"), 1))
	f.Add(split(withName(nameList(0, "a.example"), 2), 7))
	f.Add([]byte("GET / HTTP/1.1\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		name, err := Name(data)
		if name != "" && (err != nil || !validName(name)) {
			t.Fatalf("%q, %v", name, err)
		}
		if err == ErrShort {
			return
		}
		if again, err2 := Name(append(bytes.Clone(data), 0, 1, 2)); again != name || (err == nil) != (err2 == nil) {
			t.Fatalf("%q, %v, and with more behind %q, %v", name, err, again, err2)
		}
	})
}

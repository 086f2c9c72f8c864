package proxyproto

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"net/netip"
	"strings"
	"testing"
	"testing/iotest"
)

// binary2 makes a header of version 2 of its parts.
func binary2(verCmd, famProto byte, block []byte) []byte {
	b := append(bytes.Clone(signature2), verCmd, famProto)
	return append(binary.BigEndian.AppendUint16(b, uint16(len(block))), block...)
}

// field is one behind the addresses.
func field(kind byte, value ...byte) []byte {
	return append([]byte{kind, byte(len(value) >> 8), byte(len(value))}, value...)
}

var (
	inet  = []byte{192, 0, 2, 1, 198, 51, 100, 2, 0xdc, 4, 1, 187}
	inet6 = append(append(netip.MustParseAddr("2001:db8::1").AsSlice(), netip.MustParseAddr("2001:db8::2").AsSlice()...), 0xdc, 4, 1, 187)
	unix  = make([]byte, 216)
)

// summed appends the checksum.
func summed(h []byte) []byte {
	h = append(h, typeCRC32C, 0, 4, 0, 0, 0, 0)
	binary.BigEndian.PutUint16(h[14:], uint16(len(h)-headLen2))
	binary.BigEndian.PutUint32(h[len(h)-4:], crc32.Checksum(h, castagnoli))
	return h
}

func ends(source, destination string, version int) Header {
	return Header{Version: version, Source: netip.MustParseAddrPort(source), Destination: netip.MustParseAddrPort(destination)}
}

// TestGoodHeaders are read in whatever pieces they come, and nothing behind them is lost.
func TestGoodHeaders(t *testing.T) {
	four1, four2 := ends("192.0.2.1:56324", "198.51.100.2:443", 1), ends("192.0.2.1:56324", "198.51.100.2:443", 2)
	tls := four2
	tls.TLS = true
	for name, c := range map[string]struct {
		text []byte
		want Header
	}{
		"v1 TCP4":             {[]byte("PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n"), four1},
		"v1 TCP6":             {[]byte("PROXY TCP6 2001:db8::1 ::1 0 65535\r\n"), ends("[2001:db8::1]:0", "[::1]:65535", 1)},
		"v1 TCP6 of IPv4":     {[]byte("PROXY TCP6 ::ffff:192.0.2.1 ::ffff:198.51.100.2 56324 443\r\n"), four1},
		"v1 longest":          {[]byte("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"), ends("[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535", "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535", 1)},
		"v1 UNKNOWN":          {[]byte("PROXY UNKNOWN\r\n"), Header{Version: 1}},
		"v1 UNKNOWN and more": {[]byte("PROXY UNKNOWN ffff::1 junk\x00 65535 65535\r\n"), Header{Version: 1}},
		"v2 TCP4":             {binary2(0x21, 0x11, inet), four2},
		"v2 TCP6":             {binary2(0x21, 0x21, inet6), ends("[2001:db8::1]:56324", "[2001:db8::2]:443", 2)},
		"v2 LOCAL":            {binary2(0x20, 0, nil), Header{Version: 2}},
		"v2 LOCAL with junk":  {binary2(0x20, 0xff, []byte("anything")), Header{Version: 2}},
		"v2 UNIX":             {binary2(0x21, 0x31, unix), Header{Version: 2}},
		"v2 UNSPEC":           {binary2(0x21, 0, []byte{1, 2, 3}), Header{Version: 2}},
		"v2 fields":           {binary2(0x21, 0x11, append(append(bytes.Clone(inet), field(0x02, []byte("www.example.com")...)...), field(0x04, make([]byte, 300)...)...)), four2},
		"v2 TLS":              {binary2(0x21, 0x11, append(bytes.Clone(inet), field(typeSSL, 1, 0, 0, 0, 0)...)), tls},
		"v2 TLS ended before": {binary2(0x21, 0x11, append(bytes.Clone(inet), field(typeSSL, 0, 0, 0, 0, 0)...)), four2},
		"v2 checksum":         {summed(binary2(0x21, 0x11, append(bytes.Clone(inet), field(0x02, 'a')...))), four2},
		"v2 checksum first":   {append(summed(binary2(0x21, 0x11, inet))[:0:0], summedFirst()...), four2},
		"v2 longest":          {binary2(0x21, 0x11, append(bytes.Clone(inet), field(0x04, make([]byte, 4096-12-3)...)...)), four2},
	} {
		for _, rest := range []string{"", "GET / HTTP/1.1\r\n", "PROXY TCP4 "} {
			all := append(bytes.Clone(c.text), rest...)
			h, n, err := Parse(all)
			if err != nil || h != c.want || n != len(c.text) {
				t.Errorf("%s: %+v, %d, %v", name, h, n, err)
			}
			for _, r := range []io.Reader{bytes.NewReader(all), iotest.OneByteReader(bytes.NewReader(all)), iotest.DataErrReader(bytes.NewReader(all))} {
				h, got, err := Read(r, nil)
				after, _ := io.ReadAll(r)
				if err != nil || h != c.want || string(got)+string(after) != rest {
					t.Errorf("%s: %+v, %q, %v", name, h, string(got)+string(after), err)
				}
			}
		}
		if h, got, err := Read(strings.NewReader(""), bytes.Clone(c.text[:len(c.text)-1])); err != io.ErrUnexpectedEOF {
			t.Errorf("%s without its last byte: %+v, %q, %v", name, h, got, err)
		}
		if h, got, err := Read(bytes.NewReader(c.text[9:]), bytes.Clone(c.text[:9])); err != nil || h != c.want || len(got) != 0 {
			t.Errorf("%s in two pieces: %+v, %q, %v", name, h, got, err)
		}
		for n := range c.text {
			if _, _, err := Parse(c.text[:n]); err != ErrShort {
				t.Errorf("%s, %d bytes: %v", name, n, err)
			}
		}
	}
}

// summedFirst has the checksum in front of another field.
func summedFirst() []byte {
	h := binary2(0x21, 0x11, append(append(bytes.Clone(inet), field(typeCRC32C, 0, 0, 0, 0)...), field(0x04, 9, 9)...))
	binary.BigEndian.PutUint32(h[headLen2+len(inet)+3:], crc32.Checksum(h, castagnoli))
	return h
}

// TestHostileHeaders: what breaks the specification is refused, as soon as that is certain.
func TestHostileHeaders(t *testing.T) {
	line := func(s string) []byte { return []byte("PROXY " + s) }
	wrongSum := summed(binary2(0x21, 0x11, inet))
	wrongSum[16] ^= 1
	twoSums := summed(summed(binary2(0x21, 0x11, inet)))
	for name, text := range map[string][]byte{
		"no CR":                 line("TCP4 192.0.2.1 198.51.100.2 56324 443\n"),
		"a CR within":           line("TCP4 192.0.2.1 198.51.100.2 56324\r 443\r\n"),
		"too long":              line("UNKNOWN " + strings.Repeat("x", 100)),
		"too long with its end": line("UNKNOWN " + strings.Repeat("x", 92) + "\r\n"),
		"lower case":            line("tcp4 192.0.2.1 198.51.100.2 56324 443\r\n"),
		"two spaces":            line("TCP4  192.0.2.1 198.51.100.2 56324 443\r\n"),
		"a space at the end":    line("TCP4 192.0.2.1 198.51.100.2 56324 443 \r\n"),
		"one address":           line("TCP4 192.0.2.1 56324 443\r\n"),
		"another family":        line("TCP4 2001:db8::1 ::1 56324 443\r\n"),
		"another family, too":   line("TCP6 192.0.2.1 198.51.100.2 56324 443\r\n"),
		"a zone":                line("TCP6 fe80::1%eth0 ::1 56324 443\r\n"),
		"octal":                 line("TCP4 192.0.02.1 198.51.100.2 56324 443\r\n"),
		"a name":                line("TCP4 localhost 198.51.100.2 56324 443\r\n"),
		"a port too large":      line("TCP4 192.0.2.1 198.51.100.2 65536 443\r\n"),
		"a port with a sign":    line("TCP4 192.0.2.1 198.51.100.2 +443 443\r\n"),
		"a port with zeros":     line("TCP4 192.0.2.1 198.51.100.2 00443 443\r\n"),
		"no port":               line("TCP4 192.0.2.1 198.51.100.2  443\r\n"),
		"UDP4":                  line("UDP4 192.0.2.1 198.51.100.2 56324 443\r\n"),
		"UNKNOWNX":              line("UNKNOWNX\r\n"),
		"nothing":               line("\r\n"),
		"v2 version 1":          binary2(0x11, 0x11, inet),
		"v2 version 3":          binary2(0x31, 0x11, inet),
		"v2 command":            binary2(0x22, 0x11, inet),
		"v2 family":             binary2(0x21, 0x41, inet),
		"v2 protocol":           binary2(0x21, 0x13, inet),
		"v2 datagram":           binary2(0x21, 0x12, inet),
		"v2 unspec stream":      binary2(0x21, 0x01, inet),
		"v2 inet unspec":        binary2(0x21, 0x10, inet),
		"v2 short":              binary2(0x21, 0x11, inet[:11]),
		"v2 short IPv6":         binary2(0x21, 0x21, inet6[:35]),
		"v2 short UNIX":         binary2(0x21, 0x31, unix[:215]),
		"v2 too long":           append(bytes.Clone(signature2), 0x21, 0x11, 0xff, 0xff),
		"v2 LOCAL too long":     append(bytes.Clone(signature2), 0x20, 0, 0x10, 0x01),
		"v2 field cut off":      binary2(0x21, 0x11, append(bytes.Clone(inet), 4, 0)),
		"v2 field too long":     binary2(0x21, 0x11, append(bytes.Clone(inet), 4, 0, 1)),
		"v2 wrong checksum":     wrongSum,
		"v2 two checksums":      twoSums,
		"v2 short checksum":     binary2(0x21, 0x11, append(bytes.Clone(inet), field(typeCRC32C, 1, 2)...)),
		"v2 short TLS":          binary2(0x21, 0x11, append(bytes.Clone(inet), field(typeSSL, 1)...)),
	} {
		var broken *Error
		if h, n, err := Parse(text); !errors.As(err, &broken) {
			t.Errorf("%s: %+v, %d, %v", name, h, n, err)
		}
		if _, _, err := Read(iotest.OneByteReader(bytes.NewReader(text)), nil); !errors.As(err, &broken) {
			t.Errorf("%s byte by byte: %v", name, err)
		}
	}
	for _, text := range []string{"GET / HTTP/1.1\r\n", "PROXX", "proxy TCP4", "\r\nGET", "\r\n\r\n\x00\r\nQUIX", "\x16\x03\x01", " PROXY "} {
		if _, got, err := Read(strings.NewReader(text), nil); err != ErrNone || string(got) != text {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "P", "PROXY", "\r\n\r\n", string(signature2)} {
		if _, _, err := Read(strings.NewReader(text), nil); text == "" && err != io.EOF || text != "" && err != io.ErrUnexpectedEOF {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestWrittenHeaders are what the specification says, and are read as what they were.
func TestWrittenHeaders(t *testing.T) {
	mixed := Header{Version: 1, Source: netip.MustParseAddrPort("192.0.2.1:1"), Destination: netip.MustParseAddrPort("[2001:db8::2]:2")}
	for _, c := range []struct {
		h    Header
		want string
	}{
		{ends("192.0.2.1:56324", "198.51.100.2:443", 1), "PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n"},
		{ends("[::ffff:192.0.2.1]:56324", "198.51.100.2:443", 1), "PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n"},
		{ends("[2001:db8::1]:1", "[fe80::2%eth0]:2", 1), "PROXY TCP6 2001:db8::1 fe80::2 1 2\r\n"},
		{mixed, "PROXY TCP6 ::ffff:192.0.2.1 2001:db8::2 1 2\r\n"},
		{Header{Version: 1}, "PROXY UNKNOWN\r\n"},
		{ends("192.0.2.1:56324", "198.51.100.2:443", 2), string(binary2(0x21, 0x11, inet))},
		{ends("[2001:db8::1]:56324", "[2001:db8::2]:443", 2), string(binary2(0x21, 0x21, inet6))},
		{Header{Version: 2}, string(binary2(0x20, 0, nil))},
	} {
		got := string(c.h.Append([]byte("x")))
		if got != "x"+c.want {
			t.Errorf("%+v: %q, not %q", c.h, got, c.want)
		}
		if h, n, err := Parse([]byte(got[1:])); err != nil || n != len(got)-1 || h.Version != c.h.Version || h.Named() != c.h.Named() {
			t.Errorf("%q: %+v, %v", got, h, err)
		}
	}
}

// FuzzParse: any bytes are read without a panic, the same way whole and in pieces, and a header that is read survives being written.
func FuzzParse(f *testing.F) {
	for _, text := range [][]byte{
		[]byte("PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\nGET"), []byte("PROXY UNKNOWN x\r\n"), binary2(0x21, 0x11, inet), binary2(0x21, 0x21, inet6),
		binary2(0x20, 0, nil), binary2(0x21, 0x31, unix), summed(binary2(0x21, 0x11, inet)), summedFirst(), binary2(0x21, 0x11, append(bytes.Clone(inet), field(typeSSL, 1, 0, 0, 0, 0)...)),
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		h, n, err := Parse(data)
		piece, rest, again := Read(iotest.OneByteReader(bytes.NewReader(data)), nil)
		if err != nil {
			if n != 0 && err == ErrShort || again == nil {
				t.Fatalf("%v, and in pieces %v", err, again)
			}
			return
		}
		if again != nil || piece != h || len(rest) != 0 || n > min(len(data), MaxLen) || !MayBegin(data) || !Begins(data) {
			t.Fatalf("%+v, %d; in pieces %+v, %v", h, n, piece, again)
		}
		if _, _, err := Parse(data[:n-1]); err != ErrShort {
			t.Fatalf("one byte less: %v", err)
		}
		for _, version := range []int{1, 2} {
			out := h
			out.Version, out.TLS = version, false
			back, _, err := Parse(out.Append(nil))
			if err != nil || back != out {
				t.Fatalf("%+v is read back as %+v, %v", out, back, err)
			}
		}
	})
}

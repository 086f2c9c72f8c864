package wire

import (
	"strings"
	"testing"
)

// browser is the head that a usual browser sends, with a session cookie.
const browser = "GET /shop/cart?item=4711&lang=en HTTP/1.1\r\n" +
	"Host: shop.example.com\r\n" +
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n" +
	"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n" +
	"Accept-Language: en-US,en;q=0.5\r\n" +
	"Accept-Encoding: gzip, deflate, br, zstd\r\n" +
	"Connection: keep-alive\r\n" +
	"Cookie: JSESSIONID=5D41402ABC4B2A76B9719D911017C592.node1; theme=dark\r\n" +
	"Upgrade-Insecure-Requests: 1\r\n" +
	"Sec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Site: same-origin\r\n\r\n"

func TestHead(t *testing.T) {
	raw := []byte("\r\nPOST http://A.example:80/x?y HTTP/1.1\r\nhOSt:  a.example:80 \r\nX_Y:\r\nContent-Length: 3\r\n" +
		"Connection: foo , UPGRADE,,close\r\nUpgrade: websocket\r\nExpect: 100-Continue\r\n\r\nabc")
	p := NewParser(Limits{})
	done, err := p.Parse(raw)
	if !done || err != nil {
		t.Fatalf("Parse: %v, %v", done, err)
	}
	h := &p.Head
	if string(raw[h.End:]) != "abc" || h.Start != 2 {
		t.Errorf("head is [%d:%d] of %d bytes", h.Start, h.End, len(raw))
	}
	for what, pair := range map[string][2]string{
		"method": {string(h.Method.Of(raw)), "POST"},
		"target": {string(h.Target.Of(raw)), "http://A.example:80/x?y"},
		"host":   {string(h.Host.Of(raw)), "A.example:80"},
		"name":   {string(h.Fields()[0].Name.Of(raw)), "hOSt"},
		"value":  {string(h.Fields()[0].Value.Of(raw)), "a.example:80"},
		"empty":  {string(h.Fields()[1].Value.Of(raw)), ""},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s is %q, want %q", what, pair[0], pair[1])
		}
	}
	if h.Minor != 1 || h.Framing != FramingLength || h.Length != 3 || h.KeepAlive || !h.Upgrade || !h.Continue || len(h.Fields()) != 6 {
		t.Errorf("head %+v", *h)
	}
}

func TestConnectionOptions(t *testing.T) {
	cases := []struct {
		version, lines     string
		keepAlive, upgrade bool
	}{
		{"1.1", "", true, false},
		{"1.1", "Connection: close\r\n", false, false},
		{"1.1", "Connection: keep-alive, Close\r\n", false, false},
		{"1.1", "Connection: closed\r\n", true, false},
		{"1.1", "Connection: x\r\nConnection: close\r\n", false, false},
		{"1.0", "", false, false},
		{"1.0", "Connection: Keep-Alive\r\n", true, false},
		{"1.0", "Connection: keep-alive, close\r\n", false, false},
		{"1.1", "Upgrade: websocket\r\n", true, false},
		{"1.1", "Connection: upgrade\r\n", true, false},
		{"1.1", "Connection: upgrade\r\nUpgrade:\r\n", true, false},
		{"1.1", "Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n", true, true},
		{"1.0", "Upgrade: websocket\r\nConnection: keep-alive, upgrade\r\n", true, false}, // RFC 9110 section 7.8
	}
	for _, tc := range cases {
		p := NewParser(Limits{})
		done, err := p.Parse([]byte("GET / HTTP/" + tc.version + "\r\nHost: a\r\n" + tc.lines + "\r\n"))
		if !done || err != nil || p.Head.KeepAlive != tc.keepAlive || p.Head.Upgrade != tc.upgrade {
			t.Errorf("%s %q: %v %v, keep-alive %v, upgrade %v", tc.version, tc.lines, done, err, p.Head.KeepAlive, p.Head.Upgrade)
		}
	}
}

// TestFieldText compares the fast check with the plain one, for each byte at
// each place.
func TestFieldText(t *testing.T) {
	for size := range 20 {
		for at := range size {
			for c := range 256 {
				b := []byte(strings.Repeat("v", size))
				b[at] = byte(c)
				if got, want := fieldText(b), run(b, isField) == len(b); got != want {
					t.Fatalf("%q: %v, want %v", b, got, want)
				}
			}
		}
	}
}

func TestParserAllocates(t *testing.T) {
	p, good, bad := NewParser(Limits{}), []byte(browser), []byte("GET / HTTP/1.1\r\nHost: a b\r\n\r\n")
	body := []byte("5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n")
	if n := testing.AllocsPerRun(100, func() {
		var c Chunked
		p.Reset()
		p.Parse(good[:100])
		p.Parse(good)
		p.Reset()
		p.Parse(bad)
		c.Feed(body)
	}); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

func BenchmarkParser(b *testing.B) {
	for name, raw := range map[string]string{"browser": browser, "short": "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"} {
		b.Run(name, func(b *testing.B) {
			p, head := NewParser(Limits{}), []byte(raw)
			b.SetBytes(int64(len(head)))
			b.ReportAllocs()
			for b.Loop() {
				p.Reset()
				if done, err := p.Parse(head); !done {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkChunked(b *testing.B) {
	body := []byte(strings.Repeat("1000\r\n"+strings.Repeat("x", 0x1000)+"\r\n", 16) + "0\r\n\r\n")
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		var c Chunked
		if _, done, err := c.Feed(body); !done {
			b.Fatal(err)
		}
	}
}

package h3

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/quic-go/qpack"
)

func block(fields ...string) []byte {
	var b bytes.Buffer
	e := qpack.NewEncoder(&b)
	for i := 0; i < len(fields); i += 2 {
		e.WriteField(qpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return b.Bytes()
}

func framed(kind uint64, payload []byte) []byte {
	return append(appendFrame(nil, kind, uint64(len(payload))), payload...)
}

func get(more ...string) []string {
	return append([]string{":method", "GET", ":scheme", "https", ":authority", "h", ":path", "/a?b"}, more...)
}

func free(int) error { return nil }

// codeOf says how what came would end: 0 for a request, 431 for one that is answered so.
func codeOf(err error) uint64 {
	if e, ok := errors.AsType[*connError](err); ok {
		return uint64(e.code)
	}
	if e, ok := errors.AsType[*streamError](err); ok {
		return uint64(e.code)
	}
	if _, ok := errors.AsType[*tooLarge](err); ok {
		return 431
	}
	return 0
}

func read(data []byte) (*http.Request, string, error) {
	b, err := readHead(bufio.NewReader(bytes.NewReader(data)), 4<<10, free)
	if err != nil {
		return nil, "", err
	}
	s, err := decodeSection(b, 4<<10, 20)
	if err != nil {
		return nil, "", err
	}
	return s.request()
}

// TestHeads: each way in which a head can be wrong ends as the RFC says, and what is right becomes the request that it says.
func TestHeads(t *testing.T) {
	many := get()
	for range 40 {
		many = append(many, "a", "b")
	}
	for name, c := range map[string]struct {
		data []byte
		code uint64
	}{
		"plain":                    {framed(1, block(get()...)), 0},
		"behind unknown frames":    {append(framed(0x21, []byte("xyz")), framed(1, block(get()...))...), 0},
		"endless unknown frames":   {bytes.Repeat(framed(0x21, make([]byte, 1000)), 20), codeExcessiveLoad},
		"empty":                    {nil, codeIncomplete},
		"cut in the frame's head":  {[]byte{1}, codeFrame},
		"cut in the block":         {framed(1, block(get()...))[:9], codeFrame},
		"DATA first":               {framed(0, []byte("x")), codeFrameUnexpected},
		"SETTINGS":                 {framed(4, nil), codeFrameUnexpected},
		"PRIORITY of HTTP/2":       {framed(2, nil), codeFrameUnexpected},
		"GOAWAY":                   {framed(7, []byte{0}), codeFrameUnexpected},
		"claims to be large":       {appendFrame(nil, 1, 1<<40), 431},
		"unpacks to be large":      {framed(1, block(get("a", strings.Repeat("e", 4<<10))...)), 431},
		"many fields":              {framed(1, block(many...)), 431},
		"no QPACK":                 {framed(1, []byte{0, 0, 0x10}), codeDecompression},
		"dynamic table":            {framed(1, []byte{2, 0, 0x80}), codeDecompression},
		"no method":                {framed(1, block(":scheme", "https", ":authority", "h", ":path", "/")), codeMessage},
		"no path":                  {framed(1, block(":method", "GET", ":scheme", "https", ":authority", "h")), codeMessage},
		"no scheme":                {framed(1, block(":method", "GET", ":authority", "h", ":path", "/")), codeMessage},
		"no authority":             {framed(1, block(":method", "GET", ":scheme", "https", ":path", "/")), codeMessage},
		"host alone":               {framed(1, block(":method", "GET", ":scheme", "https", ":path", "/", "host", "h")), 0},
		"host the same":            {framed(1, block(get("host", "h")...)), 0},
		"host another":             {framed(1, block(get("host", "g")...)), codeMessage},
		"two hosts":                {framed(1, block(get("host", "h", "host", "h")...)), codeMessage},
		"user in the authority":    {framed(1, block(":method", "GET", ":scheme", "https", ":authority", "u@h", ":path", "/")), codeMessage},
		"path twice":               {framed(1, block(get(":path", "/")...)), codeMessage},
		"pseudo behind a field":    {framed(1, block(":method", "GET", "a", "b", ":path", "/")), codeMessage},
		"unknown pseudo":           {framed(1, block(get(":x", "y")...)), codeMessage},
		"status":                   {framed(1, block(get(":status", "200")...)), codeMessage},
		"upper case":               {framed(1, block(get("Aa", "b")...)), codeMessage},
		"name with a blank":        {framed(1, block(get("a b", "b")...)), codeMessage},
		"empty name":               {framed(1, block(get("", "b")...)), codeMessage},
		"value with a line":        {framed(1, block(get("a", "b\r\nc: d")...)), codeMessage},
		"connection":               {framed(1, block(get("connection", "close")...)), codeMessage},
		"transfer-encoding":        {framed(1, block(get("transfer-encoding", "chunked")...)), codeMessage},
		"te gzip":                  {framed(1, block(get("te", "gzip")...)), codeMessage},
		"te trailers":              {framed(1, block(get("te", "trailers")...)), 0},
		"protocol without CONNECT": {framed(1, block(get(":protocol", "websocket")...)), codeMessage},
		"CONNECT":                  {framed(1, block(":method", "CONNECT", ":authority", "h:1")), 0},
		"CONNECT with a path":      {framed(1, block(":method", "CONNECT", ":authority", "h:1", ":path", "/")), codeMessage},
		"extended CONNECT":         {framed(1, block(":method", "CONNECT", ":protocol", "websocket", ":scheme", "https", ":authority", "h", ":path", "/")), 0},
		"extended without path":    {framed(1, block(":method", "CONNECT", ":protocol", "websocket", ":scheme", "https", ":authority", "h")), codeMessage},
		"bad path":                 {framed(1, block(":method", "GET", ":scheme", "https", ":authority", "h", ":path", "/%zz")), codeMessage},
	} {
		r, _, err := read(c.data)
		if got := codeOf(err); got != c.code || (err == nil) != (c.code == 0) {
			t.Errorf("%s: %#x (%v), want %#x", name, got, err, c.code)
		}
		if err == nil && (r.Host == "" || r.ProtoMajor != 3 || r.Header["Host"] != nil) {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

func TestHeadBecomesRequest(t *testing.T) {
	r, protocol, err := read(framed(1, block(get("cookie", "a=b", "cookie", "c=d", "content-length", "7", "trailer", "x-a, X-B", "x-f", "1", "x-f", "2")...)))
	if err != nil {
		t.Fatal(err)
	}
	switch {
	case protocol != "", r.Method != "GET", r.URL.Path != "/a", r.URL.RawQuery != "b", r.RequestURI != "/a?b", r.Host != "h", r.ContentLength != 7,
		r.Header.Get("Cookie") != "a=b; c=d", len(r.Header["X-F"]) != 2, len(r.Trailer) != 2, r.Header["Trailer"] != nil:
		t.Errorf("%+v", r)
	}
	if _, ok := r.Trailer["X-B"]; !ok {
		t.Error("announced trailers are not known")
	}
	r, protocol, err = read(framed(1, block(":method", "CONNECT", ":protocol", "websocket", ":scheme", "https", ":authority", "h", ":path", "/w")))
	if err != nil || protocol != "websocket" || r.URL.Path != "/w" {
		t.Errorf("%v %s %+v", err, protocol, r)
	}
}

// TestControlStream: what a client may say there, and how all else ends.
func TestControlStream(t *testing.T) {
	settings := framed(4, []byte{6, 0x40, 0x64, 0x21, 1})
	with := func(more ...byte) []byte { return append(bytes.Clone(settings), more...) }
	for name, c := range map[string]struct {
		data []byte
		code uint64
	}{
		"settings, then nothing": {settings, 0},
		"nothing":                {nil, 0},
		"another frame first":    {framed(7, []byte{0}), codeMissingSettings},
		"settings twice":         {with(4, 0), codeFrameUnexpected},
		"setting twice":          {framed(4, []byte{6, 1, 6, 1}), codeSettings},
		"setting of HTTP/2":      {framed(4, []byte{3, 1}), codeSettings},
		"reserved setting":       {framed(4, []byte{0, 1}), codeSettings},
		"setting cut short":      {framed(4, []byte{6}), codeFrame},
		"huge settings":          {appendFrame(nil, 4, 1<<20), codeExcessiveLoad},
		"settings cut short":     {settings[:3], codeFrame},
		"DATA":                   {with(0, 0), codeFrameUnexpected},
		"HEADERS":                {with(1, 0), codeFrameUnexpected},
		"PING of HTTP/2":         {with(6, 0), codeFrameUnexpected},
		"CANCEL_PUSH":            {with(3, 1, 0), codeID},
		"GOAWAY, MAX_PUSH_ID":    {with(7, 1, 0, 0xd, 1, 0), 0},
		"flood":                  {with(bytes.Repeat([]byte{0x21, 0}, 2*mostWasted)...), codeExcessiveLoad},
	} {
		b := newBudget(mostWasted, 0)
		err := readControl(bufio.NewReader(bytes.NewReader(c.data)), func() error {
			if !b.spend() {
				return errFlood
			}
			return nil
		})
		if got := codeOf(err); got != c.code {
			t.Errorf("%s: %#x (%v), want %#x", name, got, err, c.code)
		}
	}
	if err := readEncoder(bufio.NewReader(bytes.NewReader([]byte{0x20, 0x3f, 1}))); codeOf(err) != codeEncoderStream {
		t.Errorf("a dynamic table is made: %v", err)
	}
}

// FuzzHead: whatever comes is a request or ends in an order that has a code; a request is what HTTP/3 lets it be.
func FuzzHead(f *testing.F) {
	f.Add(framed(1, block(get()...)))
	f.Add(framed(1, block(get("host", "h", "cookie", "a=b", "trailer", "x")...)))
	f.Add(append(framed(0x21, []byte("x")), framed(1, block(":method", "CONNECT", ":authority", "h:1"))...))
	f.Add([]byte{1, 3, 0, 0, 0x51})
	f.Fuzz(func(t *testing.T, data []byte) {
		r, _, err := read(data)
		if err != nil {
			if codeOf(err) == 0 {
				t.Fatalf("an end without a code: %v", err)
			}
			return
		}
		for name, values := range r.Header {
			for _, v := range values {
				if name == "" || strings.ContainsAny(name+v, "\r\n\x00") {
					t.Fatalf("%q: %q", name, v)
				}
			}
		}
		if r.Host == "" || r.Method == "" || r.URL == nil {
			t.Fatalf("%+v", r)
		}
	})
}

// FuzzControl: nothing that comes on the control stream takes more than its bounds.
func FuzzControl(f *testing.F) {
	f.Add(framed(4, []byte{6, 1}))
	f.Add([]byte{4, 0, 7, 1, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := readControl(bufio.NewReader(bytes.NewReader(data)), func() error { return nil }); err == nil {
			t.Fatal("it ended without an end")
		} else if codeOf(err) == 0 && err != io.EOF {
			t.Fatalf("an end without a code: %v", err)
		}
	})
}

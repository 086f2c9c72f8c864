package wire_test

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/holdfast-lb/holdfast/internal/hostile"
	"github.com/holdfast-lb/holdfast/lb/wire"
)

// seeds are accepted requests, and refused ones near the border; the corpus of
// ambiguous requests comes on top.
var seeds = []string{
	"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
	"\r\nPOST /a;b?c=%20%zz HTTP/1.1\r\nHost: [::1]:80\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.0\r\n\r\n",
	"POST http://a.b:1/ HTTP/1.1\r\nHOST: A.b:1\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n3;a=\"b\"\r\nabc\r\n0\r\nX: y\r\n\r\n",
	"OPTIONS * HTTP/1.1\r\nHost:a\r\nConnection: close, upgrade\r\nUpgrade: x\r\nExpect: 100-continue\r\n\r\n",
	"GET / HTTP/1.0\r\nPragma: no-cache\r\nConnection: keep-alive\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n",
	"GET / HTTP/1.1\nHost: a\n\n",
	"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n2;b\r\ncd\r\n000\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
}

func allSeeds() []string {
	all := slices.Clone(seeds)
	for _, h := range hostile.Requests() {
		if len(h.Raw) < 1<<10 { // the long ones only slow the fuzzer down
			all = append(all, h.Raw)
		}
	}
	return all
}

// FuzzParser checks that the verdict does not depend on how the bytes are
// split, and that what is accepted lies inside the buffer.
func FuzzParser(f *testing.F) {
	for _, s := range allSeeds() {
		f.Add([]byte(s), uint16(7))
	}
	limits := wire.Limits{Head: 600, Target: 100, Lines: 8}
	f.Fuzz(func(t *testing.T, b []byte, cut uint16) {
		whole := wire.NewParser(limits)
		done, err := whole.Parse(b)
		pieces, single := wire.NewParser(limits), wire.NewParser(limits)
		at := min(int(cut), len(b))
		done2, err2 := pieces.Parse(b[:at])
		if !done2 && err2 == nil {
			done2, err2 = pieces.Parse(b)
		}
		var done3 bool
		var err3 *wire.Error
		for i := 0; i <= len(b) && !done3 && err3 == nil; i++ {
			done3, err3 = single.Parse(b[:i])
		}
		if done != done2 || err != err2 || done != done3 || err != err3 {
			t.Fatalf("at once %v %v, cut at %d %v %v, byte by byte %v %v", done, err, at, done2, err2, done3, err3)
		}
		if !done {
			return
		}
		if whole.Head != pieces.Head || whole.Head != single.Head {
			t.Fatalf("heads differ: %+v, %+v, %+v", whole.Head, pieces.Head, single.Head)
		}
		h := &whole.Head
		if h.End > len(b) || h.End > limits.Head || len(h.Fields()) > limits.Lines || int(h.Target.Len) > limits.Target {
			t.Fatalf("head of %d bytes, %d fields, target of %d bytes", h.End, len(h.Fields()), h.Target.Len)
		}
		for _, field := range h.Fields() {
			if v := field.Value.Of(b[:h.End]); len(field.Name.Of(b[:h.End])) == 0 || bytes.ContainsAny(v, "\r\n\x00") {
				t.Fatalf("field %q: %q", field.Name.Of(b), v)
			}
		}
	})
}

// FuzzChunked checks the same for bodies, and that net/http reads an accepted
// body to the same end.
func FuzzChunked(f *testing.F) {
	for _, s := range []string{"0\r\n\r\n", "3;a=\"b\\\"\"\r\nabc\r\n0\r\nX: y\r\n\r\nrest", "fffffffffffffff\r\n", "5 \r\nhello\r\n0\r\n\r\n"} {
		f.Add([]byte(s), uint16(4))
	}
	for _, h := range brokenBodies {
		_, body, _ := strings.Cut(h.Raw, "\r\n\r\n")
		f.Add([]byte(body), uint16(9))
	}
	f.Fuzz(func(t *testing.T, b []byte, cut uint16) {
		var whole, pieces wire.Chunked
		n, done, err := whole.Feed(b)
		at := min(int(cut), len(b))
		n2, done2, err2 := pieces.Feed(b[:at])
		if n2 == at {
			var more int
			more, done2, err2 = pieces.Feed(b[at:])
			n2 += more
		}
		if n != n2 || done != done2 || err != err2 {
			t.Fatalf("at once %d %v %v, cut at %d %d %v %v", n, done, err, at, n2, done2, err2)
		}
		if !done && err == nil && n != len(b) {
			t.Fatalf("%d of %d bytes, not done, no error", n, len(b))
		}
		if done {
			head := "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
			agree(t, append([]byte(head), b...))
		}
	})
}

// FuzzAgainstNetHTTP lets net/http read what the guard accepts: message by
// message it must see the same request: method, target, host, version, each
// field with its value, framing, body, and the same end.
func FuzzAgainstNetHTTP(f *testing.F) {
	for _, s := range allSeeds() {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for len(b) > 0 {
			n := agree(t, b)
			if n == 0 {
				return
			}
			b = b[n:]
		}
	})
}

// agree compares the first message of b and gives its length, 0 if it is not
// complete or not accepted.
func agree(t *testing.T, b []byte) int {
	t.Helper()
	p := wire.NewParser(wire.Limits{})
	done, _ := p.Parse(b)
	if !done {
		return 0
	}
	h := &p.Head
	end, bodyDone := bodyEnd(h, b)
	source := bytes.NewReader(b[h.Start:])
	in := bufio.NewReader(source)
	req, err := http.ReadRequest(in)
	if err != nil {
		t.Fatalf("accepted %q, net/http says %v", b[h.Start:h.End], err)
	}
	if req.Method != string(h.Method.Of(b)) || req.RequestURI != string(h.Target.Of(b)) || req.Host != string(h.Host.Of(b)) {
		t.Fatalf("net/http reads %s %s at %s from %q", req.Method, req.RequestURI, req.Host, b[:h.End])
	}
	if req.ProtoMajor != 1 || req.ProtoMinor != int(h.Minor) || req.Close == h.KeepAlive {
		t.Fatalf("net/http reads %s, close %v from %q; keep-alive %v", req.Proto, req.Close, b[:h.End], h.KeepAlive)
	}
	if got, want := seenFields(req), passedFields(h, b); !slices.Equal(got, want) {
		t.Fatalf("net/http reads the fields %q, the guard %q, from %q", got, want, b[:h.End])
	}
	wantLength := h.Length
	if h.Framing == wire.FramingChunked {
		wantLength = -1
	}
	if req.ContentLength != wantLength {
		t.Fatalf("net/http reads length %d from %q, the guard %d", req.ContentLength, b[:h.End], wantLength)
	}
	data, err := io.ReadAll(req.Body)
	if te := req.TransferEncoding; len(te) > 1 || len(te) == 1 != (h.Framing == wire.FramingChunked) {
		t.Fatalf("net/http reads the codings %q from %q", te, b[:h.End])
	}
	if !bodyDone {
		return 0
	}
	if err != nil || h.Framing == wire.FramingLength && int64(len(data)) != h.Length {
		t.Fatalf("accepted body %q, net/http reads %d bytes, %v", b[h.End:end], len(data), err)
	}
	if used := len(b) - source.Len() - in.Buffered(); used != end {
		t.Fatalf("the message ends at %d, for net/http at %d: %q", end, used, b)
	}
	return end
}

// bodyEnd gives where the message ends in b, and whether it does.
func bodyEnd(h *wire.Head, b []byte) (int, bool) {
	switch h.Framing {
	case wire.FramingLength:
		if h.Length > int64(len(b)-h.End) {
			return 0, false
		}
		return h.End + int(h.Length), true
	case wire.FramingChunked:
		var c wire.Chunked
		n, done, _ := c.Feed(b[h.End:])
		return h.End + n, done
	}
	return h.End, true
}

// invented is the field that net/http adds to "Pragma: no-cache" where there is no Cache-Control.
const invented = "Cache-Control: no-cache"

// seenFields lists what net/http hands to a handler, name by name, the values of one name in their order.
func seenFields(req *http.Request) (list []string) {
	for name, values := range req.Header {
		for _, v := range values {
			list = append(list, name+": "+v)
		}
	}
	return inOrder(list)
}

// passedFields lists what should get there: net/http takes Host, the coding and the announcement of trailers out.
func passedFields(h *wire.Head, b []byte) (list []string) {
	pragma, cache := "", false
	for _, f := range h.Fields() {
		name, value := http.CanonicalHeaderKey(string(f.Name.Of(b))), string(f.Value.Of(b))
		switch {
		case name == "Host", name == "Transfer-Encoding", h.Framing == wire.FramingChunked && name == "Trailer":
			continue
		case name == "Pragma" && pragma == "":
			pragma = value
		}
		cache = cache || name == "Cache-Control"
		list = append(list, name+": "+value)
	}
	if pragma == "no-cache" && !cache {
		list = append(list, invented)
	}
	return inOrder(list)
}

// inOrder sorts by name and leaves the values of one name as they came.
func inOrder(list []string) []string {
	slices.SortStableFunc(list, func(a, b string) int {
		a, _, _ = strings.Cut(a, ":")
		b, _, _ = strings.Cut(b, ":")
		return strings.Compare(a, b)
	})
	return list
}

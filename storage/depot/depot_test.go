package depot

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/holdfast-lb/holdfast/internal/s3test"
	"github.com/holdfast-lb/holdfast/storage/archive"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var begun = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func header(group string, index uint64) archive.Header {
	return archive.Header{GroupID: "id-" + group, GroupName: group, Epoch: 1, Index: index, Term: 2, Confirmed: index, GroupTime: begun, Schema: 3, Program: "1.2.3", Created: begun, Node: "n1"}
}

// writing gives what writes an archive whose state has so many bytes, which do not get smaller.
func writing(h archive.Header, n int) func(io.Writer) error {
	return func(w io.Writer) error {
		a, err := archive.NewWriter(w, h)
		if err != nil {
			return err
		}
		if _, err := io.CopyN(a, rand.NewChaCha8([32]byte{byte(h.Index)}), int64(n)); err != nil {
			return err
		}
		return a.Close()
	}
}

func written(t *testing.T, h archive.Header, n int) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := writing(h, n)(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// rig is a store and a bucket with small parts.
func rig(t *testing.T, address string) (*s3test.Server, *Bucket) {
	t.Helper()
	s := s3test.New()
	b, err := Open(address, Options{Getenv: s.Getenv})
	if err != nil {
		t.Fatal(err)
	}
	b.partSize = 1 << 20
	t.Cleanup(func() { b.Close(); s.Close() })
	return s, b
}

const partOf = 100 << 10 // a state that is one part, in bytes

// Small and large archives, with and without a prefix: what is stored is what was written, and what Put says of it is true.
func TestPut(t *testing.T) {
	for _, tt := range []struct {
		address, key string
		size, parts  int
	}{
		{"s3://backups", "shop-1-7-20260301T120000Z.hfb", 0, 0},
		{"s3://backups/", "shop-1-7-20260301T120000Z.hfb", partOf, 0},
		{"s3://backups/a/b c+d/ü", "a/b c+d/ü/shop-1-7-20260301T120000Z.hfb", 5 << 20, 6},
		{"s3://backups/deep/latest.hfb", "deep/latest.hfb", 1 << 20, 2},
	} {
		s, b := rig(t, tt.address)
		h := header("shop", 7)
		got, err := b.Put(t.Context(), writing(h, tt.size))
		if err != nil {
			t.Fatalf("%s: %v", tt.address, err)
		}
		want := written(t, h, tt.size)
		sum := sha256.Sum256(want)
		if !bytes.Equal(s.Get(tt.key), want) || got.Address != "s3://backups/"+tt.key || got.Size != int64(len(want)) || got.SHA256 != hex.EncodeToString(sum[:]) || got.Header.Index != 7 {
			t.Errorf("%s: %d bytes stored in %q, %d written: %+v", tt.address, len(s.Get(tt.key)), s.Keys(), len(want), got)
		}
		parts := 0
		for _, r := range s.Requests() {
			if strings.Contains(r, "partNumber=") {
				parts++
			}
		}
		if parts != tt.parts || s.Uploads() != 0 {
			t.Errorf("%s: %d parts, want %d; %d uploads left", tt.address, parts, tt.parts, s.Uploads())
		}
	}
}

// A name of its own is never replaced; one that was asked for is.
func TestPutReplaces(t *testing.T) {
	s, b := rig(t, "s3://backups/p")
	for i, want := range []error{nil, fs.ErrExist} {
		if _, err := b.Put(t.Context(), writing(header("shop", 7), 10)); !errors.Is(err, want) {
			t.Errorf("%d: %v", i, err)
		}
	}
	named, err := Open("s3://backups/p/shop-1-7-20260301T120000Z.hfb", Options{Getenv: s.Getenv})
	if err != nil {
		t.Fatal(err)
	}
	defer named.Close()
	if _, err := named.Put(t.Context(), writing(header("shop", 8), 10)); err != nil {
		t.Fatal(err)
	}
	if got := s.Get("p/shop-1-7-20260301T120000Z.hfb"); !bytes.Equal(got, written(t, header("shop", 8), 10)) {
		t.Error("the other one is still there")
	}
}

// matching counts the requests for which f is asked.
func matching(method, query string, f func(n int64, w http.ResponseWriter, r *http.Request) bool) s3test.Fault {
	var n atomic.Int64
	return func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != method || !strings.Contains(r.URL.RawQuery, query) || query == "" && r.URL.RawQuery != "" {
			return false
		}
		return f(n.Add(1), w, r)
	}
}

func fail500(w http.ResponseWriter) bool {
	s3test.Refuse(w, http.StatusInternalServerError, "InternalError", "We encountered an internal error.")
	return true
}

// What fails in passing is tried again, and nobody hears of it: a store that fails, one that asks to slow down, connections that are cut, before the answer or in
// the middle of one, an answer that was lost though the store had done it.
func TestPassingFaults(t *testing.T) {
	first := func(f func(w http.ResponseWriter, r *http.Request) bool) func(int64, http.ResponseWriter, *http.Request) bool {
		return func(n int64, w http.ResponseWriter, r *http.Request) bool { return n == 1 && f(w, r) }
	}
	cut := func(w http.ResponseWriter, r *http.Request) bool {
		_, _ = io.CopyN(io.Discard, r.Body, 100)
		s3test.Cut(w)
		return true
	}
	for name, fault := range map[string]func(s *s3test.Server) s3test.Fault{
		"a part is refused": func(*s3test.Server) s3test.Fault {
			return matching(http.MethodPut, "partNumber=2", first(func(w http.ResponseWriter, _ *http.Request) bool { return fail500(w) }))
		},
		"slow down": func(*s3test.Server) s3test.Fault {
			return matching(http.MethodPost, "uploads", first(func(w http.ResponseWriter, _ *http.Request) bool {
				s3test.Refuse(w, http.StatusServiceUnavailable, "SlowDown", "Please reduce your request rate.")
				return true
			}))
		},
		"a part is cut off":   func(*s3test.Server) s3test.Fault { return matching(http.MethodPut, "partNumber=1", first(cut)) },
		"the end is cut off":  func(*s3test.Server) s3test.Fault { return matching(http.MethodPost, "uploadId", first(cut)) },
		"reading back is cut": func(s *s3test.Server) s3test.Fault { return matching(http.MethodGet, "", cutDownload(s, 3)) },
		"reading back fails": func(*s3test.Server) s3test.Fault {
			return matching(http.MethodGet, "", first(func(w http.ResponseWriter, _ *http.Request) bool { return fail500(w) }))
		},
		"the last answer is lost": loseAnswer,
	} {
		t.Run(name, func(t *testing.T) {
			s, b := rig(t, "s3://backups/p")
			s.Break(fault(s))
			h := header("shop", 9)
			got, err := b.Put(t.Context(), writing(h, 5<<20/2))
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(s.Get("p/"+h.Name()), written(t, h, 5<<20/2)) || got.Size != int64(len(s.Get("p/"+h.Name()))) {
				t.Error("something else is stored")
			}
			if s.Uploads() != 0 {
				t.Errorf("%d uploads left", s.Uploads())
			}
		})
	}
}

// cutDownload sends half of what is asked for, the first few times.
func cutDownload(s *s3test.Server, times int64) func(int64, http.ResponseWriter, *http.Request) bool {
	return func(n int64, w http.ResponseWriter, r *http.Request) bool {
		if n > times {
			return false
		}
		var from, to int
		content := s.Get(strings.TrimPrefix(r.URL.Path, "/backups/"))
		if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &from, &to); err != nil {
			s3test.Refuse(w, http.StatusBadRequest, "InvalidArgument", "no range")
			return true
		}
		w.Header().Set("Content-Length", fmt.Sprint(to+1-from))
		w.Header().Set("Last-Modified", "Sun, 01 Mar 2026 12:00:00 GMT")
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to, len(content)))
		w.WriteHeader(http.StatusPartialContent)
		_, _ = w.Write(content[from : from+(to-from)/2])
		_ = http.NewResponseController(w).Flush()
		s3test.Cut(w)
		return true
	}
}

// loseAnswer does what the last request of an upload asks for, and cuts the connection; so the client hears that there is no such upload.
func loseAnswer(s *s3test.Server) s3test.Fault {
	return matching(http.MethodPost, "uploadId", func(n int64, w http.ResponseWriter, r *http.Request) bool {
		if n > 1 {
			return false
		}
		again := r.Clone(context.Background())
		again.RequestURI = ""
		again.URL.Scheme, again.URL.Host = "http", strings.TrimPrefix(s.URL, "http://")
		res, err := http.DefaultTransport.RoundTrip(again)
		if err == nil {
			_, _ = io.Copy(io.Discard, res.Body)
			_ = res.Body.Close()
		}
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
		s3test.Cut(w)
		return true
	})
}

// What does not pass leaves nothing: no name, no parts; and the error says what and what to do.
func TestLastingFaults(t *testing.T) {
	const large = 5 << 20 / 2
	always := func(status int, code string) func(int64, http.ResponseWriter, *http.Request) bool {
		return func(_ int64, w http.ResponseWriter, _ *http.Request) bool {
			s3test.Refuse(w, status, code, "No.")
			return true
		}
	}
	for name, tt := range map[string]struct {
		fault s3test.Fault
		spoil func(string, []byte) []byte
		size  int
		want  string
	}{
		"a part":              {matching(http.MethodPut, "partNumber=2", always(500, "InternalError")), nil, large, "upload part 2: the store 127.0.0.1:"},
		"a small one":         {matching(http.MethodPut, "", always(503, "ServiceUnavailable")), nil, 10, "answers 503 ServiceUnavailable: No."},
		"the beginning":       {matching(http.MethodPost, "uploads", always(403, "AccessDenied")), nil, large, "the access key may not do that: it needs s3:PutObject"},
		"the end":             {matching(http.MethodPost, "uploadId", always(500, "InternalError")), nil, large, "end the upload: the store"},
		"the quota":           {matching(http.MethodPut, "", always(403, "QuotaExceeded")), nil, 10, "answers 403 QuotaExceeded"},
		"the clock":           {matching(http.MethodPut, "", always(403, "RequestTimeTooSkewed")), nil, 10, "the clock of this machine is wrong"},
		"another byte":        {nil, func(_ string, b []byte) []byte { b[len(b)/2] ^= 1; return b }, 10, "the store has other bytes than were sent"},
		"another byte, parts": {nil, func(_ string, b []byte) []byte { b[len(b)/2] ^= 1; return b }, large, "the store has other bytes than were sent"},
		"a byte less":         {nil, func(_ string, b []byte) []byte { return b[:len(b)-1] }, large, "bytes, "},
		"nothing stored":      {nil, func(string, []byte) []byte { return nil }, 10, "the store has 0 bytes"},
		"not to be read back": {matching(http.MethodGet, "", always(403, "AccessDenied")), nil, large, "s3:GetObject"},
		"never read back":     {matching(http.MethodGet, "", func(_ int64, w http.ResponseWriter, _ *http.Request) bool { s3test.Cut(w); return true }), nil, 10, "at byte 0 of"},
		"another hash": {matching(http.MethodPut, "", func(_ int64, _ http.ResponseWriter, r *http.Request) bool {
			r.Body = io.NopCloser(strings.NewReader("what a broken machine between makes of it"))
			return false
		}), nil, 10, "answers 400 XAmzContentSHA256Mismatch"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, b := rig(t, "s3://backups/p")
			s.Put("p/other.hfb", []byte("other"))
			s.Break(tt.fault)
			s.Spoil(tt.spoil)
			_, err := b.Put(t.Context(), writing(header("shop", 9), tt.size))
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "store s3://backups/p/shop-1-9-") {
				t.Errorf("got %v, want %s", err, tt.want)
			}
			if keys := s.Keys(); !slices.Equal(keys, []string{"p/other.hfb"}) || s.Uploads() != 0 {
				t.Errorf("left: %q and %d uploads", keys, s.Uploads())
			}
		})
	}
}

// An archive that breaks off, or is none, never gets a name, and what writes it hears of it.
func TestPutRefusesWhatIsNotWhole(t *testing.T) {
	whole := written(t, header("shop", 9), 5<<20/2)
	broken := slices.Clone(whole)
	broken[len(broken)-100_000] ^= 1
	for name, write := range map[string]func(io.Writer) error{
		"nothing":    func(io.Writer) error { return nil },
		"no archive": func(w io.Writer) error { _, err := w.Write(bytes.Repeat([]byte("garbage "), 1<<18)); return err },
		"cut off":    func(w io.Writer) error { _, err := w.Write(whole[:len(whole)-1]); return err },
		"and more":   func(w io.Writer) error { _, err := w.Write(append(slices.Clone(whole), 0)); return err },
		"one bit":    func(w io.Writer) error { _, err := w.Write(broken); return err },
		"dies": func(w io.Writer) error {
			_, err := w.Write(whole[:2<<20])
			return errors.Join(err, errors.New("the node dies"))
		},
	} {
		s, b := rig(t, "s3://backups/p")
		_, err := b.Put(t.Context(), write)
		want := "damaged archive"
		if name == "dies" {
			want = "the node dies"
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
		if len(s.Keys()) != 0 || s.Uploads() != 0 {
			t.Errorf("%s: left %q and %d uploads", name, s.Keys(), s.Uploads())
		}
	}
}

// Whoever stops an upload has its parts removed, and nobody waits for a store that does not answer.
func TestPutStops(t *testing.T) {
	s, b := rig(t, "s3://backups/p")
	b.partWait = 200 * time.Millisecond
	hang := func(_ int64, _ http.ResponseWriter, r *http.Request) bool {
		_, _ = io.Copy(io.Discard, r.Body) // only then the server sees that the client has gone
		<-r.Context().Done()
		return true
	}
	s.Break(matching(http.MethodPut, "partNumber=2", hang))
	if _, err := b.Put(t.Context(), writing(header("shop", 9), 5<<20/2)); err == nil || !strings.Contains(err.Error(), "upload part 2: the store 127.0.0.1:") || !strings.Contains(err.Error(), "does not answer in time") {
		t.Error(err)
	}
	b.partWait = time.Minute
	ctx, cancel := context.WithCancel(t.Context())
	s.Break(matching(http.MethodPut, "partNumber=2", func(n int64, w http.ResponseWriter, r *http.Request) bool { cancel(); return hang(n, w, r) }))
	if _, err := b.Put(ctx, writing(header("shop", 9), 5<<20/2)); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	// One that writes and never ends.
	ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	s.Break(nil)
	_, err := b.Put(ctx, func(w io.Writer) error {
		if _, err := w.Write(written(t, header("shop", 9), 5<<20/2)[:1<<20]); err != nil {
			return err
		}
		<-ctx.Done()
		return ctx.Err()
	})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	if len(s.Keys()) != 0 || s.Uploads() != 0 {
		t.Errorf("left: %q and %d uploads", s.Keys(), s.Uploads())
	}
}

// When even the parts cannot be removed the error says so.
func TestPartsThatStay(t *testing.T) {
	s, b := rig(t, "s3://backups/p")
	s.Break(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodDelete || strings.Contains(r.URL.RawQuery, "partNumber=2") {
			s3test.Refuse(w, http.StatusForbidden, "AccessDenied", "No.")
			return true
		}
		return false
	})
	_, err := b.Put(t.Context(), writing(header("shop", 9), 5<<20/2))
	if err == nil || !strings.Contains(err.Error(), "upload part 2") || !strings.Contains(err.Error(), "its parts are still in the store, without a name (a lifecycle rule") {
		t.Error(err)
	}
	s.Break(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodDelete {
			s3test.Refuse(w, http.StatusForbidden, "AccessDenied", "No.")
			return true
		}
		return false
	})
	s.Spoil(func(_ string, c []byte) []byte { return c[1:] })
	if _, err := b.Put(t.Context(), writing(header("shop", 9), 10)); err == nil || !strings.Contains(err.Error(), "what was stored could not be removed, do not use it") {
		t.Error(err)
	}
}

// The credentials go along, with the token of temporary ones, and wrong ones are told from other faults without being shown.
func TestCredentials(t *testing.T) {
	s, _ := rig(t, "s3://backups")
	s.WantToken("session-token")
	for extra, want := range map[string]string{
		"AWS_SESSION_TOKEN=session-token": "",
		"AWS_SESSION_TOKEN=other-token":   "look at AWS_SESSION_TOKEN",
		"AWS_ACCESS_KEY_ID=AKIDOTHER":     "the store does not know the access key",
	} {
		b, err := Open("s3://backups", Options{Getenv: func(name string) string {
			if k, v, _ := strings.Cut(extra, "="); k == name {
				return v
			}
			return s.Getenv(name)
		}})
		if err != nil {
			t.Fatal(err)
		}
		_, err = b.List(t.Context())
		if want == "" != (err == nil) || err != nil && (!strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "other-token") || strings.Contains(err.Error(), s3test.SecretKey)) {
			t.Errorf("%s: %v", extra, err)
		}
		b.Close()
	}
}

// List reads headers page by page, the older state first; what is no archive is said to be none; other prefixes do not count.
func TestListAndPrune(t *testing.T) {
	s, b := rig(t, "s3://backups/p")
	put := func(key string, h archive.Header, n int) {
		s.Put(key, written(t, h, n))
	}
	for i := range uint64(5) {
		h := header("shop", 10-i)
		h.Scheduled = i%2 == 0
		put("p/"+h.Name(), h, int(i)*100_000)
	}
	big := header("shop", 11)
	big.Scheduled = true
	for i := range 1000 {
		name := make([]byte, 150)
		_, _ = rand.NewChaCha8([32]byte{byte(i), byte(i >> 8)}).Read(name)
		big.Members = append(big.Members, archive.Member{Name: hex.EncodeToString(name)[:300], ID: fmt.Sprint(i), Addr: "10.0.0.1:7701"})
	}
	put("p/"+big.Name(), big, 10) // its header is larger than what is fetched first
	put("p/"+header("blog", 3).Name(), header("blog", 3), 10)
	put("p/deeper/"+header("shop", 1).Name(), header("shop", 1), 10)
	put("px/"+header("shop", 2).Name(), header("shop", 2), 10)
	s.Put("p/garbage.hfb", []byte("garbage"))
	s.Put("p/empty.hfb", nil)
	s.Put("p/.hidden.hfb", []byte("x"))
	s.Put("p/readme.txt", []byte("x"))
	list, err := b.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range list {
		if e.Size != int64(len(s.Get(strings.TrimPrefix(e.Path, "s3://backups/")))) {
			t.Errorf("%s: %d bytes", e.Path, e.Size)
		}
		got = append(got, fmt.Sprintf("%s%d%v%v", e.Header.GroupName, e.Header.Index, e.Header.Scheduled, errors.Is(e.Err, archive.ErrDamaged)))
	}
	want := []string{"blog3falsefalse", "shop6truefalse", "shop7falsefalse", "shop8truefalse", "shop9falsefalse", "shop10truefalse", "shop11truefalse", "0falsetrue", "0falsetrue"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	// Of the four that the schedule made two stay; by hand, other groups and garbage are not touched.
	gone, err := b.Prune(t.Context(), big, 2)
	if err != nil || len(gone) != 2 || !strings.Contains(gone[0], "shop-1-6-") || !strings.Contains(gone[1], "shop-1-8-") {
		t.Errorf("%q %v", gone, err)
	}
	if keys := s.Keys(); len(keys) != 13-2 {
		t.Errorf("left: %q", keys)
	}
	if _, err := b.Prune(t.Context(), big, 0); err == nil {
		t.Error("all of them would go")
	}
	s.Break(matching(http.MethodDelete, "", func(_ int64, w http.ResponseWriter, _ *http.Request) bool {
		s3test.Refuse(w, http.StatusForbidden, "AccessDenied", "No.")
		return true
	}))
	if gone, err := b.Prune(t.Context(), big, 1); err == nil || len(gone) != 0 || !strings.Contains(err.Error(), "s3:DeleteObject") {
		t.Errorf("%q %v", gone, err)
	}
	s.Break(matching(http.MethodGet, "list-type", func(_ int64, w http.ResponseWriter, _ *http.Request) bool { return fail500(w) }))
	if _, err := b.List(t.Context()); err == nil || !strings.Contains(err.Error(), "list s3://backups/p: the store") {
		t.Error(err)
	}
}

// A download goes on where its connection broke; not when something else is there meanwhile, nor for ever.
func TestOpen(t *testing.T) {
	s, b := rig(t, "s3://backups/p")
	content := written(t, header("shop", 7), 1<<20)
	s.Put("p/a.hfb", content)
	read := func() ([]byte, error) {
		o, err := b.Open(t.Context(), "a.hfb")
		if err != nil {
			return nil, err
		}
		defer o.Close()
		return io.ReadAll(o)
	}
	s.Break(matching(http.MethodGet, "", cutDownload(s, 6)))
	if got, err := read(); err != nil || !bytes.Equal(got, content) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	half := cutDownload(s, 1)
	s.Break(matching(http.MethodGet, "", func(n int64, w http.ResponseWriter, r *http.Request) bool {
		if n == 2 {
			s.Put("p/a.hfb", content[1:])
		}
		return half(n, w, r)
	}))
	if _, err := read(); err == nil || !strings.Contains(err.Error(), "412") {
		t.Error(err)
	}
	b.readWait = 50 * time.Millisecond
	s.Put("p/a.hfb", content)
	s.Break(matching(http.MethodGet, "", func(_ int64, w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("Last-Modified", "Sun, 01 Mar 2026 12:00:00 GMT")
		w.Header().Set("Content-Length", fmt.Sprint(len(content)))
		w.WriteHeader(http.StatusPartialContent)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done() // says nothing any more
		return true
	}))
	if _, err := read(); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("a.hfb at byte 0 of %d", len(content))) {
		t.Error(err)
	}
	s.Break(nil)
	for _, name := range []string{"", "nothing.hfb"} {
		if _, err := b.Open(t.Context(), name); err == nil || name != "" && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

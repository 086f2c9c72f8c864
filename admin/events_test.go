package admin_test

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-lb/holdfast/admin"
	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm"
)

// TestEventList: the replicated events, whichever node is asked, page by page. SUN-88
func TestEventList(t *testing.T) {
	r := newWorkRig(t)
	r.work.happen("one", "Instance: instance1 quiesced successfully over the cluster: cluster1.", "three")
	l := decode[wire.EventList](t, read(r.api, "/v1/events?after=1&limit=1"))
	if len(l.Events) != 1 || l.Events[0].Seq != 2 || l.Last != 3 || l.Events[0].Text != "Instance: instance1 quiesced successfully over the cluster: cluster1." || l.Events[0].Instance != "instance1" || l.Events[0].Index != 102 {
		t.Errorf("%+v", l)
	}
	if l := decode[wire.EventList](t, read(r.api, "/v1/events?after=9223372036854775807")); len(l.Events) != 0 || l.Events == nil {
		t.Errorf("%+v", l)
	}
	w := read(r.api, "/v1/events")
	if w.Header().Get("Content-Type") != "application/json" || w.Header().Get("Holdfast-Consistency") != wire.Linearizable {
		t.Errorf("%v", w.Header())
	}
	for _, q := range []string{"after=-1", "after=x", "after=18446744073709551616", "limit=0", "limit=1001", "after=1&after=2", "since=1"} {
		if w := read(r.api, "/v1/events?"+q); w.Code != http.StatusUnprocessableEntity {
			t.Errorf("%s: %d", q, w.Code)
		}
	}
}

// follow opens a stream and gives its lines.
func follow(t *testing.T, url, last string) (*bufio.Scanner, func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "text/event-stream")
	if last != "" {
		req.Header.Set("Last-Event-ID", last)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("%d %v", resp.StatusCode, resp.Header)
	}
	return bufio.NewScanner(resp.Body), func() { cancel(); resp.Body.Close() }
}

// until reads lines up to one that begins with prefix; false at the end of the stream.
func until(s *bufio.Scanner, prefix string) (string, bool) {
	for s.Scan() {
		if strings.HasPrefix(s.Text(), prefix) {
			return s.Text(), true
		}
	}
	return "", false
}

// TestEventStream: what was, and what happens from then on, once each, with the seq as id. TC-36
func TestEventStream(t *testing.T) {
	r := newWorkRig(t)
	r.work.happen("one", "two", "three")
	s, stop := follow(t, r.url+"/v1/events?after=1", "")
	defer stop()
	for _, want := range []string{"id: 2", "id: 3"} {
		if line, _ := until(s, "id: "); line != want {
			t.Fatalf("%q, want %q", line, want)
		}
	}
	r.work.happen("four")
	if line, _ := until(s, "data: "); !strings.Contains(line, `"text":"three"`) {
		t.Errorf("%q", line)
	}
	if line, _ := until(s, "event: "); line != "event: quiesced" {
		t.Errorf("%q", line)
	}
	if line, _ := until(s, "data: "); !strings.Contains(line, `"text":"four"`) || !strings.Contains(line, `"seq":4`) {
		t.Errorf("%q", line)
	}
	again, stopAgain := follow(t, r.url+"/v1/events?after=0", "3") // a browser comes back with the id that it has seen
	defer stopAgain()
	if line, _ := until(again, "id: "); line != "id: 4" {
		t.Errorf("%q", line)
	}
	req := local(httptest.NewRequest("GET", "http://127.0.0.1:7700/v1/events", nil))
	req.Header.Set("Accept", "text/event-stream")
	req.Header.Set("Last-Event-ID", "x")
	wantProblem(t, serve(r.api, req), http.StatusUnprocessableEntity, wire.CodeInvalidRequest)
}

// TestStreamEndsWhenTheNodeLeaves: the reader goes to another node.
func TestStreamEndsWhenTheNodeLeaves(t *testing.T) {
	r := newWorkRig(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, leave := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- admin.Serve(ctx, ln, r.api, slog.New(slog.DiscardHandler)) }()
	s, stop := follow(t, "http://"+ln.Addr().String()+"/v1/events", "")
	defer stop()
	if _, ok := until(s, "retry: "); !ok {
		t.Fatal("no stream")
	}
	leave()
	if line, ok := until(s, "id: "); ok {
		t.Errorf("%q after the node has left", line)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// streamWriter is a connection in virtual time. A reader that has stopped makes writes wait for their deadline.
type streamWriter struct {
	mu       sync.Mutex
	header   http.Header
	text     strings.Builder
	stopped  bool
	deadline time.Time
	status   int
}

func (w *streamWriter) Header() http.Header    { return w.header }
func (w *streamWriter) WriteHeader(status int) { w.status = status }
func (w *streamWriter) Flush()                 {}
func (w *streamWriter) SetWriteDeadline(t time.Time) error {
	w.deadline = t
	return nil
}

func (w *streamWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopped {
		time.Sleep(time.Until(w.deadline))
		return 0, os.ErrDeadlineExceeded
	}
	w.text.Write(p)
	return len(p), nil
}

func (w *streamWriter) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped = true
}

func (w *streamWriter) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

// openStream runs a stream in the bubble; done is closed at its end.
func openStream(r *workRig, token string) (w *streamWriter, cancel func(), done chan struct{}) {
	ctx, cancel := context.WithCancel(context.Background())
	req := local(httptest.NewRequestWithContext(ctx, "GET", "http://127.0.0.1:7700/v1/events", nil))
	if token != "" {
		req = bearer(req, token)
	}
	req.Header.Set("Accept", "text/event-stream")
	w, done = &streamWriter{header: http.Header{}}, make(chan struct{})
	go func() {
		defer close(done)
		r.api.ServeHTTP(w, req.WithContext(context.WithValue(req.Context(), http.LocalAddrContextKey, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 7700})))
	}()
	return w, cancel, done
}

func ended(done chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
}

func TestStreamsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newUnservedRig(t)
		token := r.token("viewer", time.Time{})
		w, cancel, done := openStream(r, token)
		time.Sleep(61 * time.Second)
		if n := strings.Count(w.String(), ": heartbeat\n\n"); n != 4 || ended(done) { // every 15 s
			t.Errorf("%d heartbeats in a minute: %q", n, w.String())
		}
		r.work.happen("news")
		time.Sleep(200 * time.Millisecond)
		if !strings.Contains(w.String(), "id: 1\n") {
			t.Errorf("an event takes longer than 200 ms: %q", w.String())
		}
		// A token that is revoked ends its streams.
		id := strings.Split(token, ".")[1]
		if _, err := r.node.Propose(context.Background(), &fsm.TokenDrop{RequestID: fsm.RequestID{7}, ID: id}); err != nil {
			t.Error(err)
		}
		time.Sleep(16 * time.Second)
		if !ended(done) {
			t.Error("the stream outlives its token")
		}
		cancel()

		// A reader that does not read is cut off.
		w, cancel, done = openStream(r, "")
		time.Sleep(time.Second)
		w.stop()
		r.work.happen("more")
		time.Sleep(9 * time.Second)
		if ended(done) {
			t.Error("cut off before 10 s")
		}
		time.Sleep(2 * time.Second)
		if !ended(done) {
			t.Error("a reader that does not read is not cut off after 10 s")
		}
		cancel()

		// One node has 64 streams and no more; one that ends makes room.
		var cancels []func()
		var last chan struct{}
		for range 64 {
			_, cancel, done := openStream(r, "")
			cancels, last = append(cancels, cancel), done
		}
		synctest.Wait()
		full, cancelFull, _ := openStream(r, "")
		synctest.Wait()
		if full.status != http.StatusServiceUnavailable || full.header.Get("Retry-After") == "" {
			t.Errorf("the 65th: %d %s", full.status, full.String())
		}
		cancelFull()
		cancels[63]()
		<-last
		room, cancelRoom, _ := openStream(r, "")
		synctest.Wait()
		if !strings.Contains(room.String(), "retry: ") {
			t.Errorf("no room after one has ended: %s", room.String())
		}
		for _, cancel := range append(cancels, cancelRoom) {
			cancel()
		}
		synctest.Wait()
	})
}

// TestManyEvents: a reader that was away gets all of them in order, in pieces.
func TestManyEvents(t *testing.T) {
	r := newWorkRig(t)
	for i := range 1000 {
		r.work.happen(fmt.Sprint("event ", i))
	}
	s, stop := follow(t, r.url+"/v1/events", "")
	defer stop()
	for n := 1; n <= 1000; n++ {
		if line, _ := until(s, "id: "); line != fmt.Sprint("id: ", n) {
			t.Fatalf("%q, want id %d", line, n)
		}
	}
}

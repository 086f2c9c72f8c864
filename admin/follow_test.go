package admin_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/holdfast-lb/holdfast/admin"
	"github.com/holdfast-lb/holdfast/admin/wire"
)

const followPath = "/v1/follow?epoch=1&from=7&term=2&group=0f0e"

// TestFollowIsSent: what the node writes arrives as it is flushed, and whoever has the secrets now is in the log.
func TestFollowIsSent(t *testing.T) {
	r := newRig(t)
	more, done := make(chan string), make(chan struct{})
	r.node.follow = func(_ context.Context, from admin.FollowFrom) (*admin.Follow, error) {
		if from != (admin.FollowFrom{Group: "0f0e", Epoch: 1, Line: 4294967295, Index: 7, Term: 2}) {
			t.Errorf("%+v", from)
		}
		return &admin.Follow{Write: func(ctx context.Context, w io.Writer, flush func() error) error {
			defer close(done)
			for {
				select {
				case text := <-more:
					_, err := io.WriteString(w, text)
					if err := errors.Join(err, flush()); err != nil {
						return err
					}
				case <-ctx.Done():
					return ctx.Err()
				}
			}
		}}, nil
	}
	ctx, leave := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url+followPath, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Holdfast-Epoch-Line", "4294967295")
	go func() { more <- "one\n" }()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	in := bufio.NewReader(resp.Body)
	for _, want := range []string{"one\n", "two\n"} {
		if want == "two\n" {
			more <- want
		}
		if got, err := in.ReadString('\n'); got != want || err != nil {
			t.Errorf("%q, %v", got, err)
		}
	}
	leave()
	<-done
	if log := r.log.String(); !strings.Contains(log, `msg="the log is followed"`) || !strings.Contains(log, "from=7") {
		t.Errorf("nobody knows who has the secrets now: %s", log)
	}
}

// TestFollowEnds: a log has no end, so every end breaks the connection; the places come back.
func TestFollowEnds(t *testing.T) {
	r := newRig(t)
	r.node.follow = func(context.Context, admin.FollowFrom) (*admin.Follow, error) {
		return &admin.Follow{Write: func(_ context.Context, w io.Writer, _ func() error) error {
			_, _ = io.WriteString(w, strings.Repeat("x", 100_000))
			return errors.New("the log is gone")
		}}, nil
	}
	for range 6 { // more than there are places
		resp, err := http.Get(r.url + followPath)
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusOK || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("status %d, %v", resp.StatusCode, err)
		}
	}
	if !strings.Contains(r.log.String(), "the log is gone") {
		t.Error("no word of it")
	}
}

// TestFollowHasALastWord: what was acknowledged while the node left still goes to the follower. Of a group of one node nobody else has it.
func TestFollowHasALastWord(t *testing.T) {
	r := newRig(t)
	r.node.follow = func(context.Context, admin.FollowFrom) (*admin.Follow, error) {
		return &admin.Follow{Write: func(ctx context.Context, w io.Writer, flush func() error) error {
			_, err := io.WriteString(w, "first\n")
			if err := errors.Join(err, flush()); err != nil {
				return err
			}
			<-ctx.Done()
			_, err = io.WriteString(w, "last\n")
			return errors.Join(err, flush(), ctx.Err())
		}}, nil
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	done := make(chan error, 1)
	go func() { done <- admin.Serve(ctx, ln, r.api, slog.New(slog.DiscardHandler)) }()
	resp, err := http.Get("http://" + ln.Addr().String() + followPath)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	in := bufio.NewReader(resp.Body)
	for _, want := range []string{"first\n", "last\n"} {
		if got, err := in.ReadString('\n'); got != want || err != nil {
			t.Errorf("%q, %v, want %q", got, err, want)
		}
		leave()
	}
	if rest, err := io.ReadAll(in); len(rest) > 0 || err == nil {
		t.Errorf("behind the end: %q, %v", rest, err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestFollowersAreFew(t *testing.T) {
	r := newRig(t)
	began := make(chan struct{})
	r.node.follow = func(context.Context, admin.FollowFrom) (*admin.Follow, error) {
		return &admin.Follow{Write: func(ctx context.Context, w io.Writer, flush func() error) error {
			_, _ = io.WriteString(w, "x")
			_ = flush()
			began <- struct{}{}
			<-ctx.Done()
			return ctx.Err()
		}}, nil
	}
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	for range 4 {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url+followPath, nil)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			if resp, err := http.DefaultClient.Do(req); err == nil {
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
			}
		}()
		<-began
	}
	p := wantProblem(t, read(r.api, followPath), http.StatusServiceUnavailable, wire.CodeNotReady)
	if !strings.Contains(p.Detail, "4 followers") {
		t.Error(p.Detail)
	}
}

func TestFollowHostile(t *testing.T) {
	r := newRig(t)
	for _, query := range []string{"", "?epoch=1&from=7", "?epoch=0&from=7&term=1", "?epoch=1&from=0&term=1", "?epoch=1&from=7&term=0", "?epoch=4294967296&from=7&term=1",
		"?epoch=1&from=-1&term=1", "?epoch=1&from=99999999999999999999&term=1", "?epoch=1&from=7&term=x", "?epoch=1&from=7&term=1&more=1", "?epoch=1&from=7&term=1&group=" + strings.Repeat("x", 400)} {
		w := read(r.api, "/v1/follow"+query)
		if w.Code < 400 || w.Code >= 500 {
			t.Errorf("%q: %d", query, w.Code)
		}
	}
	for name, c := range map[string]struct {
		err    error
		status int
		code   string
	}{
		"too old":  {wire.NewProblem(http.StatusGone, wire.CodeSnapshotNeeded, "x"), 410, wire.CodeSnapshotNeeded},
		"stranger": {wire.NewProblem(http.StatusConflict, wire.CodeRefused, "x"), 409, wire.CodeRefused},
		"fault":    {errors.New("secret detail"), 500, wire.CodeInternal},
	} {
		r.node.follow = func(context.Context, admin.FollowFrom) (*admin.Follow, error) { return nil, c.err }
		for range 5 { // the place is free again
			if p := wantProblem(t, read(r.api, followPath), c.status, c.code); strings.Contains(p.Detail, "secret") {
				t.Errorf("%s: %s", name, p.Detail)
			}
		}
	}
}

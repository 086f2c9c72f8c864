package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/holdfast-lb/holdfast/admin/client"
	"github.com/holdfast-lb/holdfast/admin/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func node(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return srv.URL
}

// dead is the address of a node that is down.
func dead(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return "http://" + ln.Addr().String()
}

func connect(t *testing.T, opt client.Options) *client.Client {
	t.Helper()
	opt.Pause = time.Millisecond
	c, err := client.New(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func fail(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(wire.NewProblem(status, code, "because"))
}

// cut ends the connection in the middle of the exchange: the client cannot know what became of its request.
func cut(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

func TestTheNextNodeIsAsked(t *testing.T) {
	var first, second atomic.Int32
	a := node(t, func(w http.ResponseWriter, _ *http.Request) { first.Add(1); fail(w, 503, wire.CodeNoQuorum) })
	b := node(t, func(w http.ResponseWriter, _ *http.Request) { second.Add(1); io.WriteString(w, `{"node":"b"}`) })
	c := connect(t, client.Options{URLs: []string{dead(t), a, b}})
	for range 3 {
		s, err := c.Status(t.Context())
		if err != nil || s.Node != "b" {
			t.Fatal(s, err)
		}
	}
	if first.Load() != 1 || second.Load() != 3 {
		t.Errorf("asked a %d times and b %d times: the node that answered last comes first", first.Load(), second.Load())
	}
}

func TestWhatIsRepeated(t *testing.T) {
	put := func(c *client.Client) error {
		_, err := c.PutConfig(t.Context(), client.PutConfig{Data: []byte("{}"), Expect: 3})
		return err
	}
	create := func(c *client.Client) error {
		_, err := c.CreateToken(t.Context(), client.TokenRequest{Role: "viewer"})
		return err
	}
	status := func(c *client.Client) error { _, err := c.Status(t.Context()); return err }
	answer := func(status int, code string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { fail(w, status, code) }
	}
	for _, tc := range []struct {
		name  string
		call  func(*client.Client) error
		first http.HandlerFunc
		again bool
	}{
		{"read after a broken connection", status, cut, true},
		{"read after a time-out", status, answer(504, wire.CodeOutcomeUnknown), true},
		{"change after a broken connection", put, cut, true},
		{"change with unknown outcome", put, answer(504, wire.CodeOutcomeUnknown), true},
		{"change without quorum", put, answer(503, wire.CodeNoQuorum), true},
		{"lost race", put, answer(409, wire.CodeRevisionConflict), false},
		{"faulty configuration", put, answer(422, wire.CodeConfigInvalid), false},
		{"new token after a broken connection", create, cut, false},
		{"new token with unknown outcome", create, answer(504, wire.CodeOutcomeUnknown), false},
		{"new token without quorum", create, answer(503, wire.CodeNoQuorum), true},
		{"no access", status, answer(401, wire.CodeUnauthorized), false},
		{"a fault of the node", status, answer(500, wire.CodeInternal), false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var keys []string
			var mu sync.Mutex // a handler may outlive the call that it broke off
			u := node(t, func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				keys = append(keys, r.Header.Get("Idempotency-Key"))
				calls := len(keys)
				mu.Unlock()
				if calls == 1 {
					tc.first(w, r)
					return
				}
				io.WriteString(w, `{}`)
			})
			err := tc.call(connect(t, client.Options{URLs: []string{u}}))
			mu.Lock()
			defer mu.Unlock()
			calls := len(keys)
			if again := calls == 2; again != tc.again || (err == nil) != tc.again {
				t.Fatalf("%d calls, error %v", calls, err)
			}
			if calls == 2 && keys[0] != keys[1] {
				t.Errorf("the repetition has another Idempotency-Key: %q", keys)
			}
			if strings.Contains(tc.name, "change") && keys[0] == "" {
				t.Error("a change without an Idempotency-Key")
			}
		})
	}
}

// TestNewTokenGoesToTheNextNodeWhenNothingWasSent is about the certain case: a connection that was never made.
func TestNewTokenGoesToTheNextNodeWhenNothingWasSent(t *testing.T) {
	u := node(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"secret":"hft1.x"}`) })
	tok, err := connect(t, client.Options{URLs: []string{dead(t), u}}).CreateToken(t.Context(), client.TokenRequest{Role: "viewer"})
	if err != nil || tok.Secret != "hft1.x" {
		t.Error(tok, err)
	}
}

func TestErrorsSayWhatHappened(t *testing.T) {
	const secret = "hft1.abc.verysecret"
	var unreachable *client.Unreachable
	_, err := connect(t, client.Options{URLs: []string{dead(t), dead(t)}, Token: secret}).Status(t.Context())
	if !errors.As(err, &unreachable) || len(unreachable.Tried) != 2 || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("got %v", err)
	}
	u := node(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+secret {
			t.Error("the token does not arrive")
		}
		fail(w, 403, wire.CodeForbidden)
	})
	var p *client.Problem
	_, err = connect(t, client.Options{URLs: []string{u}, Token: secret}).Tokens(t.Context())
	if !errors.As(err, &p) || p.Code != wire.CodeForbidden || p.Status != 403 {
		t.Errorf("got %v", err)
	}
	other := node(t, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "<html>", 404) })
	if _, err = connect(t, client.Options{URLs: []string{other}}).Status(t.Context()); !errors.As(err, &p) || !strings.Contains(err.Error(), "is it a Holdfast node?") {
		t.Errorf("got %v", err)
	}
	garbage := node(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>") })
	if _, err = connect(t, client.Options{URLs: []string{garbage}}).Status(t.Context()); err == nil {
		t.Error("garbage is taken for a status")
	}
	for _, bad := range []string{"", "ftp://x", "http://", "http://user:" + "pw@h", "http://h?x=1", "http://[::1"} {
		if _, err := client.New(client.Options{URLs: []string{bad}}); err == nil {
			t.Errorf("address %q is taken", bad)
		}
	}
	if _, err := client.New(client.Options{Token: "a\r\nX: y"}); err == nil || strings.Contains(err.Error(), "X: y") {
		t.Errorf("a token with a line break: %v", err)
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	var stolen atomic.Bool
	thief := node(t, func(http.ResponseWriter, *http.Request) { stolen.Store(true) })
	u := node(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, thief, http.StatusTemporaryRedirect) })
	if _, err := connect(t, client.Options{URLs: []string{u}, Token: "hft1.a.b"}).Status(t.Context()); err == nil || stolen.Load() {
		t.Errorf("error %v, token sent on: %v", err, stolen.Load())
	}
}

// TestTheContextEndsACall although a node is silent and although rounds are left.
func TestTheContextEndsACall(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	silent := node(t, func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	})
	_, err := connect(t, client.Options{URLs: []string{silent, silent}, Rounds: 1000}).Status(ctx)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestAllSessionsWalksThePages(t *testing.T) {
	pages := map[string]string{
		"":  `{"sessions":[{"key":"a"},{"key":"b"}],"next":"1"}`,
		"1": `{"sessions":[],"next":"2"}`,
		"2": `{"sessions":[{"key":"c"}]}`,
	}
	u := node(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, pages[r.URL.Query().Get("cursor")]) })
	c := connect(t, client.Options{URLs: []string{u}})
	var keys string
	for s, err := range c.AllSessions(t.Context(), client.SessionFilter{}) {
		if err != nil {
			t.Fatal(err)
		}
		keys += s.Key
	}
	if keys != "abc" {
		t.Errorf("met %q", keys)
	}
	for range c.AllSessions(t.Context(), client.SessionFilter{}) {
		break // the walk must stop asking
	}
}

func TestReadyIsNotRepeated(t *testing.T) {
	calls := 0
	u := node(t, func(w http.ResponseWriter, _ *http.Request) { calls++; fail(w, 503, wire.CodeNotReady) })
	var p *client.Problem
	if err := connect(t, client.Options{URLs: []string{u}}).Ready(t.Context()); !errors.As(err, &p) || p.Code != wire.CodeNotReady || calls != 1 {
		t.Errorf("%d calls, %v", calls, err)
	}
}

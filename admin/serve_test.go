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
	"testing/synctest"
	"time"

	"github.com/holdfast-lb/holdfast/admin"
)

func TestServeUntilTheContextEnds(t *testing.T) {
	n := newNode(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- admin.Serve(ctx, ln, newAPI(t, n, io.Discard), slog.New(slog.DiscardHandler)) }()
	resp, err := http.Get("http://" + ln.Addr().String() + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := net.Dial("tcp", ln.Addr().String()); err == nil {
		t.Error("the address is still open")
	}
}

func TestServeSaysWhyItEnds(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	if err := admin.Serve(t.Context(), ln, http.NotFoundHandler(), slog.New(slog.DiscardHandler)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v", err)
	}
}

// pipeListener hands out the server's ends of in-memory connections, so that deadlines run on the virtual clock.
type pipeListener struct{ conns chan net.Conn }

func (l pipeListener) Accept() (net.Conn, error) {
	c, ok := <-l.conns
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}
func (l pipeListener) Close() error   { return nil }
func (l pipeListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 7700} }

// TestSlowClientsAreCutOff: a head or a body that dribbles in ends within its deadline, in virtual time.
func TestSlowClientsAreCutOff(t *testing.T) {
	for _, tc := range []struct {
		name, head string
		within     time.Duration
		status     string
	}{
		{"head", "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n", 6 * time.Second, ""},
		{"idle", "", 6 * time.Second, ""},
		{"body", "POST /v1/tokens HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer TOKEN\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n{", 12 * time.Second, "HTTP/1.1 408"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNode(t)
				r := &rig{T: t, node: n, api: newAPI(t, n, io.Discard)}
				head := strings.Replace(tc.head, "TOKEN", r.token("admin", time.Time{}), 1)
				l := pipeListener{make(chan net.Conn)}
				srv := admin.NewServer(r.api, slog.New(slog.DiscardHandler))
				served := make(chan error, 1)
				go func() { served <- srv.Serve(l) }()
				client, server := net.Pipe()
				l.conns <- server
				start := time.Now()
				written := make(chan struct{})
				go func() {
					defer close(written)
					// One byte each second keeps an idle timer alive, but not these deadlines.
					io.WriteString(client, head)
					for {
						time.Sleep(time.Second)
						if _, err := client.Write([]byte("x")); err != nil {
							return
						}
					}
				}()
				answer, _ := io.ReadAll(client)
				took := time.Since(start)
				client.Close()
				<-written
				if took > tc.within || !strings.HasPrefix(string(answer), tc.status) {
					t.Errorf("cut off after %v with %.40q", took, answer)
				}
				close(l.conns)
				srv.Close()
				<-served
			})
		})
	}
}

// TestServeInTurn: when another one is to answer on the same socket, this one says that it does not as soon as nothing more can reach it, while a call is still under way: nothing is accepted,
// a kept connection is closed, and the call gets its answer.
func TestServeInTurn(t *testing.T) {
	first, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f, err := first.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	next, err := net.FileListener(f) // the socket stays open, as when the next process has it
	if err != nil {
		t.Fatal(err)
	}
	defer next.Close()
	under, goOn := make(chan struct{}), make(chan struct{})
	slow := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(under)
			<-goOn
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	done, yielded := make(chan error, 1), make(chan struct{})
	go func() {
		done <- admin.ServeInTurn(ctx, first, slow, slog.New(slog.DiscardHandler), func() { close(yielded) })
	}()
	ask := func(c net.Conn, path string) *http.Response {
		t.Helper()
		if _, err := io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		answer, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
	dial := func() net.Conn {
		t.Helper()
		c, err := net.Dial("tcp", first.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	kept := dial()
	ask(kept, "/")
	late := dial() // has connected, and asks later
	answered := make(chan *http.Response, 1)
	busy := dial()
	go func() { answered <- ask(busy, "/slow") }()
	<-under
	cancel()
	<-yielded
	if n, err := kept.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the kept connection: %d bytes, %v", n, err)
	}
	if answer := ask(late, "/"); answer.StatusCode != http.StatusOK || !answer.Close {
		t.Errorf("who has connected before: %+v", answer)
	}
	dial()
	c, err := next.Accept()
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
	close(goOn)
	if answer := <-answered; answer.StatusCode != http.StatusOK || !answer.Close {
		t.Errorf("the call that was under way: %+v", answer)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

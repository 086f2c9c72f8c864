package wire_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-lb/holdfast/lb/wire"
)

const retireQuiet = 2 * time.Second

// retiree runs a test with a server whose handler takes its time from the query, and one connection to it.
func retiree(t *testing.T, test func(t *testing.T, client net.Conn, in *bufio.Reader, server *wire.Conn)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
		conns := make(chan *wire.Conn, 1)
		server := &http.Server{
			ConnState: func(c net.Conn, s http.ConnState) {
				if s == http.StateNew {
					conns <- wire.FromConn(c)
				}
			},
			Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				d, _ := time.ParseDuration(r.URL.RawQuery)
				<-time.After(d)
				n, err := io.Copy(io.Discard, r.Body)
				fmt.Fprintf(w, "%d %v", n, err)
			}),
		}
		done := make(chan error, 1)
		go func() { done <- server.Serve(wire.NewListener(p, wire.Limits{}, nil)) }()
		near, far := net.Pipe()
		p.conns <- far
		test(t, near, bufio.NewReader(near), <-conns)
		near.Close()
		server.Close()
		<-done
	})
}

func ask(t *testing.T, client net.Conn, in *bufio.Reader, query string) {
	t.Helper()
	write(client, "GET /?"+query+" HTTP/1.1\r\nHost: h\r\n\r\n")
	answered(t, in, "0 <nil>")
}

func answered(t *testing.T, in *bufio.Reader, want string) {
	t.Helper()
	res, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(res.Body); err != nil || string(body) != want {
		t.Fatalf("%q %v, want %q", body, err, want)
	}
}

func ended(t *testing.T, in *bufio.Reader, since time.Time, after time.Duration) {
	t.Helper()
	if b, err := in.ReadByte(); err != io.EOF || time.Since(since) != after {
		t.Errorf("%q %v after %v, want the end after %v", b, err, time.Since(since), after)
	}
}

// TestRetireWaitsForQuiet: the wait that is under way counts what was silent before, later ones begin anew with each request, a second call changes nothing.
func TestRetireWaitsForQuiet(t *testing.T) {
	retiree(t, func(t *testing.T, client net.Conn, in *bufio.Reader, server *wire.Conn) {
		ask(t, client, in, "")
		<-time.After(300 * time.Millisecond)
		begin := time.Now()
		server.Retire(retireQuiet, 300*time.Millisecond)
		if !server.Retired() {
			t.Error("not retired")
		}
		ended(t, in, begin, retireQuiet-300*time.Millisecond)
	})
	retiree(t, func(t *testing.T, client net.Conn, in *bufio.Reader, server *wire.Conn) {
		server.Retire(retireQuiet, 0) // has not sent anything yet
		for range 3 {
			<-time.After(retireQuiet - time.Millisecond)
			ask(t, client, in, "")
		}
		begin := time.Now()
		<-time.After(retireQuiet / 2)
		server.Retire(retireQuiet, 0)
		ended(t, in, begin, retireQuiet)
	})
	retiree(t, func(t *testing.T, client net.Conn, in *bufio.Reader, server *wire.Conn) {
		ask(t, client, in, "")
		synctest.Wait()
		server.Retire(retireQuiet, time.Hour)
		ended(t, in, time.Now(), 0)
	})
}

// TestRetireLetsRequestsFinish: heads, bodies and handlers may take longer than quiet, whenever Retire comes.
func TestRetireLetsRequestsFinish(t *testing.T) {
	for early := range 5 {
		retiree(t, func(t *testing.T, client net.Conn, in *bufio.Reader, server *wire.Conn) {
			for i, piece := range []string{"POST /?5s HTTP/1.1\r\nHost", ": h\r\nContent-Length: 6\r\n\r\n", "abc", "def"} {
				if i == early {
					synctest.Wait()
					server.Retire(retireQuiet, time.Hour)
				}
				if i > 0 {
					<-time.After(retireQuiet + time.Second)
				}
				if i == 0 && early == 0 { // it is idle, and its time is over
					ended(t, in, time.Now(), 0)
					return
				}
				write(client, piece)
				synctest.Wait()
			}
			if early == 4 {
				server.Retire(retireQuiet, time.Hour)
			}
			answered(t, in, "6 <nil>")
			begin := time.Now()
			ended(t, in, begin, retireQuiet)
		})
	}
}

// TestPipelinedRequestsOfARetiredConnection: what has come already is no silence.
func TestPipelinedRequestsOfARetiredConnection(t *testing.T) {
	retiree(t, func(t *testing.T, client net.Conn, in *bufio.Reader, server *wire.Conn) {
		go write(client, strings.Repeat("GET /?3s HTTP/1.1\r\nHost: h\r\n\r\n", 3))
		synctest.Wait()
		server.Retire(retireQuiet, time.Hour)
		for range 3 {
			answered(t, in, "0 <nil>")
		}
		ended(t, in, time.Now(), retireQuiet)
	})
}

func TestStay(t *testing.T) {
	retiree(t, func(t *testing.T, client net.Conn, in *bufio.Reader, server *wire.Conn) {
		ask(t, client, in, "")
		server.Retire(retireQuiet, 0)
		<-time.After(retireQuiet / 2)
		server.Stay()
		server.Stay()
		<-time.After(time.Hour)
		if server.Retired() {
			t.Error("still retired")
		}
		ask(t, client, in, "")
		begin := time.Now()
		server.Retire(retireQuiet, 0)
		ended(t, in, begin, retireQuiet)
	})
	// One that has not sent anything is bounded again as it was.
	retiree(t, func(t *testing.T, client net.Conn, in *bufio.Reader, server *wire.Conn) {
		server.Retire(retireQuiet, 0)
		server.Stay()
		synctest.Wait()
		ended(t, in, time.Now(), 10*time.Second)
	})
}

// tcpPair gives both ends of a guarded connection over TCP.
func tcpPair(t *testing.T) (client *net.TCPConn, server *wire.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	guarded := wire.NewListener(ln, wire.Limits{}, nil)
	defer guarded.Close()
	dialled, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := guarded.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dialled.Close(); accepted.Close() })
	return dialled.(*net.TCPConn), accepted.(*wire.Conn)
}

// TestLastLook: a request that is there when the time is over is served. The runtime would report the deadline and leave it unread.
func TestLastLook(t *testing.T) {
	client, server := tcpPair(t)
	server.Retire(0, 0)
	write(client, inner)
	p := make([]byte, 4096)
	if n, err := server.Read(p); err != nil || string(p[:n]) != inner {
		t.Fatalf("%q %v", p[:n], err)
	}
	if n, err := server.Read(p); n != 0 || err != io.EOF {
		t.Errorf("%d %v, want the end", n, err)
	}
}

// TestCloseOfARetiredConnectionResetsNothing: what crosses the end of the stream does not destroy the response before it. Without Retire the client is reset:
// that is the other half of the test.
func TestCloseOfARetiredConnectionResetsNothing(t *testing.T) {
	for _, retired := range []bool{true, false} {
		client, server := tcpPair(t)
		if retired {
			server.Retire(time.Hour, 0)
		}
		if _, err := server.Write([]byte("response")); err != nil {
			t.Fatal(err)
		}
		write(client, inner) // nobody reads it
		if err := server.Close(); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(client)
		if retired && (string(got) != "response" || err != nil) {
			t.Errorf("%q %v", got, err)
		}
		if !retired && !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the kernel does not reset this connection, so that the test shows nothing: %v", err)
		}
	}
}

// TestNudgesHarmNoTraffic retires connections and takes it back all the time, while requests of all kinds go on.
func TestNudgesHarmNoTraffic(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	conns := make(chan *wire.Conn, 8)
	server := &http.Server{
		ConnState: func(c net.Conn, s http.ConnState) {
			if s == http.StateNew {
				conns <- wire.FromConn(c)
			}
		},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			n, err := io.Copy(io.Discard, r.Body)
			fmt.Fprintf(w, "%d %v", n, err)
		}),
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(wire.NewListener(ln, wire.Limits{}, nil)) }()
	var clients, nudgers sync.WaitGroup
	over := make(chan struct{})
	for range cap(conns) {
		client, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		clients.Go(func() { nudged(t, client) })
		conn := <-conns
		nudgers.Go(func() {
			for {
				select {
				case <-over:
					return
				case <-time.After(time.Duration(rand.IntN(300)) * time.Microsecond):
					conn.Retire(time.Minute, 0)
					conn.Stay()
				}
			}
		})
	}
	clients.Wait()
	close(over)
	nudgers.Wait()
	server.Close()
	<-served
}

// nudged sends requests in pieces and checks the answers.
func nudged(t *testing.T, client net.Conn) {
	defer client.Close()
	in := bufio.NewReader(client)
	for i := range 300 {
		size := rand.IntN(5000)
		request := fmt.Sprintf("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s", size, strings.Repeat("x", size))
		cut := rand.IntN(len(request))
		write(client, request[:cut])
		if i%3 == 0 {
			<-time.After(time.Duration(rand.IntN(1000)) * time.Microsecond)
		}
		write(client, request[cut:])
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Error(err)
			return
		}
		if body, err := io.ReadAll(res.Body); err != nil || string(body) != fmt.Sprintf("%d <nil>", size) {
			t.Errorf("%q %v", body, err)
			return
		}
	}
}

package wire_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-lb/holdfast/lb/wire"
)

// pipes is a listener for connections in memory, whose deadlines run on the
// clock of a synctest bubble.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	select {
	case <-p.closed:
	default:
		close(p.closed)
	}
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

// inBubble runs a test with a guarded server and one connection to it. The
// clock stands still but for waiting.
func inBubble(t *testing.T, h http.HandlerFunc, l wire.Limits, test func(t *testing.T, c net.Conn)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
		server := &http.Server{Handler: h}
		done := make(chan error, 1)
		go func() { done <- server.Serve(wire.NewListener(p, l, nil)) }()
		near, far := net.Pipe()
		p.conns <- far
		test(t, near)
		near.Close()
		server.Close()
		<-done
	})
}

func quick(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	fmt.Fprint(w, "quick")
}

// answers reads all responses and gives the statuses and when the end came.
func answers(t *testing.T, c net.Conn) (statuses []int, after time.Duration) {
	t.Helper()
	begin, in := time.Now(), bufio.NewReader(c)
	for {
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			return statuses, time.Since(begin)
		}
		if _, err := io.Copy(io.Discard, res.Body); err != nil {
			t.Error(err)
		}
		statuses = append(statuses, res.StatusCode)
	}
}

func write(c net.Conn, s string) { _, _ = io.WriteString(c, s) } // the server may hang up first

func expect(t *testing.T, c net.Conn, statuses []int, after time.Duration) {
	t.Helper()
	got, took := answers(t, c)
	if fmt.Sprint(got) != fmt.Sprint(statuses) || took != after {
		t.Errorf("answers %v and the end after %v, want %v after %v", got, took, statuses, after)
	}
}

func TestHeadTimeout(t *testing.T) {
	t.Run("first head", func(t *testing.T) {
		inBubble(t, quick, wire.Limits{}, func(t *testing.T, c net.Conn) {
			go write(c, "GET / HTTP/1.1\r\nHost:")
			expect(t, c, []int{408}, 10*time.Second)
		})
	})
	t.Run("next head", func(t *testing.T) {
		inBubble(t, quick, wire.Limits{}, func(t *testing.T, c net.Conn) {
			go write(c, inner+"G")
			expect(t, c, []int{200, 408}, 10*time.Second)
		})
	})
	t.Run("drip", func(t *testing.T) {
		inBubble(t, quick, wire.Limits{HeadTimeout: 5 * time.Second}, func(t *testing.T, c net.Conn) {
			hungUp := make(chan struct{})
			go func() {
				defer close(hungUp)
				tick := time.NewTicker(700 * time.Millisecond)
				defer tick.Stop()
				for _, b := range []byte("GET / HTTP/1.1\r\n" + strings.Repeat("X: 1\r\n", 90)) {
					if _, err := c.Write([]byte{b}); err != nil {
						return
					}
					<-tick.C
				}
			}()
			expect(t, c, []int{408}, 5*time.Second)
			c.Close()
			<-hungUp // the clock stops with this goroutine
		})
	})
	t.Run("during a slow handler", func(t *testing.T) {
		slow := func(w http.ResponseWriter, r *http.Request) {
			select {
			case <-time.After(time.Minute):
			case <-r.Context().Done():
				w.WriteHeader(http.StatusInternalServerError)
			}
		}
		inBubble(t, slow, wire.Limits{}, func(t *testing.T, c net.Conn) {
			go write(c, inner+"G")
			expect(t, c, []int{200, 408}, time.Minute)
		})
	})
	t.Run("slow body is no slow head", func(t *testing.T) {
		inBubble(t, quick, wire.Limits{}, func(t *testing.T, c net.Conn) {
			go func() {
				for _, piece := range []string{"POST / HTTP/1.1\r\n", host + "Connection: close\r\nContent-Length: 3\r\n\r\n", "a", "b", "c"} {
					<-time.After(8 * time.Second)
					write(c, piece)
				}
			}()
			expect(t, c, []int{200}, 40*time.Second)
		})
	})
}

func TestIdle(t *testing.T) {
	limits := wire.Limits{Idle: time.Minute}
	t.Run("an empty line does not begin a head", func(t *testing.T) {
		inBubble(t, quick, limits, func(t *testing.T, c net.Conn) {
			go func() {
				write(c, inner+"\r\n")
				<-time.After(50 * time.Second)
				write(c, inner+"\r\n")
			}()
			expect(t, c, []int{200, 200}, 110*time.Second)
		})
	})
	t.Run("a head after an empty line has its own time", func(t *testing.T) {
		inBubble(t, quick, limits, func(t *testing.T, c net.Conn) {
			go func() {
				write(c, "\r\n")
				<-time.After(50 * time.Second)
				write(c, "G")
			}()
			expect(t, c, []int{408}, 60*time.Second)
		})
	})
	t.Run("only an empty line", func(t *testing.T) {
		inBubble(t, quick, limits, func(t *testing.T, c net.Conn) {
			go write(c, "\r\n")
			expect(t, c, nil, time.Minute)
		})
	})
	t.Run("nothing sent", func(t *testing.T) {
		inBubble(t, quick, limits, func(t *testing.T, c net.Conn) { expect(t, c, nil, time.Minute) })
	})
	t.Run("nothing sent, without a limit", func(t *testing.T) {
		inBubble(t, quick, wire.Limits{}, func(t *testing.T, c net.Conn) { expect(t, c, nil, 10*time.Second) })
	})
	t.Run("after a response, without a limit", func(t *testing.T) {
		inBubble(t, quick, wire.Limits{}, func(t *testing.T, c net.Conn) {
			go func() {
				write(c, inner)
				<-time.After(time.Hour)
				c.Close()
			}()
			expect(t, c, []int{200}, time.Hour)
		})
	})
	t.Run("after a response", func(t *testing.T) {
		inBubble(t, quick, limits, func(t *testing.T, c net.Conn) {
			go func() {
				write(c, inner)
				<-time.After(50 * time.Second)
				write(c, inner)
			}()
			expect(t, c, []int{200, 200}, 110*time.Second)
		})
	})
	t.Run("a slow handler is not idle", func(t *testing.T) {
		slow := func(w http.ResponseWriter, r *http.Request) {
			select {
			case <-time.After(time.Hour):
			case <-r.Context().Done():
				w.WriteHeader(http.StatusInternalServerError)
			}
		}
		for name, more := range map[string]string{"": "", "empty line": "\r\n"} {
			t.Run(name, func(t *testing.T) {
				inBubble(t, slow, limits, func(t *testing.T, c net.Conn) {
					go write(c, inner+more)
					res, err := http.ReadResponse(bufio.NewReader(c), nil)
					if err != nil || res.StatusCode != 200 {
						t.Errorf("response %v, %v; want 200", res, err)
					}
				})
			})
		}
	})
}

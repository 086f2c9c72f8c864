package lb

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/holdfast-lb/holdfast/internal/certtest"
)

// farAway is a connection whose second write, which ends a handshake, leaves when it may.
type farAway struct {
	net.Conn
	written atomic.Int64
	goOn    chan struct{}
}

func (c *farAway) Write(p []byte) (int, error) {
	if c.written.Add(1) == 2 {
		<-c.goOn
	}
	return c.Conn.Write(p)
}

// shakesSlowly begins a handshake that ends after goOn; what became of it comes out of the channel.
func shakesSlowly(t *testing.T, r *rig, ca *certtest.CA, protocol string, goOn chan struct{}) (*tls.Conn, chan error) {
	raw := &farAway{Conn: dialTCP(t, r.addr()), goOn: goOn}
	c := clientOf(ca)
	c.NextProtos = []string{protocol}
	conn, shaken := tls.Client(raw, c), make(chan error, 1)
	go func() { shaken <- conn.Handshake() }()
	t.Cleanup(func() { conn.Close() })
	return conn, shaken
}

// TestHandshakesOutliveTheListener: who is in the middle of one when a node hands on, or stops in an orderly way, is served, however far away, and holds up no other client.
func TestHandshakesOutliveTheListener(t *testing.T) {
	for name, stop := range map[string]func(*Balancer, context.Context) error{"handed on": (*Balancer).HandOn, "stopped": (*Balancer).Shutdown} {
		t.Run(name, func(t *testing.T) {
			r, ca := secureRig(t, overTLS(http2Conf(of(newApp(t, "i1", nil))...), "site"))
			idle := dialTLS(t, r, ca)
			defer idle.Close()
			if err := idle.get("/"); err != nil {
				t.Fatal(err)
			}
			goOn := make(chan struct{})
			one, oneShaken := shakesSlowly(t, r, ca, "http/1.1", goOn)
			two, twoShaken := shakesSlowly(t, r, ca, "h2", goOn)
			r.wait("they are under way", func() bool { return metric(t, r, "holdfast_tls_handshakes_in_progress") == 2 })
			ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
			defer cancel()
			ended := make(chan error, 1)
			go func() { ended <- stop(r.b, ctx) }()
			if _, err := idle.in.ReadByte(); err != io.EOF {
				t.Errorf("a connection that was there: %v", err)
			}
			<-time.After(2 * lastShakes)
			select {
			case err := <-ended:
				t.Fatalf("it has ended: %v", err)
			default:
			}
			close(goOn)
			if err := <-oneShaken; err != nil {
				t.Fatal(err)
			}
			io.WriteString(one, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
			resp, err := http.ReadResponse(bufio.NewReader(one), nil)
			if err != nil || resp.StatusCode != 200 || !resp.Close {
				t.Errorf("HTTP/1.1: %+v, %v", resp, err)
			}
			if err := <-twoShaken; err != nil {
				t.Fatal(err)
			}
			io.WriteString(two, http2.ClientPreface)
			f := &framed{t: t, Conn: two, Framer: http2.NewFramer(two, two)}
			f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
			f.enc = hpack.NewEncoder(&f.head)
			f.WriteSettings()
			f.ask(1, true, get("/")...)
			for got := ""; got != "200"; { // the word that it is to end comes before or behind
				if got = f.outcomeOf(1); got != "200" && got != "goaway NO_ERROR" {
					t.Fatal(got)
				}
			}
			one.Close()
			two.Close()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
}

// TestHandshakesEndWithTheDrain: one that hangs does not keep a node that stops for longer than it may take.
func TestHandshakesEndWithTheDrain(t *testing.T) {
	r, _ := secureRig(t, overTLS(bare(of(newApp(t, "i1", nil))...), "site"))
	hangs := dialTCP(t, r.addr())
	r.wait("it hangs", func() bool { return metric(t, r, "holdfast_tls_handshakes_in_progress") == 1 })
	ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
	defer cancel()
	begun := time.Now()
	r.b.Shutdown(ctx)
	if took := time.Since(begun); took < lastShakes || took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
	closedByOther(t, hangs)
}

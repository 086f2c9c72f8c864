package rivals

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Paced sends rate requests a second for that long over some kept connections, each at its time, whatever became of those before (an open loop). The latency counts from when a
// request was due, so that a proxy that stalls does not look better for having been asked less meanwhile.
func Paced(ctx context.Context, r *Rival, rate, connections int, took time.Duration) (p50, p99 time.Duration, err error) {
	clients := make([]*client, connections)
	for i := range clients {
		if clients[i], err = dial(ctx, r.Addr, nil, r.Cookies[i%len(r.Cookies)]); err != nil {
			return 0, 0, err
		}
		defer clients[i].conn.Close()
	}
	var each sync.WaitGroup
	errs := make([]error, connections)
	latencies := make([][]time.Duration, connections)
	begin := time.Now().Add(50 * time.Millisecond)
	gap := time.Second / time.Duration(rate)
	total := int(took / gap)
	for i, c := range clients {
		each.Go(func() {
			for n := i; n < total; n += connections {
				due := begin.Add(time.Duration(n) * gap)
				select {
				case <-time.After(time.Until(due)):
				case <-ctx.Done():
					errs[i] = ctx.Err()
					return
				}
				if errs[i] = c.ask(100); errs[i] != nil {
					return
				}
				latencies[i] = append(latencies[i], time.Since(due))
			}
		})
	}
	each.Wait()
	all := slices.Concat(latencies...)
	if err := errors.Join(errs...); err != nil || len(all) == 0 {
		return 0, 0, fmt.Errorf("%s: %w", r.Name, errors.Join(err, errors.New("no answers in time")))
	}
	slices.Sort(all)
	return all[len(all)/2], all[len(all)*99/100], nil
}

// client is a connection that makes one request after the other.
type client struct {
	conn    net.Conn
	in      *bufio.Reader
	cookie  string
	request []byte
}

// dial connects; c is not nil for TLS, whose handshake has been made then.
func dial(ctx context.Context, addr string, c *tls.Config, cookie string) (*client, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	if c != nil {
		secured := tls.Client(conn, c)
		if err := secured.HandshakeContext(ctx); err != nil {
			conn.Close()
			return nil, err
		}
		conn = secured
	}
	return &client{conn: conn, in: bufio.NewReaderSize(conn, 4<<10), cookie: cookie}, nil
}

// ask wants an answer of that many bytes.
func (c *client) ask(size int) error {
	if c.request == nil {
		c.request = fmt.Appendf(nil, "GET /%d HTTP/1.1\r\nHost: bench.test\r\nCookie: %s\r\n\r\n", size, c.cookie)
	}
	if err := c.conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	if _, err := c.conn.Write(c.request); err != nil {
		return err
	}
	response, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return err
	}
	n, err := io.Copy(io.Discard, response.Body)
	if err == nil && (response.StatusCode != http.StatusOK || n != int64(size)) {
		err = fmt.Errorf("answer %s of %d bytes", response.Status, n)
	}
	return errors.Join(err, response.Body.Close())
}

// Idle gives the memory in bytes that each of n kept connections costs the proxy which have had one request, and then nothing for a while. c is not nil for connections with TLS.
func Idle(ctx context.Context, r *Rival, c *tls.Config, n int, quiet time.Duration) (float64, error) {
	addr := r.Addr
	if c != nil {
		addr = r.Secure
	}
	before, err := proportionalMemory(r.pids())
	if err != nil {
		return 0, err
	}
	clients := make([]*client, 0, n)
	defer func() {
		for _, c := range clients {
			_ = c.conn.Close()
		}
	}()
	for i := range n {
		c, err := dial(ctx, addr, c, r.Cookies[i%len(r.Cookies)])
		if err != nil {
			return 0, err
		}
		clients = append(clients, c)
		if err := c.ask(100); err != nil {
			return 0, fmt.Errorf("%s: connection %d: %w", r.Name, i, err)
		}
		c.in, c.request = nil, nil // this process has limits of its own
	}
	select {
	case <-time.After(quiet):
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	after, err := proportionalMemory(r.pids())
	return float64(after-before) / float64(n), err
}

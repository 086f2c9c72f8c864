package attack

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Neighbour sends an ordinary request each so often, whatever becomes of the earlier ones, over connections that it keeps.
type Neighbour struct {
	cancel context.CancelFunc
	done   chan struct{}

	mu     sync.Mutex
	waits  []time.Duration
	failed []string
}

// Report is how a neighbour fared.
type Report struct {
	Sent          int
	P50, P99, Max time.Duration
	// Failed has the requests that were not answered with 200.
	Failed []string
}

func (r Report) String() string {
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	return fmt.Sprintf("%d requests, %d failed, p50 %.1f ms, p99 %.1f ms, most %.1f ms", r.Sent, len(r.Failed), ms(r.P50), ms(r.P99), ms(r.Max))
}

// busyUsers is how many requests may be under way at once.
const busyUsers = 64

// NewNeighbour begins one whose connections come from the address from, nil for any. The time of a request counts from when it was due.
func NewNeighbour(ctx context.Context, url string, from net.IP, every time.Duration) *Neighbour {
	ctx, cancel := context.WithCancel(ctx)
	n := &Neighbour{cancel: cancel, done: make(chan struct{})}
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: busyUsers, DialContext: (&net.Dialer{LocalAddr: &net.TCPAddr{IP: from}}).DialContext}}
	go func() {
		defer close(n.done)
		defer client.CloseIdleConnections()
		var all sync.WaitGroup
		defer all.Wait()
		room := make(chan struct{}, busyUsers)
		for due := time.Now(); ; due = due.Add(every) {
			select {
			case <-ctx.Done():
				return
			case <-time.After(time.Until(due)):
			}
			select {
			case <-ctx.Done():
				return
			case room <- struct{}{}:
			}
			all.Go(func() {
				err := get(client, url)
				n.note(time.Since(due), err)
				<-room
			})
		}
	}()
	return n
}

func get(client *http.Client, url string) error {
	response, err := client.Get(url)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, response.Body)
	_ = response.Body.Close() // it has been read
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d", response.StatusCode)
	}
	return err
}

func (n *Neighbour) note(wait time.Duration, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.waits = append(n.waits, wait)
	if err != nil {
		n.failed = append(n.failed, err.Error())
	}
}

// Answered is how many requests have ended since the last report.
func (n *Neighbour) Answered() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.waits)
}

// Lap gives the report since the last one.
func (n *Neighbour) Lap() Report {
	n.mu.Lock()
	defer n.mu.Unlock()
	r := Report{Sent: len(n.waits), Failed: n.failed}
	slices.Sort(n.waits)
	if k := len(n.waits); k > 0 {
		r.P50, r.P99, r.Max = n.waits[k/2], n.waits[k*99/100], n.waits[k-1]
	}
	n.waits, n.failed = nil, nil
	return r
}

// Stop ends it when every request has its answer.
func (n *Neighbour) Stop() {
	n.cancel()
	<-n.done
}

package proc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// Poll calls check until it returns nil, every so often, at most until ctx ends. The error of a time-out says what check
// said last.
func Poll(ctx context.Context, every time.Duration, check func() error) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		}
	}
}

// Ready waits until url answers 200, at most until ctx ends or the process does.
func (p *Process) Ready(ctx context.Context, url string) error { return p.ReadyBy(ctx, url, nil) }

// Dial connects to an address, from wherever.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// ReadyBy is Ready by connections that dial makes; nil: as usual.
func (p *Process) ReadyBy(ctx context.Context, url string, dial Dial) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-p.done:
			cancel(errors.New("the process ended: " + fmt.Sprint(p.Err())))
		case <-ctx.Done():
		}
	}()
	client := &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, DialContext: dial}}
	err := Poll(ctx, 10*time.Millisecond, func() error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		response, err := client.Do(request)
		if err != nil {
			return err
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("%s: status %d", url, response.StatusCode)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("wait for %s: %w\n%s", p.spec.Name, err, p.Tail(15, nil))
	}
	return nil
}

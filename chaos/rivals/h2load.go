package rivals

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"time"
)

// What h2load does: 32 connections of HTTP/2 with ten requests open on each.
const h2Connections, h2Streams = 32, 10

// One line of h2load's report each. Requests that are open when the time is over count neither as done nor as failed.
var (
	h2Protocol = regexp.MustCompile(`(?m)^Application protocol: (\S+)`)
	h2Requests = regexp.MustCompile(`(?m)^requests: \d+ total, \d+ started, (\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout`)
)

// H2 loads the rival in HTTP/2 for that long, in clear text by prior knowledge or over TLS, with one of its cookies, and counts what it uses meanwhile. It wants every
// answer to be one of 2xx, and h2 to be what was spoken.
func (s *Stand) H2(ctx context.Context, r *Rival, secure bool, size int, took time.Duration) (Figures, error) {
	ctx, cancel := context.WithTimeout(ctx, took+30*time.Second)
	defer cancel()
	url, spoken := "http://"+r.clearH2(), "h2c"
	if secure {
		url, spoken = "https://"+r.Secure, "h2"
	}
	cmd := exec.CommandContext(ctx, "h2load", "-D", strconv.Itoa(int(took.Seconds())), "-c", strconv.Itoa(h2Connections), "-m", strconv.Itoa(h2Streams), "-t", "2",
		"-H", "cookie: "+r.Cookies[0], fmt.Sprintf("%s/%d", url, size))
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	pids := r.pids()
	before, err := processorTime(pids)
	if err != nil {
		return Figures{}, err
	}
	begin := time.Now()
	if err := cmd.Run(); err != nil {
		return Figures{}, fmt.Errorf("h2load: %w: %s", err, output.String())
	}
	f := Figures{Took: time.Since(begin)}
	after, err := processorTime(pids)
	if err != nil {
		return Figures{}, err
	}
	f.Processor = after - before
	if err := f.readH2(output.Bytes(), spoken); err != nil {
		return f, fmt.Errorf("%s: %w", r.Name, err)
	}
	return f, nil
}

// readH2 takes the numbers out of h2load's report.
func (f *Figures) readH2(report []byte, spoken string) error {
	protocol, requests := h2Protocol.FindSubmatch(report), h2Requests.FindSubmatch(report)
	if protocol == nil || requests == nil {
		return fmt.Errorf("h2load said: %s", report)
	}
	if got := string(protocol[1]); got != spoken {
		return fmt.Errorf("%s was spoken, not %s", got, spoken)
	}
	var n [5]int
	for i := range n {
		var err error
		if n[i], err = strconv.Atoi(string(requests[i+1])); err != nil {
			return err
		}
	}
	f.Requests, f.Failed = n[0], n[0]-n[1]+n[3]+n[4]
	if f.Requests == 0 || f.Failed > 0 || n[2] > 0 {
		return fmt.Errorf("%d requests, %d failed", f.Requests, f.Failed)
	}
	return nil
}

// clearH2 is where it speaks HTTP/2 in clear text.
func (r *Rival) clearH2() string {
	if r.Clear2 != "" {
		return r.Clear2
	}
	return r.Addr
}

package rivals

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// script has each of wrk's threads use one cookie, and prints what is needed as numbers.
const script = `local list, threads = {}, 0
for c in ((os.getenv("COOKIES") or "") .. ";;"):gmatch("(.-);;") do if #c > 0 then list[#list + 1] = c end end
function setup(thread)
	threads = threads + 1
	if #list > 0 then thread:set("cookie", list[(threads - 1) % #list + 1]) end
end
function init()
	if cookie then wrk.headers["Cookie"] = cookie end
	local host = os.getenv("HOST_HEADER")
	if host then wrk.headers["Host"] = host end
end
function done(summary, latency)
	local e = summary.errors
	io.write(string.format("RESULT requests=%d micros=%d p50=%d p99=%d failed=%d\n", summary.requests, summary.duration,
		latency:percentile(50), latency:percentile(99), e.connect + e.read + e.write + e.status + e.timeout))
end
`

// Load is what a closed loop of clients does: each sends its next request when it has the answer.
type Load struct {
	Size, Connections int
	Took              time.Duration
	Cookies           []string // none: every request begins a session
	Host              string
	Secure            bool // over TLS
}

// Figures are those of one round.
type Figures struct {
	Requests  int
	Failed    int
	Took      time.Duration
	P50, P99  time.Duration
	Processor time.Duration // of the proxy, for all requests
}

// PerRequest is the proxy's processor time for one request.
func (f Figures) PerRequest() time.Duration { return f.Processor / time.Duration(max(1, f.Requests)) }

var result = regexp.MustCompile(`RESULT requests=(\d+) micros=(\d+) p50=(\d+) p99=(\d+) failed=(\d+)`)

// Wrk loads the rival and counts what it uses meanwhile.
func (s *Stand) Wrk(ctx context.Context, r *Rival, l Load) (Figures, error) {
	ctx, cancel := context.WithTimeout(ctx, l.Took+30*time.Second)
	defer cancel()
	url := "http://" + r.Addr
	if l.Secure {
		url = "https://" + r.Secure
	}
	cmd := exec.CommandContext(ctx, "wrk", "-t3", fmt.Sprintf("-c%d", l.Connections), fmt.Sprintf("-d%.0fs", l.Took.Seconds()), "--timeout", "10s",
		"-s", s.write("load.lua", script), fmt.Sprintf("%s/%d", url, l.Size))
	cmd.Env = append(os.Environ(), "COOKIES="+strings.Join(l.Cookies, ";;"))
	if l.Host != "" {
		cmd.Env = append(cmd.Env, "HOST_HEADER="+l.Host)
	}
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	pids := r.pids()
	before, err := processorTime(pids)
	if err != nil {
		return Figures{}, err
	}
	if err := cmd.Run(); err != nil {
		return Figures{}, fmt.Errorf("wrk: %w: %s", err, output.String())
	}
	after, err := processorTime(pids)
	if err != nil {
		return Figures{}, err
	}
	m := result.FindStringSubmatch(output.String())
	if m == nil {
		return Figures{}, fmt.Errorf("wrk said: %s", output.String())
	}
	var n [5]int
	for i := range n {
		if n[i], err = strconv.Atoi(m[i+1]); err != nil {
			return Figures{}, err
		}
	}
	micros := func(n int) time.Duration { return time.Duration(n) * time.Microsecond }
	f := Figures{Requests: n[0], Took: micros(n[1]), P50: micros(n[2]), P99: micros(n[3]), Failed: n[4], Processor: after - before}
	if f.Requests == 0 || f.Failed > 0 {
		return f, fmt.Errorf("%s: %d requests, %d failed", r.Name, f.Requests, f.Failed)
	}
	return f, nil
}

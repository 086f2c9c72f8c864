package rivals

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/holdfast-lb/holdfast/chaos/proc"
)

// Rival is a proxy that runs. It listens on Addr, and the sessions of its clients are sticky.
type Rival struct {
	Name string
	Addr string
	// Cookies are the values of the Cookie header by which requests reach three different instances.
	Cookies []string
	// Secure is where it ends TLS in front of the same, empty where that is not measured.
	Secure string
	// Clear2 is where it speaks HTTP/2 in clear text, empty where that is Addr too.
	Clear2 string
	// Free is where the same proxy balances without sessions, empty where that is not measured.
	Free string

	process *proc.Process
}

// pids are the processes whose work counts.
func (r *Rival) pids() []int { return tree(r.process.Pid()) }

// Maker makes one.
type Maker struct {
	Name string
	make func(ctx context.Context, s *Stand) (*Rival, error)
}

// Start has one more of them run.
func (m Maker) Start(ctx context.Context, s *Stand) (*Rival, error) {
	s.series++
	return m.make(ctx, s)
}

// Stop ends it, in an orderly way if it takes no more than some seconds.
func (r *Rival) Stop() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = r.process.Stop(ctx)
}

// Makers are all that take part, in the order of the table. Before is another build of Holdfast, to see what a change has brought.
func Makers() []Maker {
	return []Maker{
		{"haproxy", func(ctx context.Context, s *Stand) (*Rival, error) { return s.haproxy(ctx, "haproxy", false) }},
		{"haproxy-st", func(ctx context.Context, s *Stand) (*Rival, error) { return s.haproxy(ctx, "haproxy-st", true) }},
		{"nginx", func(ctx context.Context, s *Stand) (*Rival, error) { return s.nginx(ctx) }},
		{"caddy", func(ctx context.Context, s *Stand) (*Rival, error) { return s.caddy(ctx) }},
		{"before", func(ctx context.Context, s *Stand) (*Rival, error) { return s.holdfast(ctx, "before", s.Before) }},
		{"holdfast", func(ctx context.Context, s *Stand) (*Rival, error) { return s.holdfast(ctx, "holdfast", s.Holdfast) }},
	}
}

// Stand is where they stand: a directory, three instances, and the processes.
type Stand struct {
	Dir string
	// Holdfast and Caddy are the programs; the others are found in PATH. Before is needed by the rival of that name alone.
	Holdfast, Before, Caddy string

	instances []string // host:port
	pair      pair
	set       proc.Set
	processes []*proc.Process
	series    int // of rivals: each has files of its own
}

// NewStand starts the instances. Close ends everything.
func NewStand(ctx context.Context, dir, holdfast, caddy string) (*Stand, error) {
	s := &Stand{Dir: dir, Holdfast: holdfast, Caddy: caddy}
	var err error
	if s.pair, err = newPair(); err != nil {
		return nil, err
	}
	if err := s.startInstances(ctx); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// Close ends all processes; first in an orderly way, so that those end which they have started.
func (s *Stand) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	for _, p := range s.processes {
		_ = p.Stop(ctx) // or by the set
	}
	s.set.Close()
}

// sizes are the answers that the instances have, in bytes; the path is the size.
var sizes = []int{100, 1 << 10, 16 << 10, 1 << 20}

// startInstances has nginx be three instances, each a process of its own: what they need hardly differs from one proxy to the next, and is little.
func (s *Stand) startInstances(ctx context.Context) error {
	files := filepath.Join(s.Dir, "files")
	if err := os.MkdirAll(files, 0o755); err != nil {
		return err
	}
	for _, size := range sizes {
		if err := os.WriteFile(filepath.Join(files, fmt.Sprint(size)), []byte(strings.Repeat("x", size)), 0o644); err != nil {
			return err
		}
	}
	ports, err := proc.Ports(3, "127.0.0.1")
	if err != nil {
		return err
	}
	for i, port := range ports {
		name := fmt.Sprintf("i%d", i+1)
		addr := fmt.Sprintf("127.0.0.1:%d", port)
		p, err := s.start(name, "nginx", "-c", s.write(name+".conf", fmt.Sprintf(instanceConf, s.scratch(name), files, addr, name)))
		if err != nil {
			return err
		}
		if err := ready(ctx, p, addr); err != nil {
			return err
		}
		s.instances = append(s.instances, addr)
	}
	return nil
}

// The processes stay the user that they are: nobody else may read the directory.
const instanceConf = `daemon off; master_process off; user root; pid %[1]s/pid; error_log %[1]s/errors;
events { worker_connections 8000; }
http {
	access_log off; keepalive_timeout 300s; keepalive_requests 1000000000; default_type text/plain; sendfile on; open_file_cache max=10; etag off;
	client_body_temp_path %[1]s/a; proxy_temp_path %[1]s/b; fastcgi_temp_path %[1]s/c; uwsgi_temp_path %[1]s/d; scgi_temp_path %[1]s/e;
	server { listen %[3]s backlog=4096; root %[2]s; add_header X-Instance %[4]s; }
}
`

// scratch is a new directory.
func (s *Stand) scratch(name string) string {
	dir := filepath.Join(s.Dir, fmt.Sprint(s.series), name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		panic(err) // below a directory that this process made
	}
	return dir
}

func (s *Stand) write(name, text string) string {
	path := filepath.Join(s.scratch("conf"), name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		panic(err) // below a directory that this process made
	}
	return path
}

func (s *Stand) start(name, program string, args ...string) (*proc.Process, error) {
	p, err := s.set.Start(proc.Spec{Name: name, Path: program, Args: args, Log: filepath.Join(s.scratch("logs"), name+".log")})
	if err == nil {
		s.processes = append(s.processes, p)
	}
	return p, err
}

// readyIn is how long a program may take until it answers.
const readyIn = 30 * time.Second

func ready(ctx context.Context, p *proc.Process, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, readyIn)
	defer cancel()
	return p.Ready(ctx, "http://"+addr+"/100")
}

// finish waits until the rival answers, and finds the cookies of three instances as it gives them out itself.
func (r *Rival) finish(ctx context.Context) (*Rival, error) {
	if err := ready(ctx, r.process, r.Addr); err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for n := 0; len(seen) < 3; n++ {
		if n == 200 {
			return nil, fmt.Errorf("%s: 200 sessions reached only %d instances", r.Name, len(seen))
		}
		own := fmt.Sprintf("SID=s%d", n) // for those that recognise sessions by the application's cookie
		instance, given, err := visit(ctx, r.Addr, own)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", r.Name, err)
		}
		if seen[instance] {
			continue
		}
		if given == "" {
			given = own
		}
		if again, _, err := visit(ctx, r.Addr, given); err != nil || again != instance {
			return nil, fmt.Errorf("%s is not sticky: %q reached %s, then %s (%v)", r.Name, given, instance, again, err)
		}
		seen[instance] = true
		r.Cookies = append(r.Cookies, given)
	}
	return r, nil
}

// visit makes one request on a connection of its own.
func visit(ctx context.Context, addr, cookie string) (instance, given string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/100", nil)
	if err != nil {
		return "", "", err
	}
	request.Header.Set("Cookie", cookie)
	transport := &http.Transport{DisableKeepAlives: true, DialContext: (&net.Dialer{}).DialContext}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return "", "", err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	instance = response.Header.Get("X-Instance")
	if response.StatusCode != http.StatusOK || instance == "" {
		err = errors.Join(err, fmt.Errorf("answer %s, instance %q", response.Status, instance))
	}
	if cookies := response.Cookies(); len(cookies) > 0 {
		given = cookies[0].Name + "=" + cookies[0].Value
	}
	return instance, given, err
}

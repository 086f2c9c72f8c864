//go:build servers

package streams

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/chaos/group"
	"github.com/holdfast-lb/holdfast/chaos/proc"
)

// start starts a program that listens on a port of 127.0.0.1, and waits for it.
func (r *rig) start(name string, port int, path string, args ...string) *proc.Process {
	r.t.Helper()
	p, err := r.set.Start(proc.Spec{Name: name, Path: path, Args: args, Log: filepath.Join(r.dir, name+".log")})
	if err != nil {
		r.t.Fatal(err)
	}
	r.poll(name+" listens", func() error {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			return fmt.Errorf("%w; %s", err, p.Tail(5, nil))
		}
		return c.Close()
	})
	return p
}

// ports gives ports that are free on every node.
func (r *rig) ports(n int) []int {
	r.t.Helper()
	ports, err := proc.Ports(n, "127.0.0.1", "127.0.0.2", "127.0.0.3")
	if err != nil {
		r.t.Fatal(err)
	}
	return ports
}

// output runs a client's program to its end.
func (r *rig) output(name string, args ...string) (string, error) {
	out, err := exec.CommandContext(r.ctx, name, args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", name, err, out)
	}
	return strings.TrimSpace(string(out)), nil
}

func hostPort(n *group.Node) (host, port string) {
	host, port, _ = net.SplitHostPort(n.Traffic)
	return host, port
}

// TestRealServersRedis: redis-cli has one Redis by whichever node, and another one once that is killed.
func TestRealServersRedis(t *testing.T) {
	r := newRig(t)
	ports := r.ports(2)
	servers := map[string]*proc.Process{}
	for i, port := range ports {
		name := fmt.Sprintf("redis%d", i+1)
		servers[name] = r.start(name, port, "redis-server", "--port", fmt.Sprint(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", r.dir)
		if _, err := r.output("redis-cli", "-p", fmt.Sprint(port), "SET", "name", name); err != nil {
			t.Fatal(err)
		}
	}
	r.configure(fmt.Sprintf(`
listeners: [{name: cache, address: %q, protocol: tcp, cluster: cache}]
clusters:
  - name: cache
    health: {interval: 1s}
    instances: [{name: redis1, listeners: ["tcp://127.0.0.1:%d"]}, {name: redis2, listeners: ["tcp://127.0.0.1:%d"]}]
`, r.Listener(), ports[0], ports[1]))
	names := func() map[string]int {
		got := map[string]int{}
		for range 3 {
			for _, n := range r.Nodes {
				host, port := hostPort(n)
				name, err := r.output("redis-cli", "-h", host, "-p", port, "GET", "name")
				if err != nil {
					t.Error(err)
				}
				got[name]++
			}
		}
		return got
	}
	before := names()
	if len(before) != 1 {
		t.Fatalf("one client is on %v", before)
	}
	for name := range before {
		servers[name].Kill()
		after := names()
		if len(after) != 1 || after[name] != 0 {
			t.Errorf("after %s was killed the client is on %v", name, after)
		}
	}
	host, port := hostPort(r.Nodes[1])
	text, err := r.output("redis-benchmark", "-h", host, "-p", port, "-c", "20", "-n", "20000", "-t", "set,get", "-P", "8", "-q")
	if err != nil || strings.Contains(text, "rror") {
		t.Errorf("%s, %v", text, err)
	}
	t.Log(text)
}

// TestRealServersPostgreSQL: psql and pgbench through a listener, over a change of the configuration and the death of the leader.
func TestRealServersPostgreSQL(t *testing.T) {
	r := newRig(t)
	bin, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil || len(bin) == 0 {
		t.Fatal("PostgreSQL is not installed")
	}
	port, data := r.ports(1)[0], filepath.Join(r.dir, "postgres")
	as := func(name string, args ...string) (string, []string) { // PostgreSQL refuses to run as root
		if os.Geteuid() != 0 {
			return name, args
		}
		return "runuser", append([]string{"-u", "postgres", "--", name}, args...)
	}
	for dir := data; dir != "/" && dir != os.TempDir(); dir = filepath.Dir(dir) {
		if dir == data {
			if err := os.Mkdir(dir, 0o777); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Chmod(dir, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	data = filepath.Join(data, "data")
	name, args := as(filepath.Join(bin[0], "initdb"), "-D", data, "-A", "trust", "-U", "postgres", "-N")
	if _, err := r.output(name, args...); err != nil {
		t.Fatal(err)
	}
	name, args = as(filepath.Join(bin[0], "postgres"), "-D", data, "-p", fmt.Sprint(port), "-h", "127.0.0.1", "-k", "", "-F")
	r.start("postgres", port, name, args...)
	yaml := `
listeners: [{name: db, address: %q, protocol: tcp, cluster: db%s}]
clusters: [{name: db, instances: [{name: db1, listeners: ["tcp://127.0.0.1:%d"]}]}]
`
	r.configure(fmt.Sprintf(yaml, r.Listener(), "", port))
	host, listener := hostPort(r.Nodes[0])
	r.poll("psql", func() error {
		text, err := r.output("psql", "-h", host, "-p", listener, "-U", "postgres", "-Atc", "select inet_server_port()")
		if err == nil && text != fmt.Sprint(port) {
			err = fmt.Errorf("the answer is %s", text)
		}
		return err
	})
	pgbench := filepath.Join(bin[0], "pgbench")
	if _, err := r.output(pgbench, "-h", host, "-p", listener, "-U", "postgres", "-i", "-q", "postgres"); err != nil {
		t.Fatal(err)
	}
	leader, err := r.Leader(r.ctx)
	if err != nil {
		t.Fatal(err)
	}
	host, listener = hostPort(r.Other(leader))
	done := make(chan error, 1)
	go func() {
		text, err := r.output(pgbench, "-h", host, "-p", listener, "-U", "postgres", "-c", "4", "-T", "6", "-N", "postgres")
		t.Log(text)
		if err == nil && !strings.Contains(text, "number of failed transactions: 0 ") {
			err = fmt.Errorf("some transactions failed")
		}
		done <- err
	}()
	r.configure(fmt.Sprintf(yaml, r.Listener(), ", idleTimeout: 1h", port))
	leader.Kill()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestRealServersHAProxy: HAProxy in front introduces clients in both versions, and HAProxy behind is told in both; what the last one sees is the first client.
func TestRealServersHAProxy(t *testing.T) {
	r := newRig(t)
	ports := r.ports(9)
	front, back, own := ports[:6], ports[6], ports[7:9]
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		fmt.Fprintf(w, "%s by HTTP", req.Header.Get("X-Forwarded-For"))
	}))
	defer web.Close()
	var b strings.Builder
	b.WriteString("global\n maxconn 500\ndefaults\n mode tcp\n timeout connect 5s\n timeout client 1m\n timeout server 1m\n")
	for i, send := range []string{"send-proxy", "send-proxy-v2"} {
		for j, port := range []int{r.Port, own[0], own[1]} { // sendProxy v1, v2, and requests
			fmt.Fprintf(&b, "listen front%d\n bind 127.0.0.1:%d\n server holdfast 127.0.0.%d:%d %s\n", 3*i+j, front[3*i+j], 1+(i+j)%3, port, send)
		}
	}
	fmt.Fprintf(&b, "frontend back\n mode http\n bind 127.0.0.1:%d accept-proxy\n http-request return status 200 content-type text/plain lf-string \"%%[src] by TCP, port %%[src_port]\"\n", back)
	file := filepath.Join(r.dir, "haproxy.cfg")
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	r.start("haproxy", back, "haproxy", "-db", "-f", file)
	trusted := `proxyProtocol: require, trustedProxies: ["127.0.0.1/32"]`
	r.configure(fmt.Sprintf(`
listeners:
  - {name: one, address: %q, protocol: tcp, cluster: one, proxyProtocol: accept, trustedProxies: ["127.0.0.1/32"]}
  - {name: two, address: ":%d", protocol: tcp, cluster: two, %s}
  - {name: web, address: ":%d", %s}
clusters:
  - {name: one, sendProxy: v1, health: {interval: 1s}, instances: [{name: back, listeners: ["tcp://127.0.0.1:%d"]}]}
  - {name: two, sendProxy: v2, health: {interval: 1s}, instances: [{name: back, listeners: ["tcp://127.0.0.1:%d"]}]}
  - {name: web, affinity: {type: source}, modules: [{contextRoot: /}], instances: [{name: web, listeners: ["%s"]}]}
`, r.Listener(), own[0], trusted, own[1], trusted, back, back, web.URL))
	for i, port := range front {
		from := &net.TCPAddr{IP: net.IPv4(127, 2, 0, byte(1+i))}
		transport := &http.Transport{DialContext: (&net.Dialer{LocalAddr: from, Timeout: 5 * time.Second}).DialContext, DisableKeepAlives: true}
		want := from.IP.String() + " by TCP, port "
		if i%3 == 2 {
			want = from.IP.String() + " by HTTP"
		}
		r.poll(fmt.Sprintf("front %d", i), func() error {
			resp, err := (&http.Client{Transport: transport, Timeout: 10 * time.Second}).Get(fmt.Sprintf("http://127.0.0.1:%d/", port))
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			if err == nil && !strings.HasPrefix(string(body), want) {
				err = fmt.Errorf("HAProxy sees %q, not %q", body, want)
			}
			return err
		})
	}
	status, err := r.Nodes[0].Client.Status(r.ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range status.Clusters {
		for _, in := range c.Instances {
			if in.Health != "up" {
				t.Errorf("instance %s of cluster %s is %s: the checks are not understood", in.Name, c.Name, in.Health)
			}
		}
	}
}

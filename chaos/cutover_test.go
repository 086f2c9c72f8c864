package chaos

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/chaos/group"
	"github.com/holdfast-lb/holdfast/chaos/stage"
)

// legacy is an application server as the balancer that is replaced had it: it makes sessions and marks their ids.
type legacy struct {
	*httptest.Server
	name     string
	mark     func(id string) []*http.Cookie
	mu       sync.Mutex
	sessions map[string]bool
}

func newLegacy(t *testing.T, name string, mark func(id string) []*http.Cookie) *legacy {
	l := &legacy{name: name, mark: mark, sessions: map[string]bool{}}
	l.Server = httptest.NewServer(l)
	t.Cleanup(l.Close)
	return l
}

// ServeHTTP answers "NAME old" for a session that this server knows, else "NAME new" with the cookies of a new one.
func (l *legacy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/" {
		return // the health check
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range r.CookiesNamed("JSESSIONID") {
		id := strings.FieldsFunc(c.Value, func(r rune) bool { return r == '.' || r == ':' })[0]
		if l.sessions[id] {
			fmt.Fprintf(w, "%s old", l.name)
			return
		}
	}
	id := fmt.Sprintf("0000%s%dABCDEF", strings.ToUpper(l.name), len(l.sessions))
	l.sessions[id] = true
	for _, c := range l.mark(id) {
		http.SetCookie(w, c)
	}
	fmt.Fprintf(w, "%s new", l.name)
}

func (l *legacy) port() string {
	_, port, _ := net.SplitHostPort(l.Listener.Addr().String())
	return port
}

func jsession(value string) *http.Cookie {
	return &http.Cookie{Name: "JSESSIONID", Value: value, Path: "/fortune"}
}

// TestOldTrafficCutsOverLive: clients got their sessions from the balancer that is replaced; its configuration is imported; each keeps its instance through
// every node from the first request on, and the sessions are on record.
func TestOldTrafficCutsOverLive(t *testing.T) {
	for _, old := range []struct {
		format string
		args   []string
		mark   func(instance, id string) []*http.Cookie
		file   func(a, b *legacy) (name, text string)
	}{
		{"modjk", []string{"--http-port", "app1=%[1]s", "--http-port", "app2=%[2]s"}, func(instance, id string) []*http.Cookie {
			return []*http.Cookie{jsession(id + ".route-" + instance)}
		}, modjkFile},
		{"websphere", nil, func(instance, id string) []*http.Cookie {
			return []*http.Cookie{jsession(id + ":clone" + instance)}
		}, websphereFile},
		{"sun", nil, func(instance, id string) []*http.Cookie {
			return []*http.Cookie{jsession(id), {Name: "JROUTE", Value: instance, Path: "/fortune"}}
		}, sunFile},
	} {
		t.Run(old.format, func(t *testing.T) {
			a := newLegacy(t, "app1", func(id string) []*http.Cookie { return old.mark("app1", id) })
			b := newLegacy(t, "app2", func(id string) []*http.Cookie { return old.mark("app2", id) })
			clients := append(oldClients(t, a, 20), oldClients(t, b, 20)...)
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			s := set(t, ctx, program, stage.Options{Instances: 1})
			name, text := old.file(a, b)
			args := make([]string, len(old.args))
			for i, arg := range old.args {
				if args[i] = arg; strings.Contains(arg, "%[") {
					args[i] = fmt.Sprintf(arg+"%.0[1]s%.0[2]s", a.port(), b.port())
				}
			}
			importFile(t, ctx, s, old.format, name, text, args)
			for round := range 2 {
				for i, c := range clients {
					for _, n := range s.Group.Nodes {
						if got := c.ask(t, n); got != c.instance+" old" {
							t.Fatalf("round %d, client %d of %s through %s: %q", round, i, c.instance, n.Name, got)
						}
					}
				}
			}
			count := sessionsOf(t, ctx, s.Group, "fortune-cluster")
			if count["app1"] != 20 || count["app2"] != 20 {
				t.Errorf("recorded sessions: %v, want 20 each", count)
			}
		})
	}
}

type oldClient struct {
	instance string
	cookies  []*http.Cookie
}

// oldClients make their sessions directly at the application server.
func oldClients(t *testing.T, l *legacy, n int) []*oldClient {
	t.Helper()
	var list []*oldClient
	for range n {
		resp, err := http.Get(l.URL + "/fortune/page")
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		list = append(list, &oldClient{instance: l.name, cookies: resp.Cookies()})
	}
	return list
}

// ask sends one request through a node with the cookies of the old days, and gives the answer.
func (c *oldClient) ask(t *testing.T, n *group.Node) string {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	at := &url.URL{Scheme: "http", Host: n.Traffic, Path: "/fortune/page"}
	jar.SetCookies(at, c.cookies)
	client := http.Client{Jar: jar, Timeout: 10 * time.Second}
	resp, err := client.Get(at.String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// importFile runs the program as an operator does.
func importFile(t *testing.T, ctx context.Context, s *stage.Stage, format, name, text string, args []string) {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	args = append([]string{"import", format, file, "--apply", "--wait", "--replace", "--listener", s.Group.Listener(), "--admin", s.Group.Nodes[1].Admin}, args...)
	out, err := exec.CommandContext(ctx, path, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("holdfast %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func modjkFile(_, _ *legacy) (string, string) {
	return "workers.properties", `worker.list=fortune-cluster
worker.fortune-cluster.type=lb
worker.fortune-cluster.balance_workers=app1,app2
worker.fortune-cluster.mount=/fortune /fortune/*
worker.app1.type=ajp13
worker.app1.host=127.0.0.1
worker.app1.port=8009
worker.app1.route=route-app1
worker.app2.type=ajp13
worker.app2.host=127.0.0.1
worker.app2.port=8010
worker.app2.route=route-app2
`
}

func websphereFile(a, b *legacy) (string, string) {
	return "plugin-cfg.xml", fmt.Sprintf(`<?xml version="1.0" encoding="ISO-8859-1"?>
<Config>
  <VirtualHostGroup Name="default_host"><VirtualHost Name="*:*"/></VirtualHostGroup>
  <ServerCluster Name="fortune-cluster" LoadBalance="Round Robin">
    <Server Name="app1" CloneID="cloneapp1" LoadBalanceWeight="2"><Transport Hostname="127.0.0.1" Port="%s" Protocol="http"/></Server>
    <Server Name="app2" CloneID="cloneapp2" LoadBalanceWeight="2"><Transport Hostname="127.0.0.1" Port="%s" Protocol="http"/></Server>
    <PrimaryServers><Server Name="app1"/><Server Name="app2"/></PrimaryServers>
  </ServerCluster>
  <UriGroup Name="fortune_uris"><Uri Name="/fortune/*" AffinityCookie="JSESSIONID" AffinityURLIdentifier="jsessionid"/></UriGroup>
  <Route ServerCluster="fortune-cluster" UriGroup="fortune_uris" VirtualHostGroup="default_host"/>
</Config>
`, a.port(), b.port())
}

func sunFile(a, b *legacy) (string, string) {
	return "loadbalancer.xml", fmt.Sprintf(`<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE loadbalancer PUBLIC "-//Sun Microsystems Inc.//DTD Sun Java System Application Server 9.1//EN" "sun-loadbalancer_1_2.dtd">
<loadbalancer name="lb1">
  <cluster name="fortune-cluster" policy="round-robin">
    <instance name="app1" enabled="true" disable-timeout-in-minutes="31" listeners="http://127.0.0.1:%s"/>
    <instance name="app2" enabled="true" disable-timeout-in-minutes="31" listeners="http://127.0.0.1:%s"/>
    <web-module context-root="/fortune" enabled="true"/>
    <health-checker url="/" interval-in-seconds="10" timeout-in-seconds="5"/>
  </cluster>
  <property name="route-cookie-enabled" value="true"/>
</loadbalancer>
`, a.port(), b.port())
}

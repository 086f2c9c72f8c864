package server

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// TestNoRequestReachesTheAdminAPI: on loopback no token is needed, so no client may get there through a listener, however the configuration leads it.
func TestNoRequestReachesTheAdminAPI(t *testing.T) {
	g := startGroup(t, 1)
	s := g.servers[0]
	_, port, _ := net.SplitHostPort(s.config.AdminAddr)
	web, raw := freePort(t), freePort(t)
	for _, host := range []string{"127.0.0.1", "localhost", "127.8.8.8", "0.0.0.0", "[::ffff:127.0.0.1]"} {
		g.apply(t, s, fmt.Sprintf(`
proxy: {forwarded: {mode: "off"}}
listeners:
  - {name: web, address: ":%d"}
  - {name: raw, address: ":%d", protocol: tcp, cluster: raw}
clusters:
  - name: http
    modules: [{contextRoot: /}]
    health: {type: none}
    instances: [{name: i1, listeners: ["http://%[3]s:%[4]s"]}]
  - name: raw
    affinity: {type: none}
    health: {type: none}
    instances: [{name: i1, listeners: ["tcp://%[3]s:%[4]s"]}]
`, web, raw, host, port))
		for _, name := range []string{"web", "raw"} {
			eventually(t, "the listener is bound", func() error {
				if s.balancer.Addr(name) == nil {
					return fmt.Errorf("no listener %s", name)
				}
				return nil
			})
			answer, err := talk(s.balancer.Addr(name).String())
			if name == "web" && !strings.Contains(answer, " 503 ") || name == "raw" && answer != "" || strings.Contains(answer, "permissions") {
				t.Errorf("%s through listener %s: %q %v", host, name, answer, err)
			}
		}
	}
	// On the machine itself it is as before.
	resp, err := http.Get("http://" + s.config.AdminAddr + "/v1/whoami")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if text, _ := io.ReadAll(resp.Body); !bytes.Contains(text, []byte(`"local"`)) {
		t.Errorf("%s", text)
	}
}

// talk asks who a client is at an address, as one of the admin API would.
func talk(address string) (string, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return "", err
	}
	if _, err := fmt.Fprint(conn, "GET /v1/whoami HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(conn)
	return string(answer), err
}

func TestPrivateTo(t *testing.T) {
	for _, c := range []struct {
		admin, at string
		private   bool
	}{
		{"127.0.0.1:7700", "127.0.0.1:7700", true},
		{"127.0.0.1:7700", "127.0.0.2:7700", true},
		{"127.0.0.1:7700", "[::1]:7700", true},
		{"127.0.0.1:7700", "[::ffff:127.0.0.1]:7700", true},
		{"127.0.0.1:7700", "[::]:7700", true},
		{"127.0.0.1:7700", "127.0.0.1:7701", false},
		{"127.0.0.1:7700", "10.0.0.1:7700", false}, // there it needs a token, if it is one
		{":7700", "127.0.0.1:7700", true},
		{"0.0.0.0:7700", "127.0.0.1:7700", true},
		{"[::]:7700", "0.0.0.0:7700", true},
		{"localhost:7700", "127.0.0.1:7700", true},
		{"10.0.0.1:7700", "127.0.0.1:7700", false}, // somebody else's
	} {
		private := privateTo(c.admin)
		if got := private != nil && private(netip.MustParseAddrPort(c.at)); got != c.private {
			t.Errorf("admin address %s, instance at %s: %v", c.admin, c.at, got)
		}
	}
}

package server

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

// keptClient is a client with one connection that it keeps.
type keptClient struct {
	net.Conn
	in *bufio.Reader
}

func keep(t *testing.T, s *Server) *keptClient {
	t.Helper()
	c, err := net.Dial("tcp", s.balancer.Addr("web").String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	return &keptClient{c, bufio.NewReader(c)}
}

// ask gives status 0 when the connection has ended.
func (c *keptClient) ask(session string) (int, string) {
	if _, err := fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: h\r\nCookie: JSESSIONID=%s\r\n\r\n", session); err != nil {
		return 0, ""
	}
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return 0, ""
	}
	body, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body)
}

// TestRemovedNodeDecidesNothing: clients have connections open to a node that is removed. It serves on them what it has on record, once; a session that it has not heard of reaches no
// instance by it, for the group may have it on another one.
func TestRemovedNodeDecidesNothing(t *testing.T) {
	var reached atomic.Int64
	var urls []string
	for _, name := range []string{"i1", "i2"} {
		srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if c, err := r.Cookie("JSESSIONID"); err == nil && strings.HasPrefix(c.Value, "late") {
				reached.Add(1)
			}
			io.WriteString(w, name)
		})}
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		go srv.Serve(ln)
		t.Cleanup(func() { srv.Close() })
		urls = append(urls, "http://"+ln.Addr().String())
	}
	g := startGroup(t, 3)
	c, err := config.Parse("test", fmt.Appendf(nil, `
listeners: [{name: web, address: ":%d"}]
clusters:
  - name: cluster1
    affinity: {type: learn, names: [JSESSIONID]}
    modules: [{contextRoot: /}]
    instances: [{name: i1, listeners: [%q]}, {name: i2, listeners: [%q]}]
`, g.port, urls[0], urls[1]))
	if err != nil {
		t.Fatal(err)
	}
	leader, others := g.leading(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if r, err := leader.node.Propose(ctx, &fsm.ConfigSet{Actor: "test", Config: c}); err != nil || r.Code != fsm.CodeOK {
		t.Fatalf("%+v %v", r, err)
	}
	gone := others[0]
	eventually(t, "it serves", func() error {
		if gone.balancer.Addr("web") == nil {
			return fmt.Errorf("no listener")
		}
		return gone.ready()
	})
	known, late := keep(t, gone), keep(t, gone)
	status, on := known.ask("known")
	if status != 200 {
		t.Fatalf("%d %s", status, on)
	}
	if status, _ := late.ask("known"); status != 200 {
		t.Fatal(status)
	}
	if err := (adminNode{leader}).Remove(ctx, gone.config.Name, true); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it knows", func() error {
		if !gone.leaving.Load() {
			return fmt.Errorf("not yet")
		}
		return nil
	})
	if status, body := late.ask("late"); status != 503 && status != 0 || reached.Load() != 0 {
		t.Errorf("an id that it has not heard of: %d %s", status, body)
	}
	if status, body := known.ask("known"); status != 0 && (status != 200 || body != on) {
		t.Errorf("a session that it has on record: %d %s", status, body)
	}
	for i, s := range g.servers {
		if s == gone {
			<-g.done[i]
			g.done[i] <- nil
		}
	}
}

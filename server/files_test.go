package server

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

// TestGroupServesFilesOnEveryNode: TIP-13, TIP-14. A file that one node was given is served by all of them, byte for byte, and is the page of each.
func TestGroupServesFilesOnEveryNode(t *testing.T) {
	g := startGroup(t, 3)
	logo := bytes.Repeat([]byte{0x89, 'P', 'N', 'G', 0, 0xff}, 150_000)
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	for name, content := range map[string][]byte{"logo.png": logo, "sorry.html": []byte("<img src=/_files/logo.png>{status}")} {
		req, err := http.NewRequest("PUT", "http://"+g.servers[1].config.AdminAddr+"/v1/files/"+name, bytes.NewReader(content))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/octet-stream")
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(resp.Body)
		if resp.Body.Close(); resp.StatusCode != 200 {
			t.Fatalf("%d %s", resp.StatusCode, text)
		}
	}
	c, err := config.Parse("test", fmt.Appendf(nil, `
proxy: {filesPath: /_files/, errorPages: [{status: maintenance, file: sorry.html}]}
listeners: [{name: web, address: ":%d"}]
clusters:
  - name: cluster1
    modules: [{contextRoot: /, enabled: false}]
    instances: [{name: i1, listeners: [%q]}]
`, g.port, newApp(t, "i1")))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	result, err := g.servers[0].node.Propose(ctx, &fsm.ConfigChange{Actor: "test", Expect: g.servers[0].state.Revision().Number, Config: c})
	if err != nil || result.Code != fsm.CodeOK {
		t.Fatalf("configuration: %+v, %v", result, err)
	}
	for _, s := range g.servers {
		eventually(t, "the node serves it", func() error {
			if _, at, _ := s.balancer.InForce(); at < result.Index {
				return fmt.Errorf("index %d", at)
			}
			return s.ready()
		})
		at := "http://" + s.balancer.Addr("web").String()
		get := func(path string) (int, []byte) {
			t.Helper()
			req, err := http.NewRequest("GET", at+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Accept", "text/html")
			resp, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			b, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			return resp.StatusCode, b
		}
		if code, b := get("/_files/logo.png"); code != 200 || !bytes.Equal(b, logo) {
			t.Errorf("node %s: %d, %d bytes", s.config.Name, code, len(b))
		}
		if code, b := get("/"); code != 503 || !strings.HasPrefix(string(b), "<img src=/_files/logo.png>503") {
			t.Errorf("node %s: %d %s", s.config.Name, code, b)
		}
	}
}

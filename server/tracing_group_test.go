package server

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"
)

// TestTracesOfAGroup: each of three nodes sends its spans to one collector, in the name of the node, and what is left when it ends.
func TestTracesOfAGroup(t *testing.T) {
	var mu sync.Mutex
	got := map[string]string{} // node, by path
	sink := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var request collector.ExportTraceServiceRequest
		if err := proto.Unmarshal(body, &request); err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		for _, resource := range request.ResourceSpans {
			for _, span := range resource.ScopeSpans[0].Spans {
				path, node := "", ""
				for _, kv := range span.Attributes {
					switch kv.Key {
					case "url.path":
						path = kv.Value.GetStringValue()
					case "holdfast.node":
						node = kv.Value.GetStringValue()
					}
				}
				got[path] = node
			}
		}
	}))
	t.Cleanup(sink.Close) // after the nodes: they send what is left
	g := startGroup(t, 3, func(c *Config) { c.Trace.Protocol, c.Trace.Endpoint, c.Trace.Sample = "http", sink.URL, 1 })
	g.configure(t, newApp(t, "i1"))
	for _, s := range g.servers {
		resp, err := http.Get("http://" + s.balancer.Addr("web").String() + "/of-" + s.config.Name)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	eventually(t, "the spans of all nodes are there", func() error {
		mu.Lock()
		defer mu.Unlock()
		for _, name := range []string{"n1", "n2", "n3"} {
			if got["/of-"+name] != name {
				return fmt.Errorf("%v", got)
			}
		}
		return nil
	})
}

package lb

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// TestListenerMovesWhileItsConnectionsWork: an upload, a download and a WebSocket go on over a change of the listener's address, its zone, the instance's
// address and the weights.
func TestListenerMovesWhileItsConnectionsWork(t *testing.T) { // SUN-87
	more := make(chan struct{})
	a := newApp(t, "i1", func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Header.Get("Upgrade") != "":
			wsEcho(w, r)
		case r.Method == http.MethodPost:
			n, err := io.Copy(io.Discard, r.Body)
			fmt.Fprint(w, n, err)
		case r.URL.Path == "/download":
			io.WriteString(w, "first ")
			w.(http.Flusher).Flush()
			<-more
			io.WriteString(w, "last")
		default:
			io.WriteString(w, "i1")
		}
	})
	moved := newApp(t, "i1", nil)
	base := conf(of(a)...)
	r := newRig(t, base)
	ws, down, up := dialRaw(t, r), dialRaw(t, r), dialRaw(t, r)
	ws.write(wsRequest)
	if ws.response().StatusCode != 101 {
		t.Fatal("no switch")
	}
	down.write("GET /download HTTP/1.1\r\nHost: h\r\n\r\n")
	download := down.response()
	up.write("POST /up HTTP/1.1\r\nHost: h\r\nContent-Length: 200000\r\n\r\n" + string(make([]byte, 100_000)))
	r.wait("the upload has arrived", func() bool { return r.status("c1", "i1").InFlight == 3 })

	next := clone(base)
	next.Listeners = []config.Listener{{Name: "other", Address: "localhost:0", Protocol: "http", Nodes: []string{"node1"}}, {Name: "elsewhere", Address: "127.0.0.1:1", Nodes: []string{"node2"}}}
	next.Clusters[0].Instances[0].Listeners = []string{moved.URL}
	next.Clusters[0].Instances[0].Weight = 7
	r.g.apply(next)
	r.wait("in force", func() bool { return r.b.Ready() == nil && r.b.routing.Load().revision == r.node.Revision().Number })
	if r.b.Addr("elsewhere") != nil {
		t.Error("listens in another node's place")
	}
	ws.write("still here")
	got := make([]byte, len("hello still here"))
	if _, err := io.ReadFull(ws.in, got); err != nil || string(got) != "hello still here" {
		t.Errorf("WebSocket: %q %v", got, err)
	}
	close(more)
	if body, err := io.ReadAll(download.Body); err != nil || string(body) != "first last" {
		t.Errorf("download: %q %v", body, err)
	}
	up.write(string(make([]byte, 100_000)))
	resp, err := http.ReadResponse(bufio.NewReader(up.in), nil)
	if err != nil {
		t.Fatal(err)
	}
	if body, _ := io.ReadAll(resp.Body); string(body) != "200000 <nil>" {
		t.Errorf("upload: %q", body)
	}
	if len(r.g.moves()) != 0 {
		t.Error("a session was moved")
	}
	ws.Close()
	r.wait("all is given back", func() bool { return r.status("c1", "i1").InFlight == 0 })
	if got := newClient(t).get("http://" + r.b.Addr("other").String() + "/"); got.body != "i1" || moved.count() != 1 {
		t.Errorf("the new addresses: %q, %d requests", got.body, moved.count())
	}
}

package lb

import (
	"net/http"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// TestGRPCInstanceNoticesTheDeadlineFirst: it resets the stream, before or after the head of its answer, and the client hears why.
func TestGRPCInstanceNoticesTheDeadlineFirst(t *testing.T) {
	url := newHTTP2App(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/a.B/Head" {
			http.NewResponseController(w).Flush()
		}
		<-time.After(40 * time.Millisecond)
		panic(http.ErrAbortHandler)
	})
	cfg := grpcConf()
	cfg.Clusters[0].Instances = []config.Instance{inst("i1", url)}
	r := newRig(t, cfg)
	for _, path := range []string{"/a.B/NoHead", "/a.B/Head"} {
		req := post(t, r.url(path), "")
		req.Header = http.Header{"Content-Type": {"application/grpc"}, "Grpc-Timeout": {"20m"}}
		got := newHTTP2Client(t).do(req)
		if status := got.Header.Get("Grpc-Status") + got.Trailer.Get("Grpc-Status"); status != "4" {
			t.Errorf("%s: status %q", path, status)
		}
	}
}

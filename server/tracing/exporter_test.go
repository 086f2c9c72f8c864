package tracing

import (
	"compress/gzip"
	"context"
	"encoding/hex"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/holdfast-lb/holdfast/lb"
)

// sink is a collector: it keeps what comes, by either protocol.
type sink struct {
	collector.UnimplementedTraceServiceServer
	mu  sync.Mutex
	all []*tracepb.ResourceSpans
}

func (s *sink) Export(_ context.Context, r *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, r.ResourceSpans...)
	return &collector.ExportTraceServiceResponse{}, nil
}

func (s *sink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var from io.Reader = r.Body
	if r.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		from = z
	}
	body, err := io.ReadAll(from)
	var request collector.ExportTraceServiceRequest
	if err != nil || r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/x-protobuf" || proto.Unmarshal(body, &request) != nil {
		http.Error(w, "no spans", http.StatusBadRequest)
		return
	}
	s.Export(r.Context(), &request)
	answer, _ := proto.Marshal(&collector.ExportTraceServiceResponse{})
	w.Header().Set("Content-Type", "application/x-protobuf")
	w.Write(answer)
}

func (s *sink) spans() (list []*tracepb.Span) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.all {
		for _, scope := range r.ScopeSpans {
			list = append(list, scope.Spans...)
		}
	}
	return list
}

// collectors gives the URL of a sink by each protocol.
func collectors(t *testing.T, s *sink) map[string]string {
	byHTTP := httptest.NewServer(s)
	t.Cleanup(byHTTP.Close)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	collector.RegisterTraceServiceServer(server, s)
	go server.Serve(ln)
	t.Cleanup(server.Stop)
	return map[string]string{"http": byHTTP.URL, "grpc": "http://" + ln.Addr().String()}
}

// open makes an exporter with an environment of its own.
func open(t *testing.T, s Settings, env map[string]string) (*Exporter, *prometheus.Registry) {
	t.Helper()
	r := prometheus.NewRegistry()
	e, err := Open(Options{Settings: s, Node: "n1", Group: "shop", Version: "1.2", Logger: slog.New(slog.DiscardHandler), Registerer: r, Getenv: func(name string) string { return env[name] }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		over, cancel := context.WithCancel(context.Background())
		cancel()
		e.Close(over)
	})
	return e, r
}

func outcome(t *testing.T, r *prometheus.Registry, name string) (n float64) {
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "holdfast_trace_spans_total" && m.GetLabel()[0].GetValue() == name {
				n += m.GetCounter().GetValue()
			}
		}
	}
	return n
}

func someSpan(i byte) *lb.Span {
	return &lb.Span{
		Trace: [16]byte{1, i}, ID: [8]byte{2, i}, Parent: [8]byte{3}, Flags: 3, State: "a=b", Start: time.Unix(100, 0), End: time.Unix(101, 5), Method: "GET", Path: "/shop/a", Scheme: "https", Host: "shop.example:8443",
		Version: "2", Client: "192.0.2.7", Listener: "webs", Cluster: "c1", Module: "/shop", Instance: "i1", Assigned: true, Retries: 1, Status: 200, Sent: 5,
	}
}

func values(list []*commonpb.KeyValue) map[string]any {
	m := map[string]any{}
	for _, kv := range list {
		switch v := kv.Value.Value.(type) {
		case *commonpb.AnyValue_StringValue:
			m[kv.Key] = v.StringValue
		case *commonpb.AnyValue_IntValue:
			m[kv.Key] = v.IntValue
		case *commonpb.AnyValue_BoolValue:
			m[kv.Key] = v.BoolValue
		}
	}
	return m
}

// TestExport: what a collector gets by each protocol, also of what was left at the end.
func TestExport(t *testing.T) {
	s := &sink{}
	for protocol, url := range collectors(t, s) {
		s.mu.Lock()
		s.all = nil
		s.mu.Unlock()
		e, r := open(t, Settings{Protocol: protocol, Endpoint: url, Sample: 1}, map[string]string{"OTEL_RESOURCE_ATTRIBUTES": "deployment.environment=te%20st,service.name=x,broken", "OTEL_SERVICE_NAME": "edge"})
		for i := range byte(3) {
			e.Export(someSpan(i))
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		e.Close(ctx)
		cancel()
		list := s.spans()
		if len(list) != 3 || outcome(t, r, "exported") != 3 {
			t.Fatalf("%s: %d spans, %v exported", protocol, len(list), outcome(t, r, "exported"))
		}
		one := list[0]
		if hex.EncodeToString(one.TraceId) != "01000000000000000000000000000000" || hex.EncodeToString(one.SpanId) != "0200000000000000" || hex.EncodeToString(one.ParentSpanId) != "0300000000000000" ||
			one.TraceState != "a=b" || one.Name != "GET /shop" || one.Kind != tracepb.Span_SPAN_KIND_SERVER || one.EndTimeUnixNano-one.StartTimeUnixNano != 1e9+5 || one.Status != nil || one.Flags != 0x303 {
			t.Errorf("%s: %v", protocol, one)
		}
		want := map[string]any{
			"http.request.method": "GET", "url.scheme": "https", "url.path": "/shop/a", "server.address": "shop.example", "server.port": int64(8443), "network.protocol.name": "http", "network.protocol.version": "2",
			"client.address": "192.0.2.7", "http.response.status_code": int64(200), "http.response.body.size": int64(5), "holdfast.node": "n1", "holdfast.assigned": true, "holdfast.listener": "webs",
			"holdfast.cluster": "c1", "holdfast.module": "/shop", "holdfast.instance": "i1", "holdfast.retries": int64(1),
		}
		got := values(one.Attributes)
		for name, v := range want {
			if got[name] != v {
				t.Errorf("%s: %s is %v, want %v", protocol, name, got[name], v)
			}
		}
		if len(got) != len(want) {
			t.Errorf("%s: %v", protocol, got)
		}
		resource := values(s.all[0].Resource.Attributes)
		if resource["service.name"] != "edge" || resource["deployment.environment"] != "te st" || resource["holdfast.node"] != "n1" || resource["service.instance.id"] != "n1" || resource["holdfast.group"] != "shop" {
			t.Errorf("%s: %v", protocol, resource)
		}
	}
}

// TestBlackHole: a collector that takes connections and says nothing costs nobody anything but spans, which are counted; the end does not wait for it.
func TestBlackHole(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0") // nobody accepts
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	for _, protocol := range []string{"http", "grpc"} {
		e, r := open(t, Settings{Protocol: protocol, Endpoint: "http://" + ln.Addr().String()}, map[string]string{"OTEL_BSP_MAX_QUEUE_SIZE": "8", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "4"})
		const n = 1000
		for range n {
			e.Export(someSpan(1)) // would hang here
		}
		if dropped := outcome(t, r, "dropped"); dropped < n-8-4-4 || dropped > n {
			t.Errorf("%s: %v dropped", protocol, dropped)
		}
		over, cancel := context.WithCancel(context.Background())
		cancel()
		e.Close(over)
		e.Close(over)
		e.Export(someSpan(1))
		if all := outcome(t, r, "dropped") + outcome(t, r, "failed"); outcome(t, r, "exported") != 0 || all < n-8 {
			t.Errorf("%s: %v accounted", protocol, all)
		}
	}
}

// TestHostileSpans: whatever clients put into a request can be sent.
func TestHostileSpans(t *testing.T) {
	s := &sink{}
	e, r := open(t, Settings{Protocol: "http", Endpoint: collectors(t, s)["http"]}, nil)
	bad := someSpan(1)
	bad.Method, bad.Path, bad.Host, bad.Problem, bad.Status = "G\xffT", "/\xc3\x28"+string(make([]byte, 1<<16)), "[::1", "a\xfe", 503
	e.Export(bad)
	call := someSpan(2)
	call.RPC, call.RPCStatus, call.Path, call.Method = true, "14", "/shop.Cart/Add", "POST"
	e.Export(call)
	odd := someSpan(3)
	odd.RPC, odd.RPCStatus, odd.Path, odd.Parent, odd.Gone, odd.Status = true, "x", "*", [8]byte{}, true, 0
	e.Export(odd)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	e.Close(ctx)
	list := s.spans()
	if len(list) != 3 || outcome(t, r, "exported") != 3 {
		t.Fatalf("%d spans", len(list))
	}
	got := values(list[0].Attributes)
	if list[0].Name != "HTTP /shop" || got["http.request.method"] != "_OTHER" || got["http.request.method_original"] != "G\ufffdT" || len(got["url.path"].(string)) > maxText+2 ||
		got["error.type"] != "503" || list[0].Status.GetCode() != tracepb.Status_STATUS_CODE_ERROR {
		t.Errorf("%.300v", list[0])
	}
	got = values(list[1].Attributes)
	if got["rpc.system"] != "grpc" || got["rpc.service"] != "shop.Cart" || got["rpc.method"] != "Add" || got["rpc.grpc.status_code"] != int64(14) || got["error.type"] != "14" || list[1].Status.GetCode() != tracepb.Status_STATUS_CODE_ERROR {
		t.Errorf("%v", list[1])
	}
	got = values(list[2].Attributes)
	if _, there := got["rpc.grpc.status_code"]; there || got["error.type"] != "client_gone" || len(list[2].ParentSpanId) != 0 || list[2].Status != nil {
		t.Errorf("%v", list[2])
	}
}

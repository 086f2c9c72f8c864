package tracing

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/holdfast-lb/holdfast/lb"
)

// schema is that of the names below: HTTP's semantic conventions have been stable since 1.23.
const schema = "https://opentelemetry.io/schemas/1.37.0"

// maxText bounds what a client can put into one attribute, in bytes.
const maxText = 2 << 10

// converter makes spans those of OTLP.
type converter struct {
	node     string
	resource *resourcepb.Resource
	scope    *commonpb.InstrumentationScope
}

func newConverter(o *Options) converter {
	c := converter{node: o.Node, scope: &commonpb.InstrumentationScope{Name: "github.com/holdfast-lb/holdfast", Version: o.Version}}
	c.resource = &resourcepb.Resource{Attributes: resourceAttributes(o)}
	return c
}

// resourceAttributes are those of OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME, and where they say nothing, our own.
func resourceAttributes(o *Options) []*commonpb.KeyValue {
	env := environment(o.Getenv)
	names := []string{"service.name", "service.instance.id", "service.version", "holdfast.node", "holdfast.group"}
	values := map[string]string{"service.name": "holdfast", "service.instance.id": o.Node, "service.version": o.Version, "holdfast.node": o.Node, "holdfast.group": o.Group}
	for pair := range strings.SplitSeq(env.first("OTEL_RESOURCE_ATTRIBUTES"), ",") {
		name, value, ok := strings.Cut(pair, "=")
		name = strings.TrimSpace(name)
		value, err := url.PathUnescape(strings.TrimSpace(value))
		if !ok || err != nil || name == "" {
			continue
		}
		if _, there := values[name]; !there {
			names = append(names, name)
		}
		values[name] = value
	}
	if name := env.first("OTEL_SERVICE_NAME"); name != "" {
		values["service.name"] = name
	}
	var list []*commonpb.KeyValue
	for _, name := range names {
		if values[name] != "" {
			list = append(list, text(name, values[name]))
		}
	}
	return list
}

func (c *converter) batch(spans []*lb.Span) *tracepb.ResourceSpans {
	all := &tracepb.ScopeSpans{Scope: c.scope, SchemaUrl: schema}
	for _, s := range spans {
		all.Spans = append(all.Spans, c.span(s))
	}
	return &tracepb.ResourceSpans{Resource: c.resource, ScopeSpans: []*tracepb.ScopeSpans{all}, SchemaUrl: schema}
}

func (c *converter) span(s *lb.Span) *tracepb.Span {
	out := &tracepb.Span{
		TraceId: s.Trace[:], SpanId: s.ID[:], TraceState: s.State, Flags: uint32(s.Flags) | uint32(tracepb.SpanFlags_SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK), Name: spanName(s), Kind: tracepb.Span_SPAN_KIND_SERVER,
		StartTimeUnixNano: uint64(s.Start.UnixNano()), EndTimeUnixNano: uint64(s.End.UnixNano()), Attributes: c.attributes(s),
	}
	if s.Parent != [8]byte{} {
		out.ParentSpanId = s.Parent[:]
		out.Flags |= uint32(tracepb.SpanFlags_SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK)
	}
	if s.Failed() {
		out.Status = &tracepb.Status{Code: tracepb.Status_STATUS_CODE_ERROR, Message: valid(s.Problem)}
	}
	return out
}

var knownMethods = []string{
	http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodConnect, http.MethodOptions, http.MethodTrace, "QUERY",
}

// spanName has few values, whatever clients send: the method, and the module that has taken the request.
func spanName(s *lb.Span) string {
	method := s.Method
	if !slices.Contains(knownMethods, method) {
		method = "HTTP"
	}
	if s.Module != "" {
		return method + " " + s.Module
	}
	return method
}

func (c *converter) attributes(s *lb.Span) []*commonpb.KeyValue {
	host, port := s.HostPort()
	list := make([]*commonpb.KeyValue, 0, 24)
	add := func(kv *commonpb.KeyValue) { list = append(list, kv) }
	if slices.Contains(knownMethods, s.Method) {
		add(text("http.request.method", s.Method))
	} else {
		add(text("http.request.method", "_OTHER"))
		add(text("http.request.method_original", s.Method))
	}
	add(text("url.scheme", s.Scheme))
	add(text("url.path", s.Path))
	if host != "" {
		add(text("server.address", host))
	}
	if port != 0 {
		add(number("server.port", int64(port)))
	}
	add(text("network.protocol.name", "http"))
	add(text("network.protocol.version", s.Version))
	add(text("client.address", s.Client))
	if s.Status != 0 {
		add(number("http.response.status_code", int64(s.Status)))
	}
	add(number("http.response.body.size", s.Sent))
	if kind := errorType(s); kind != "" {
		add(text("error.type", kind))
	}
	list = append(list, own(c.node, s)...)
	if s.RPC {
		list = append(list, call(s)...)
	}
	return list
}

// own are the attributes that only Holdfast has.
func own(node string, s *lb.Span) []*commonpb.KeyValue {
	list := []*commonpb.KeyValue{text("holdfast.node", node), flag("holdfast.assigned", s.Assigned)}
	for _, x := range []struct{ name, value string }{
		{"holdfast.listener", s.Listener}, {"holdfast.cluster", s.Cluster}, {"holdfast.module", s.Module}, {"holdfast.instance", s.Instance}, {"holdfast.error", s.Problem},
	} {
		if x.value != "" {
			list = append(list, text(x.name, x.value))
		}
	}
	if s.Retries > 0 {
		list = append(list, number("holdfast.retries", int64(s.Retries)))
	}
	return list
}

// call are those of a call of gRPC.
func call(s *lb.Span) []*commonpb.KeyValue {
	list := []*commonpb.KeyValue{text("rpc.system", "grpc")}
	if i := strings.LastIndexByte(s.Path, '/'); i > 0 {
		list = append(list, text("rpc.service", s.Path[1:i]), text("rpc.method", s.Path[i+1:]))
	}
	if n, err := strconv.ParseUint(s.RPCStatus, 10, 8); err == nil {
		list = append(list, number("rpc.grpc.status_code", int64(n)))
	}
	return list
}

// errorType has few values: a status, or that there was none.
func errorType(s *lb.Span) string {
	switch {
	case s.Gone:
		return "client_gone"
	case s.RPC && s.RPCStatus != "":
		if s.Failed() {
			return s.RPCStatus
		}
		return ""
	case s.Status >= 500:
		return strconv.Itoa(s.Status)
	case s.Failed():
		return "broken_response"
	}
	return ""
}

// valid makes text what protobuf takes.
func valid(s string) string {
	if len(s) > maxText {
		s = s[:maxText]
	}
	if utf8.ValidString(s) {
		return s
	}
	return strings.ToValidUTF8(s, "\ufffd")
}

func text(name, value string) *commonpb.KeyValue {
	return &commonpb.KeyValue{Key: valid(name), Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: valid(value)}}}
}

func number(name string, value int64) *commonpb.KeyValue {
	return &commonpb.KeyValue{Key: name, Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_IntValue{IntValue: value}}}
}

func flag(name string, value bool) *commonpb.KeyValue {
	return &commonpb.KeyValue{Key: name, Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_BoolValue{BoolValue: value}}}
}

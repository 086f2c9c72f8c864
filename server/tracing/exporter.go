package tracing

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/holdfast-lb/holdfast/lb"
)

// Options are what an Exporter is made of.
type Options struct {
	Settings
	// Node, Group and Version name this node in every span.
	Node, Group, Version string
	Logger               *slog.Logger
	Registerer           prometheus.Registerer
	// Getenv reads the environment; nil: os.Getenv. OpenTelemetry's clients read their own variables from the process.
	Getenv func(string) string
}

// Exporter sends spans. Export may be called from any goroutine until Close has begun, and after it, too: then they are dropped.
type Exporter struct {
	settings Settings
	queue    queueSettings
	client   otlptrace.Client
	convert  converter
	log      *slog.Logger
	spans    chan *lb.Span
	ctx      context.Context // of what is being sent
	cancel   context.CancelFunc
	quit     chan struct{}
	done     chan struct{}
	once     sync.Once
	said     bool // that the collector takes nothing; of run

	exported, dropped, failed prometheus.Counter
}

// Open makes an Exporter and begins to send; nil without an error when nothing is to be traced.
func Open(o Options) (*Exporter, error) {
	if o.Getenv == nil {
		o.Getenv = os.Getenv
	}
	s, err := o.complete(o.Getenv)
	if err != nil {
		return nil, fmt.Errorf("tracing: %w", err)
	}
	if !s.On() {
		return nil, nil
	}
	e := &Exporter{settings: s, queue: queueOf(o.Getenv), log: o.Logger, quit: make(chan struct{}), done: make(chan struct{})}
	e.convert = newConverter(&o)
	e.spans = make(chan *lb.Span, e.queue.queue)
	e.ctx, e.cancel = context.WithCancel(context.Background())
	if err := e.count(o.Registerer); err != nil {
		return nil, fmt.Errorf("tracing: %w", err)
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { o.Logger.Warn("OpenTelemetry", "error", err) }))
	e.client = newClient(s)
	if err := e.client.Start(e.ctx); err != nil {
		return nil, fmt.Errorf("tracing: %w", err)
	}
	go e.run()
	return e, nil
}

func (e *Exporter) count(r prometheus.Registerer) error {
	spans := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "holdfast_trace_spans_total",
		Help: "Spans of recorded requests by outcome: exported, dropped (the queue was full) or failed (the collector did not take them)."}, []string{"outcome"})
	e.exported, e.dropped, e.failed = spans.WithLabelValues("exported"), spans.WithLabelValues("dropped"), spans.WithLabelValues("failed")
	return r.Register(spans)
}

func newClient(s Settings) otlptrace.Client {
	if s.Protocol == "grpc" {
		var o []otlptracegrpc.Option
		if s.Endpoint != "" {
			o = append(o, otlptracegrpc.WithEndpointURL(s.Endpoint))
		}
		return otlptracegrpc.NewClient(o...)
	}
	var o []otlptracehttp.Option
	if s.Endpoint != "" {
		o = append(o, otlptracehttp.WithEndpointURL(tracesURL(s.Endpoint)))
	}
	return otlptracehttp.NewClient(o...)
}

// tracesURL adds the path that OTLP has for traces to a URL without one, as OpenTelemetry does with OTEL_EXPORTER_OTLP_ENDPOINT.
func tracesURL(endpoint string) string {
	_, rest, _ := strings.Cut(endpoint, "://")
	if _, path, _ := strings.Cut(rest, "/"); path != "" {
		return endpoint
	}
	return strings.TrimSuffix(endpoint, "/") + "/v1/traces"
}

// Tracing is what lb is told.
func (e *Exporter) Tracing() *lb.Tracing {
	if e == nil {
		return nil
	}
	return &lb.Tracing{Sample: e.settings.Sample, Trust: e.settings.Trust, Export: e.Export}
}

// Export takes a span. It never waits.
func (e *Exporter) Export(s *lb.Span) {
	select {
	case e.spans <- s:
	default:
		e.dropped.Inc()
	}
}

// run sends what has gathered: a full batch at once, anything else after a while.
func (e *Exporter) run() {
	defer close(e.done)
	batch := make([]*lb.Span, 0, e.queue.batch)
	tick := time.NewTicker(e.queue.delay)
	defer tick.Stop()
	for {
		select {
		case s := <-e.spans:
			if batch = append(batch, s); len(batch) < e.queue.batch {
				continue
			}
		case <-tick.C:
		case <-e.quit:
			e.rest(batch)
			return
		}
		batch = e.send(batch)
	}
}

// rest sends what is left at the end, until nothing is or the time is over.
func (e *Exporter) rest(batch []*lb.Span) {
	for {
		for len(batch) < e.queue.batch && len(e.spans) > 0 {
			batch = append(batch, <-e.spans)
		}
		if len(batch) == 0 {
			return
		}
		batch = e.send(batch)
	}
}

// send sends one batch and gives it back empty.
func (e *Exporter) send(batch []*lb.Span) []*lb.Span {
	if len(batch) == 0 {
		return batch
	}
	ctx, cancel := context.WithTimeout(e.ctx, e.queue.timeout)
	defer cancel()
	err := e.client.UploadTraces(ctx, []*tracepb.ResourceSpans{e.convert.batch(batch)})
	switch {
	case err != nil:
		e.failed.Add(float64(len(batch)))
		if !e.said {
			e.log.Warn("the collector of traces takes no spans; requests do not wait for it, and spans are lost until it does", "error", err)
		}
	default:
		e.exported.Add(float64(len(batch)))
		if e.said {
			e.log.Info("the collector of traces takes spans again")
		}
	}
	e.said = err != nil
	clear(batch)
	return batch[:0]
}

// Close sends what there still is until ctx ends, and ends everything. A nil Exporter has nothing to do.
func (e *Exporter) Close(ctx context.Context) {
	if e == nil {
		return
	}
	e.once.Do(func() { close(e.quit) })
	select {
	case <-e.done:
	case <-ctx.Done():
		e.cancel()
		<-e.done
	}
	e.cancel()
	over, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := e.client.Stop(over); err != nil {
		e.log.Debug("the connection to the collector of traces", "error", err)
	}
}

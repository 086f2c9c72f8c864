package tracing

import (
	"errors"
	"log/slog"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

func TestValidate(t *testing.T) {
	for _, good := range []Settings{{}, {Sample: -1, Trust: "proxies"}, {Protocol: "http", Endpoint: "https://c.example:4318/x/v1/traces", Sample: 1}, {Protocol: "grpc", Endpoint: "http://10.0.0.1:4317", Trust: "all"}, {Protocol: "otlp", Trust: "none"}} {
		if errs := good.Validate(); len(errs) > 0 {
			t.Errorf("%+v: %v", good, errs)
		}
	}
	for _, c := range []struct {
		s    Settings
		says string
	}{
		{Settings{Protocol: "zipkin"}, "write otlp, http or grpc"}, {Settings{Endpoint: "http://c"}, "without --trace"}, {Settings{Protocol: "http", Endpoint: "c:4318"}, "write a URL"},
		{Settings{Protocol: "http", Endpoint: "grpc://c:4317"}, "write a URL"}, {Settings{Protocol: "http", Endpoint: "http://"}, "write a URL"}, {Settings{Protocol: "http", Endpoint: "http://u:secret@c"}, "write a URL"},
		{Settings{Protocol: "http", Endpoint: "http://c?x=1"}, "write a URL"}, {Settings{Sample: 1.1}, "from 0 to 1"}, {Settings{Sample: -0.5}, "from 0 to 1"}, {Settings{Sample: math.NaN()}, "from 0 to 1"}, {Settings{Sample: math.Inf(1)}, "from 0 to 1"},
		{Settings{Trust: "some"}, "write proxies, all or none"},
	} {
		err := errors.Join(c.s.Validate()...)
		if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%+v: %v", c.s, err)
		}
	}
}

// TestEnvironment: the standard variables, what stands before them, and what cannot be meant.
func TestEnvironment(t *testing.T) {
	asked := Settings{Protocol: "otlp", Sample: -1}
	for _, c := range []struct {
		s        Settings
		env      map[string]string
		protocol string
		sample   float64
		says     string
	}{
		{s: asked, protocol: "http", sample: 0.01},
		{s: asked, env: map[string]string{"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.25"}, protocol: "grpc", sample: 0.25},
		{s: asked, env: map[string]string{"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_TRACES_SAMPLER": "always_on"}, protocol: "http", sample: 1},
		{s: Settings{Protocol: "grpc", Sample: 0.5}, env: map[string]string{"OTEL_EXPORTER_OTLP_PROTOCOL": "http/json", "OTEL_TRACES_SAMPLER": "jaeger_remote"}, protocol: "grpc", sample: 0.5},
		{s: asked, env: map[string]string{"OTEL_TRACES_SAMPLER": "parentbased_always_off"}, protocol: "http"},
		{s: asked, env: map[string]string{"OTEL_TRACES_SAMPLER": "traceidratio"}, protocol: "http", sample: 1},
		{s: asked, env: map[string]string{"OTEL_SDK_DISABLED": "TRUE"}, protocol: "", sample: -1},
		{s: asked, env: map[string]string{"OTEL_TRACES_EXPORTER": "none"}, protocol: "", sample: -1},
		{s: asked, env: map[string]string{"OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"}, says: "only http/protobuf and grpc"},
		{s: asked, env: map[string]string{"OTEL_TRACES_SAMPLER": "jaeger_remote"}, says: "write always_on"},
		{s: asked, env: map[string]string{"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "NaN"}, says: "from 0 to 1"},
		{s: asked, env: map[string]string{"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "2"}, says: "from 0 to 1"},
	} {
		got, err := c.s.complete(func(name string) string { return c.env[name] })
		if c.says != "" {
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v: %v", c.env, err)
			}
			continue
		}
		if err != nil || got.Protocol != c.protocol || got.Sample != c.sample {
			t.Errorf("%v: %+v, %v", c.env, got, err)
		}
	}
	q := queueOf(func(name string) string {
		return map[string]string{"OTEL_BSP_MAX_QUEUE_SIZE": "100", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "1000", "OTEL_BSP_SCHEDULE_DELAY": "-5", "OTEL_BSP_EXPORT_TIMEOUT": "99999999999999999999"}[name]
	})
	if q != (queueSettings{100, 100, 5 * time.Second, 30 * time.Second}) {
		t.Errorf("%+v", q)
	}
}

// TestNothingToTrace: without --trace there is nothing, and nothing to end.
func TestNothingToTrace(t *testing.T) {
	e, err := Open(Options{Settings: Settings{Sample: -1}, Logger: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry()})
	if e != nil || err != nil || e.Tracing() != nil {
		t.Errorf("%v, %v", e, err)
	}
	e.Close(t.Context())
	if got := tracesURL("http://c:4318"); got != "http://c:4318/v1/traces" {
		t.Error(got)
	}
	if got := tracesURL("http://c:4318/") + tracesURL("https://c/custom"); got != "http://c:4318/v1/traceshttps://c/custom" {
		t.Error(got)
	}
}

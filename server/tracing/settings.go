package tracing

import (
	"errors"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Settings say how spans leave. The zero value is a node that does not trace.
type Settings struct {
	// Protocol is http (OTLP, protobuf over HTTP), grpc, or otlp: what OTEL_EXPORTER_OTLP_PROTOCOL says, http where it says nothing. Empty: nothing is traced.
	Protocol string
	// Endpoint is the URL of the collector; empty: what OTEL_EXPORTER_OTLP_TRACES_ENDPOINT or OTEL_EXPORTER_OTLP_ENDPOINT say, else port 4318 (http) or 4317 (grpc) of this machine.
	Endpoint string
	// Sample is the share of new traces that are recorded, 0 to 1; -1: what OTEL_TRACES_SAMPLER and its _ARG say, 0.01 where they say nothing.
	Sample float64
	// Trust says whose traces go on: proxies, all, none.
	Trust string
}

const defaultSample = 0.01

// On reports whether there is anything to send.
func (s Settings) On() bool { return s.Protocol != "" }

// Validate says everything that is wrong, with what to do.
func (s Settings) Validate() (errs []error) {
	if !slices.Contains([]string{"", "otlp", "http", "grpc"}, s.Protocol) {
		errs = append(errs, fmt.Errorf("--trace %.40q: write otlp, http or grpc, or leave it out", s.Protocol))
	}
	if !s.On() && s.Endpoint != "" {
		errs = append(errs, errors.New("--trace-endpoint without --trace: write --trace http or --trace grpc, or remove it"))
	}
	if s.Endpoint != "" {
		u, err := url.Parse(s.Endpoint)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			errs = append(errs, fmt.Errorf("--trace-endpoint %.80q: write a URL as in http://collector:4318, or https:// for TLS", redacted(s.Endpoint)))
		}
	}
	if math.IsNaN(s.Sample) || s.Sample > 1 || s.Sample < 0 && s.Sample != -1 {
		errs = append(errs, fmt.Errorf("--trace-sample %v: must be from 0 to 1; 0.01 records one trace of a hundred", s.Sample))
	}
	if !slices.Contains([]string{"", "proxies", "all", "none"}, s.Trust) {
		errs = append(errs, fmt.Errorf("--trace-trust %.40q: write proxies, all or none", s.Trust))
	}
	return errs
}

// redacted leaves out a password.
func redacted(endpoint string) string {
	if u, err := url.Parse(endpoint); err == nil {
		return u.Redacted()
	}
	return endpoint
}

// environment is os.Getenv.
type environment func(string) string

// first gives the first of the variables that says something.
func (e environment) first(names ...string) string {
	for _, name := range names {
		if v := strings.TrimSpace(e(name)); v != "" {
			return v
		}
	}
	return ""
}

// complete fills in what the environment says.
func (s Settings) complete(env environment) (Settings, error) {
	if strings.EqualFold(env.first("OTEL_SDK_DISABLED"), "true") || strings.EqualFold(env.first("OTEL_TRACES_EXPORTER"), "none") {
		s.Protocol = ""
		return s, nil
	}
	if s.Protocol == "otlp" {
		switch v := env.first("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"); v {
		case "", "http/protobuf":
			s.Protocol = "http"
		case "grpc":
			s.Protocol = "grpc"
		default:
			return s, fmt.Errorf("OTEL_EXPORTER_OTLP_PROTOCOL is %.40q: only http/protobuf and grpc can be had", v)
		}
	}
	if s.Trust == "" {
		s.Trust = "proxies"
	}
	if s.Sample >= 0 {
		return s, nil
	}
	return s, s.sampler(env)
}

// sampler reads OTEL_TRACES_SAMPLER. Whether what comes from outside is followed is Trust's business, so that parentbased_ makes no difference.
func (s *Settings) sampler(env environment) error {
	name, arg := env.first("OTEL_TRACES_SAMPLER"), env.first("OTEL_TRACES_SAMPLER_ARG")
	switch strings.TrimPrefix(name, "parentbased_") {
	case "":
		s.Sample = defaultSample
	case "always_on":
		s.Sample = 1
	case "always_off":
		s.Sample = 0
	case "traceidratio":
		s.Sample = 1 // as OpenTelemetry says for one without an argument
		if arg == "" {
			return nil
		}
		ratio, err := strconv.ParseFloat(arg, 64)
		if err != nil || !(ratio >= 0 && ratio <= 1) {
			return fmt.Errorf("OTEL_TRACES_SAMPLER_ARG is %.40q: must be a number from 0 to 1", arg)
		}
		s.Sample = ratio
	default:
		return fmt.Errorf("OTEL_TRACES_SAMPLER is %.40q: write always_on, always_off or traceidratio, or --trace-sample", name)
	}
	return nil
}

// queueSettings are those of OpenTelemetry's batch processor.
type queueSettings struct {
	queue, batch   int
	delay, timeout time.Duration
}

// Bounds of what the environment can ask for.
const (
	maxQueue = 1 << 16
	maxDelay = 10 * time.Minute
)

// queueOf reads OTEL_BSP_*. What is no number, or none that makes sense, is the default.
func queueOf(env environment) queueSettings {
	number := func(name string, usual, most int) int {
		n, err := strconv.Atoi(env.first(name))
		if err != nil || n <= 0 || n > most {
			return usual
		}
		return n
	}
	ms := func(name string, usual int) time.Duration {
		return time.Duration(number(name, usual, int(maxDelay/time.Millisecond))) * time.Millisecond
	}
	q := queueSettings{queue: number("OTEL_BSP_MAX_QUEUE_SIZE", 2048, maxQueue), delay: ms("OTEL_BSP_SCHEDULE_DELAY", 5000), timeout: ms("OTEL_BSP_EXPORT_TIMEOUT", 30000)}
	q.batch = min(number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512, maxQueue), q.queue)
	return q
}

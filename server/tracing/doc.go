// Package tracing sends spans to a collector of OpenTelemetry, by OTLP over HTTP or gRPC.
//
// It promises that nobody who has a span waits: Export puts it into a bounded queue, or drops and counts it. A collector that is slow, gone or a black hole costs spans, and
// memory of one queue and one batch. What a node still has at its end is sent for at most a given time.
//
// The spans come from package lb; the wire protocol, its retries and the standard OTEL_EXPORTER_OTLP_* variables are those of OpenTelemetry's own clients.
package tracing

package server

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-lb/holdfast/server/tracing"
)

// traceFlushTime bounds how long a node that ends waits for the collector of traces.
const traceFlushTime = 2 * time.Second

func (s *Server) openTracing(metrics prometheus.Registerer) (err error) {
	s.traces, err = tracing.Open(tracing.Options{Settings: s.config.Trace, Node: s.config.Name, Group: s.config.Group, Version: s.config.Version, Logger: s.log, Registerer: metrics})
	return err
}

func (s *Server) closeTracing() {
	ctx, cancel := context.WithTimeout(context.Background(), traceFlushTime)
	defer cancel()
	s.traces.Close(ctx)
}

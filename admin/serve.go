package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/net/netutil"
)

// maxConns bounds the connections to the admin address. Health checks, a few operators and a scraper need a handful.
const maxConns = 256

// NewServer gives the HTTP server for a handler made by New: every phase of a connection has a deadline, heads are small.
// The write deadline leaves room for wait=all, for a transfer (60 s) and for an upgrade of the program (80 s).
func NewServer(h http.Handler, logger *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      90 * time.Second,
		IdleTimeout:       60 * time.Second,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelDebug), // broken connections of strangers
	}
}

// shutdownGrace is how long calls that are under way may take to end.
const shutdownGrace = 5 * time.Second

// Serve answers on ln until ctx ends, then lets calls that are under way finish, and closes ln. It returns nil after that
// and the reason when it ends by itself.
func Serve(ctx context.Context, ln net.Listener, h http.Handler, logger *slog.Logger) error {
	srv := NewServer(h, logger)
	if api, ok := h.(*API); ok {
		srv.RegisterOnShutdown(api.endStreams)
		keys, endKeys := context.WithCancel(ctx)
		var running sync.WaitGroup
		running.Go(func() { api.issuer.Run(keys) })
		defer running.Wait()
		defer endKeys()
	}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(netutil.LimitListener(ln, maxConns)) }()
	select {
	case err := <-failed:
		return fmt.Errorf("admin API: %w", err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
	defer cancel()
	err := srv.Shutdown(grace)
	if errors.Is(err, context.DeadlineExceeded) {
		err = srv.Close()
	}
	<-failed
	return err
}

package admin

import (
	"context"
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
	return ServeInTurn(ctx, ln, h, logger, func() {})
}

// ServeInTurn is Serve for one after whom another process or server answers on the same socket: after ctx has ended yielded is called as soon as nothing more is accepted and no kept
// connection can bring another call. Calls that came before may still be under way.
func ServeInTurn(ctx context.Context, ln net.Listener, h http.Handler, logger *slog.Logger, yielded func()) error {
	srv := NewServer(h, logger)
	var open sync.WaitGroup // of connections
	srv.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			open.Add(1)
		case http.StateClosed, http.StateHijacked:
			open.Done()
		}
	}
	endStreams := func() {}
	if api, ok := h.(*API); ok {
		endStreams = api.endStreams
		keys, endKeys := context.WithCancel(ctx)
		var running sync.WaitGroup
		running.Go(func() { api.issuer.Run(keys) })
		defer running.Wait()
		defer endKeys()
	}
	failed := make(chan error, 1)
	limited := netutil.LimitListener(ln, maxConns)
	go func() { failed <- srv.Serve(limited) }()
	select {
	case err := <-failed:
		return fmt.Errorf("admin API: %w", err)
	case <-ctx.Done():
	}
	// Not Shutdown: that hangs up without an answer on who has connected and is about to ask, such as a probe for readiness.
	_ = limited.Close()
	<-failed
	srv.SetKeepAlivesEnabled(false) // connections that are idle are closed, the others end with their answer
	yielded()
	endStreams()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		open.Wait()
	}()
	grace := time.NewTimer(shutdownGrace)
	defer grace.Stop()
	select {
	case <-ended:
	case <-grace.C:
	}
	return srv.Close()
}

package sampleapp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// Serve runs one instance called name on addr (host:port) until ctx ends. It returns nil after an orderly end.
func Serve(ctx context.Context, addr, name string) error {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("sample instance %s: %w", name, err)
	}
	return ServeListener(ctx, listener, name)
}

// ServeListener is Serve on a listener that is open already; it closes it.
func ServeListener(ctx context.Context, listener net.Listener, name string) error {
	server := &http.Server{
		Handler:           Handler(name),
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	select {
	case err := <-done:
		return fmt.Errorf("sample instance %s: %w", name, err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if err := server.Shutdown(grace); err != nil {
		// What is still open is a stream or a WebSocket that would last for ever.
		err = server.Close()
		if err != nil {
			return fmt.Errorf("sample instance %s: %w", name, err)
		}
	}
	if err := <-done; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("sample instance %s: %w", name, err)
	}
	return nil
}

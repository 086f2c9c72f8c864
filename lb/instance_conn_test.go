package lb

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
)

func TestConnectionIsQuietWhenItsReaderWaits(t *testing.T) {
	for _, end := range []string{"read", "close", "leave"} {
		synctest.Test(t, func(t *testing.T) {
			near, far := net.Pipe()
			defer far.Close()
			c := &instanceConn{Conn: near}
			defer c.Close()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			quiet := make(chan struct{})
			go func() { c.quiet(ctx); close(quiet) }()
			synctest.Wait()
			select {
			case <-quiet:
				t.Fatal("quiet although nobody reads")
			default:
			}
			read := make(chan struct{})
			switch end {
			case "read":
				go func() { c.Read(make([]byte, 1)); close(read) }()
			case "close":
				c.Close()
				close(read)
			case "leave":
				cancel()
				close(read)
			}
			synctest.Wait()
			select {
			case <-quiet:
			default:
				t.Fatalf("%s: still waits", end)
			}
			if end == "read" {
				c.quiet(ctx) // at once: the reader waits
				far.Write([]byte("x"))
			}
			<-read
		})
	}
}

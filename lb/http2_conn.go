package lb

//lint:file-ignore SA1019 net/http has the same code, but ends all connections of a server or none, and shows none of its errors: see docs/DEPENDENCIES.md

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/net/http2"

	"github.com/holdfast-lb/holdfast/lb/h2"
)

const (
	// http2Streams is how many requests a client may have open at once on a connection, as browsers and gRPC expect it.
	http2Streams = 250
	// http2Upload and http2UploadAll are how many bytes of bodies a client may have sent that no instance has taken yet, of one request and of all of a
	// connection: one that nobody reads must not keep the others from being read.
	http2Upload, http2UploadAll = 256 << 10, 1 << 20
	// http2Frame is the size of frames that must be taken; a larger one would only make others wait longer.
	http2Frame = 16 << 10
	// http2Ping is after how much silence a client is asked whether it is still there: streams may be open for hours.
	http2Ping, http2PingTimeout = time.Minute, 15 * time.Second
	// http2Stuck is how long a client may take not one byte of what is sent to it.
	http2Stuck = time.Minute
	// http2Notice is the time between the word that a connection is to end and its end: more than a round trip to another continent. What the client sends
	// until it has heard it is served.
	http2Notice = time.Second
)

// http2Conn is a client's connection that speaks HTTP/2.
type http2Conn struct {
	who    *caller
	conn   *h2.Conn
	secure *tls.ConnectionState // nil in clear text
	// bridged says that a loop has the client's connection: conn and what follows server are unused then.
	bridged bool
	// server is of this connection alone, because x/net's server ends all of its connections in an orderly way, or none.
	server *http.Server
	work   sync.WaitGroup // of what ends the connection

	mu       sync.Mutex
	told     bool        // the client has been told that it is to end
	retiring *time.Timer // until it ends; nil while it does not
	over     bool
}

// speaksHTTP2 hands the connection over when it has begun with the preface of HTTP/2.
func (c *clientConn) speaksHTTP2() bool {
	if c.guard == nil {
		return false
	}
	before, ok := c.guard.Preface()
	if !ok {
		return false
	}
	f := c.socket.who.front
	f.b.conns.leave(c.socket.who)
	f.b.relays.Go(func() { f.serveHTTP2(c.guard.NetConn(), before, c.socket.who) })
	return true
}

// serveHTTP2 serves a connection on which the client speaks HTTP/2, because it began so or because TLS has settled it (ALPN h2), until it has ended. conn is
// above TLS, if there is any, and below nothing; before has been read of it already. who has been taken in, and no engine has it.
func (f *front) serveHTTP2(conn net.Conn, before []byte, who *caller) {
	e := f.edge.Load()
	c := &http2Conn{who: who}
	c.conn = h2.NewConn(conn, before, h2.Options{Latest: func() time.Duration { return f.edge.Load().guard.HeadTimeout }, Refused: f.b.metrics.http2Refused})
	if t, ok := conn.(interface{ ConnectionState() tls.ConnectionState }); ok {
		state := t.ConnectionState()
		c.secure = &state
	}
	settings := &http2.Server{MaxConcurrentStreams: http2Streams, IdleTimeout: e.guard.Idle, ReadIdleTimeout: http2Ping, PingTimeout: http2PingTimeout, WriteByteTimeout: http2Stuck}
	if !f.configureHTTP2(c, settings) {
		conn.Close()
		return
	}
	f.b.conns.arrive(who, c)
	f.serveStreams(c.conn, c, settings)
	c.finish()
}

// configureHTTP2 gives a connection its server; settings get what is the same for all. false: that cannot be, which is in the log.
func (f *front) configureHTTP2(c *http2Conn, settings *http2.Server) bool {
	settings.MaxReadFrameSize, settings.MaxUploadBufferPerStream, settings.MaxUploadBufferPerConnection = http2Frame, http2Upload, http2UploadAll
	settings.CountError = f.b.metrics.http2Error
	c.server = &http.Server{Handler: f.b.http2Handler(), MaxHeaderBytes: f.edge.Load().guard.Head, ErrorLog: http2Log(f.b.log)}
	err := http2.ConfigureServer(c.server, settings)
	if err != nil {
		f.b.log.Error("HTTP/2 cannot be served", "error", err)
	}
	return err == nil
}

// serveStreams has x/net serve what comes on conn until that has ended.
func (f *front) serveStreams(conn net.Conn, c *http2Conn, settings *http2.Server) {
	ctx, cancel := context.WithCancel(context.WithValue(f.requests, http2ConnKey{}, c))
	defer cancel()
	settings.ServeConn(conn, &http2.ServeConnOpts{Context: ctx, BaseConfig: c.server})
}

// finish comes when the connection has ended.
func (c *http2Conn) finish() {
	c.mu.Lock()
	c.over = true
	if c.retiring != nil {
		c.retiring.Stop()
	}
	c.mu.Unlock()
	c.conn.Close()
	c.work.Wait()
}

// retire has it end: the client is told that it may begin nothing more, and what it has begun by the time it hears that is served to its end. It waits for
// nothing.
func (c *http2Conn) retire() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return
	}
	if !c.told {
		c.told = true
		c.work.Go(c.conn.GoAway)
	}
	c.retiring = time.AfterFunc(http2Notice, c.shut)
}

// shut has x/net say which request was the last, and close the connection when all have been answered.
func (c *http2Conn) shut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over || c.retiring == nil {
		return
	}
	over, cancel := context.WithCancel(context.Background())
	cancel() // there is nothing to wait for
	c.work.Go(func() { c.server.Shutdown(over) })
}

// stay takes retire back. The client, which has been told, goes to another connection all the same.
func (c *http2Conn) stay() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.retiring != nil {
		c.retiring.Stop()
		c.retiring = nil
	}
}

// Close ends it at once.
func (c *http2Conn) Close() error { return c.conn.Close() }

type http2ConnKey struct{}

func http2ConnOf(ctx context.Context) *http2Conn {
	c, _ := ctx.Value(http2ConnKey{}).(*http2Conn)
	return c
}

// http2Log takes what x/net has to say: what clients do wrong is counted, and would fill a log.
func http2Log(l *slog.Logger) *log.Logger {
	if l.Enabled(context.Background(), slog.LevelDebug) {
		return slog.NewLogLogger(l.Handler(), slog.LevelDebug)
	}
	return log.New(io.Discard, "", 0)
}

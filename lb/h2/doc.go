// Package h2 stands between an HTTP/2 server and the connection of its client. It reads no more of the protocol than the heads of frames, in both directions.
//
// What it promises:
//   - A client that sends frames which are no work for anybody (SETTINGS, PING, PRIORITY, WINDOW_UPDATE, empty DATA, frames of types that nobody knows), or that
//     takes its requests back, is cut off when it sends more of them than what it is sent and what it asks for can explain. The server behind has
//     not seen the frame that was one too many.
//   - A header block comes in a bounded number of frames and in a bounded time.
//   - GoAway tells the client that it may open no more streams, between two frames of the server, without ending any.
//
// What it does not: it judges no frame (the server does), and it bounds neither streams nor the size of headers, which are settings of the server.
//
// A Conn follows the rules of net.Conn, with one goroutine at a time in Read. GoAway may be called at any time.
package h2

import (
	_ "golang.org/x/net/http2" // so that it has been initialised before this package is, which puts GODEBUG back

	"github.com/holdfast-lb/holdfast/lb/h2/xconnect"
)

func init() { xconnect.Restore() }

// Package h3 serves HTTP/3 (RFC 9114) to one client on a QUIC connection: it reads requests, calls a handler for each, and writes what that answers.
//
// What it promises:
//   - Whatever breaks HTTP/3 or QPACK ends the stream or the connection with the code that RFC 9114 and RFC 9204 say, and no handler hears of it. A body is as long as
//     its Content-Length says, or its reader gets an error.
//   - Each part of a request that can be waited for has a bound in time, and each that can grow one in bytes: a head comes whole within HeadTimeout, the heads that are not whole
//     yet have a bound together, and so has the number of handlers that run at once, also for a client that takes requests back as fast as it sends them.
//   - A client that sends what is no work for anybody (unknown frames, empty DATA, streams of unknown types), or that takes its requests back, is cut off when it does so more
//     often than what it asks for can explain.
//   - GoAway tells the client to begin nothing more, and serves what it begins before it has heard; Shut says which request was the last, and closes the connection when all have
//     been answered. No request is lost by the two, a second apart, and none is left in doubt.
//   - A response that breaks off ends with a reset, never as if it were whole.
//
// What it does not: it makes neither handshakes nor decisions. A request is what HTTP/3 allows it to be, not what HTTP/1.1 could say: that is to be looked at by the handler.
// There is no server push, and no dynamic table of QPACK: nothing that a client says is kept beyond its stream.
//
// The methods of a Conn may be called at any time, from any goroutine; Serve is called once.
package h3

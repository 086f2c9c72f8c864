// Package wire reads HTTP/1.1 requests strictly (RFC 9110, RFC 9112).
//
// It has three parts. Parser reads a request head from a growing buffer
// without allocating. Chunked checks a body in the chunked transfer coding.
// NewListener puts both in front of net/http: its connections pass bytes on
// only after the head that they belong to has been accepted, and answer what
// they refuse by themselves.
//
// What it promises: a head that can be read in two ways never reaches the
// server behind it, and neither does any byte after it; the refusal is one
// complete response that comes after the responses to all earlier requests of
// the connection, never between their bytes; nothing of the request is echoed.
// A body that breaks its framing ends in a *Error from the body's Read, and
// the handler answers (see Violation).
//
// What it does not: it limits neither the size nor the rate of bodies, it does
// not judge what a target means (dot segments, encoded slashes), and it does
// not do TLS; over a TLS listener it must wrap the decrypted connections.
// A handler may hijack a connection only for a request with Upgrade, and must
// begin with a response head: the guard looks for the 101 in what is written.
//
// Parser and Chunked belong to one goroutine at a time. A Conn follows the
// rules of net.Conn, with one goroutine at a time in Read, as net/http does.
package wire

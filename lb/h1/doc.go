// Package h1 carries requests of HTTP/1.1 and, from clients, HTTP/2 from clients to instances on epoll event loops.
//
// It knows connections, heads, bodies and time; where a request goes, and what becomes of it when that fails, says a Director. It takes the
// common requests only. Whatever else arrives it lets go of, with the bytes that it has read, so that another engine can serve the connection
// (Away), and takes it back when that has nothing under way any more (Engine.Adopt).
//
// What it promises: a request is forwarded in exactly one reading, as package wire accepts it, with a framing of h1's own; responses leave in the
// order of the requests; a response that cannot be read in one way never reaches a client; nobody holds more than a bounded amount of memory,
// whatever clients and instances send or do not take; an idle connection holds no buffer; a forwarded request costs no heap allocation of h1.
//
// A connection with TLS comes in when its handshake is done (Adoption.TLS), and has all of this.
//
// A client's connection that begins with the preface of HTTP/2, or for which TLS has chosen it, is served if the Director wants that: its streams are trips like all
// others, read by the same parser, and those that the Director sends away reach the other engine over a bridge, while their connection stays. What is bounded there:
// streams, header blocks in size, frames and time, bodies that nobody has taken, frames that ask for nothing, and what waits for a client.
//
// What it does not: handshakes of TLS, HTTP/2 with instances, upgrades, Expect, retries by its own judgement.
//
// Linux only; elsewhere New says that there is no such engine.
package h1

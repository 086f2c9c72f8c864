// Package admin is the operator's way into a node: an HTTP and JSON API under /v1, health checks and metrics.
//
// It promises:
//   - The OpenAPI 3.1 document at /v1/openapi.json is generated from the code that serves the API.
//   - Every error is an RFC 9457 problem document with a stable code (package wire lists them), unknown routes included.
//   - Every route but /healthz and /readyz needs an access token with a sufficient role (viewer < operator < admin), except
//     for callers on the same machine that reach the node by a loopback address. Those must name it by IP address or as
//     localhost, which stops DNS rebinding, and browsers are refused when they speak for another site.
//   - Replacing the configuration is compare-and-swap; edits by name are made to whatever is current, all of them or none. Repeating a write with the
//     same Idempotency-Key is harmless.
//   - While the maintenance lock is on, a change of the configuration that is not made under it is answered with 423, whose problem says whose lock it is.
//   - Without a leader a call is answered with 503 and Retry-After within one second.
//   - Bodies are bounded (1 MiB, a configuration 4 MiB), read within a deadline, and strict: one value, no duplicate keys,
//     no unknown fields, bounded nesting.
//   - The log says who called what with which outcome; it never has bodies, tokens, addresses of requests or session ids.
//
// It does not promise secrecy on the wire: on an address other than loopback put it behind TLS or in a private network.
//
// What it drives comes in through the small interfaces of this package (Node, State, Sessions); package server plugs the
// real ones in. A handler made by New is safe for any number of goroutines, as the interfaces must be.
package admin

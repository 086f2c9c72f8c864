// Package wire holds the documents of the admin API: what travels as JSON between a node, its command line, the chaos
// harness and anybody's own tools. Both admin (which serves them) and admin/client (which reads them) use these types, so
// the two cannot drift apart.
//
// Promises: fields are only ever added, never renamed or given another meaning, under /v1. Times are UTC, RFC 3339.
// Durations are text as in the configuration ("1m30s"), or carry their unit in the name. Session keys are the keyed hashes that the state holds, as 32 hexadecimal
// digits; no document here ever carries an application's own session id back to a caller.
//
// The package holds plain data: values may be copied and read from any goroutine.
package wire

// Package acme has real nodes obtain certificates from a real ACME server, Pebble, which asks for challenges at each of them: through tls-alpn-01 and http-01, with
// the leader killed in the middle of an order, and with a server that is dead or comes back without its memory. `make test-acme` runs it.
//
// It has no code but that of its tests.
package acme

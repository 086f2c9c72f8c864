// Package certs reads what listeners of protocol https present and believe: chains of certificates with their private keys, and bundles of authorities, from
// the PEM files that operators have. It also seals private keys, so that the replicated state never holds one in clear.
//
// What is refused: what clients would not accept or could not use (keys that do not fit, weak or absurdly large ones, certificates that are no part of the
// chain), always with the reason and what to do. What is only unwise (expired, no names) is a warning of Describe.
//
// Nothing here asks for the time, for randomness of its own or for files: callers give them. Everything may be called on any goroutine.
package certs

// Package pki is who may speak on the peer port: the group's certificate authority, the two strings by which nodes
// get in (init string and join token), node certificates, and the TLS settings that check all of it.
//
// It promises that a connection made with its settings has, once the handshake is done, a node of the same group at
// the other end: TLS 1.3, an agreed protocol (ALPN), a certificate of exactly this group's authority, the role "node"
// and the group's id. All checks run in VerifyConnection, so that no byte of the peer reaches the caller before them.
// A TLS 1.3 client is done before the server has judged its certificate: a refused client learns so at its first read.
//
// It does not promise that the peer is still a member of the group: a removed node's certificate lives until it
// expires. Whoever accepts a connection compares PeerName with the membership.
//
// Types that carry secrets (Init, JoinToken, CA, Credentials) print without them, by fmt as by log/slog; no error of
// this package quotes its input. Only an explicit call of JoinToken.String, or a field, gives a secret away.
//
// Everything here is safe for use by many goroutines at once; values are never changed after they are handed out.
package pki

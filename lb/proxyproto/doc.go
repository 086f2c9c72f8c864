// Package proxyproto reads and writes the header by which a proxy says in front of a connection whose it is: the PROXY protocol, versions 1 and 2
// (https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt, revision of 2020/03/05).
//
// What it promises: a header that could be read in two ways, or that breaks the specification anywhere, is refused; not a byte behind the header is lost; the
// memory for one is bounded by MaxLen. What it does not: it does not know whom to believe. Who reads a header from somebody who may not send one makes
// a hole.
//
// Nothing here keeps a state; everything may be used by any number of goroutines at once.
package proxyproto

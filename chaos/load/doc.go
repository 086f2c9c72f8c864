// Package load is the clients: sticky ones that keep a ledger, ones that forge cookies, and probes that never stop asking.
//
// A Worker is one client connection pool of its own to every target; it is used by one goroutine at a time. A Session is
// one user: a cookie jar and the entry of what it was told. Workers retry at the next node, as a browser does with several
// addresses, and count what that cost. Everything random is drawn from the seed; only the scheduling of the machine is not
// repeated. The HTTP client is our own and cheap, because on a small machine it shares the cores with what it measures.
package load

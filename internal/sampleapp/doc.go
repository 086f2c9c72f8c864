// Package sampleapp is a small session application for the demo, the chaos harness and tests: an instance that says which
// one it is.
//
// Paths:
//
//	/learn/...     keeps its own session like a servlet container: cookie JSESSIONID=<random>.<name>, a counter in memory
//	               a POST is an upload as well: its body is read, and the session counts it
//	/plain/...     the same without the suffix: only the table of the load balancer knows where such a session lives
//	/insert/...    keeps nothing; the load balancer's own cookie makes the session
//	/ws            WebSocket echo; the first message it sends is its name
//	/health        200 "ok"
//	/slow?ms=N     answers after N milliseconds, 60,000 at most
//	/stream?n=&kb= n chunks of kb KiB, flushed one by one; 64 MiB at most
//	/upload        reads the body; answers its length in bytes and its SHA-256
//	anything else  like /insert/
//
// Every JSON answer is an Answer. A session that this instance does not know gets a new id, as Tomcat does it without
// replication: a client that reaches the wrong instance therefore sees it. Sessions live in memory only, maxSessions at
// most, and die with the process. Serve may be called for several instances at once.
package sampleapp

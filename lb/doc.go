// Package lb is the data plane of a node: it listens, recognises sessions, picks instances and proxies HTTP/1.1, HTTP/2 and HTTP/3.
//
// What it promises:
//   - A response that creates an assignment leaves only after the group has recorded it; without a quorum it leaves with
//     an authenticated provisional cookie instead, or not at all (onQuorumLoss).
//   - An assigned request goes to the session's instance for as long as that instance is available and not stopped, also while it quiesces.
//     After that the session moves once, by a committed compare-and-swap, inside its cluster, never beyond it: also sessions that began in a backup
//     cluster stay there. What a module that is not replicated keeps in a session is then lost, and instance and client are told
//     (X-Holdfast-Session: lost).
//   - An instance is available when some listener of it can be reached from this node and the group has not found it failed. The latter counts while this node
//     has a quorum; the former always.
//   - An unassigned request goes to an enabled and available instance: near ones before far ones, suspect ones, backup instances and backup clusters each only
//     when none of those before can take it. Weights give shares of those requests alone; assigned ones do not count against them.
//   - What InForce has said is obeyed by every request that is not in flight by then.
//   - No instance has more requests in flight from this node than the node's share of its maxConnections, upgraded connections included. An instance at its
//     maxSessions takes no new session; the record decides, and no response leaves without a valid one.
//   - A new configuration closes no connection and resets no health, counter or round-robin position of what it leaves alone.
//   - A request that may have reached an instance is sent again only if it is idempotent (see exchange.rules); else only failed connects
//     are retried. At most bodyBuffer bytes of a body are held for that.
//   - What a client or this machine is to blame for takes no instance out of service.
//   - A listener that stops, DrainAddresses and Shutdown end connections between two requests: each request that came gets its response, and the last one
//     says so. Only connections that have been silent for quietTime end without a word.
//   - Two engines serve requests, and nobody can tell by a response which one did: event loops (package h1) those about which nothing has to be waited for,
//     net/http all others. One set of decisions serves both (inquiry), and a connection changes between them only between two requests. One of HTTP/2 stays
//     with its engine; streams that the loops do not take cross a bridge to the other.
//   - What comes in HTTP/2 is treated as if it had come in HTTP/1.1 (http2_*.go), behind what ends floods (package h2); calls of gRPC hear of Holdfast's own
//     failures as a status. HTTP/3 (http3_*.go), behind package h3, goes the same way.
//   - What is said about a client counts only when a trusted proxy says it. Limits, time-outs, pages and the log follow the configuration with the next request of
//     each connection; the memory of limits for each client is bounded, however many there are.
//   - A connection of a tcp listener (a stream) is decided about as one request that lasts as long. Nothing goes either way before its assignment is on record;
//     one that breaks on one side is reset on the other.
//   - Session ids and cookies appear in no log line, metric, error or response of its own.
//
// What it does not promise: it does not replicate (a Recorder does), it does not read the replicated state other than through
// a View, and it does not verify an instance's answer beyond what HTTP asks for.
//
// A Balancer may be used by any number of goroutines at once; Run is called once.
package lb

// Package lb is the data plane of a node: it listens, recognises sessions, picks instances and proxies HTTP/1.1.
//
// What it promises:
//   - A response that creates an assignment leaves only after the group has recorded it; without a quorum it leaves with
//     an authenticated provisional cookie instead, or not at all (onQuorumLoss).
//   - An assigned request goes to the session's instance for as long as that instance can be reached, whatever its admin
//     state. When it cannot, the session moves once, by a committed compare-and-swap, inside its cluster, never beyond it.
//   - A new configuration closes no connection and resets no health, counter or round-robin position of what it leaves alone.
//   - A request that may have reached an instance is sent to another one only if it is idempotent; else only failed connects are retried.
//   - Session ids and cookies appear in no log line, metric, error or response of its own.
//
// What it does not promise: it does not replicate (a Recorder does), it does not read the replicated state other than through
// a View, and it does not verify an instance's answer beyond what HTTP/1.1 asks for.
//
// A Balancer may be used by any number of goroutines at once; Run is called once.
package lb

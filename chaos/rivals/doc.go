// Package rivals measures what a request costs Holdfast beside what it costs other proxies, on one machine, in one run: the same instances behind all of them,
// the same load, every round visits every one of them in turn. Machines are shared and drift, so only the ratios of one run mean anything; the table gives medians and
// the ratio to HAProxy with stick-tables.
//
// What is measured is the processor time of the proxy's processes per request (for Holdfast: of the node that is asked, the leader, with its group of three running and
// affinity on), the latency at a fixed rate of requests that are sent on time whatever came of those before, and the memory of an idle connection.
//
// scripts/bench_proxy.sh installs the others and runs it (`make bench-proxy`).
package rivals

// Package chaos proves the promises of Holdfast from outside: it starts real processes, loads them, hurts them, and holds what
// clients were told against what they, and the operators, see afterwards. The tests of this package, `holdfast demo` and
// scripts/tomcat.sh play on the same parts:
//
//	proc    processes: start, kill, stop, freeze, thaw; nothing is ever left behind
//	group   a group of nodes on loopback, driven through the program and the admin API only
//	stage   a group, sample instances behind it, and a configuration
//	ledger  what clients were told, and the rules that every later answer must keep
//	load    sticky clients, forgers and probes
//
// The harness that users have, cmd/holdfast-chaos, is made of more:
//
//	proxy     the network between the processes, to be hurt
//	fault     what can happen, as objects
//	scenario  text files, and plans drawn from a seed
//	run       plays a plan; operate is its operators
//	history, check   what was seen, and whether it keeps the promises
//	record, report   what a run leaves behind, for programs and people
//
// A scenario is a function that takes a stage and returns a Report. It does not judge by itself which violations are
// expected: the same function runs against the program and against its known-bad variants, and the test says which must pass
// and which must be caught. Everything random is drawn from a seed that the report names.
package chaos

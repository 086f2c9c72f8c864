// Package client speaks the admin API of a group's nodes. The command line and the chaos harness use it, and so may any Go
// program.
//
// A Client knows several nodes. Every call goes to the node that answered last; when that one does not answer, or says that
// it cannot right now (503), the next one is asked, round after round with a pause between rounds, up to Options.Rounds.
// Any node takes any call.
//
// It promises that a call which is not known to be without effect is repeated only when that is harmless: reads, validation,
// and the writes that carry an Idempotency-Key (all but CreateToken), which the group applies once however often they
// arrive. CreateToken is repeated only when it certainly did nothing.
//
// WaitStopped looks again and again until it is safe to stop an instance or a module; it outlives changes of the leader and the death of nodes.
//
// A refusal of the API is a *Problem, found with errors.As; its Code is stable. When no node answered at all, the error is
// an *Unreachable that lists what happened with each. Errors never have the token in them. Redirects are not followed: the
// token would go along.
//
// A Client is safe for any number of goroutines. Close lets idle connections go.
package client

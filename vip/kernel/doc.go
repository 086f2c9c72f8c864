// Package kernel puts virtual addresses onto a Linux machine and takes them off, tells the links who has them, and watches for others who claim them.
//
// It promises that an address is on the machine only for the lifetime that the last Add gave it, in whole seconds, even when this process is gone: the
// kernel itself takes it off. It never takes over an address that somebody else has configured on the machine. Besides that it has the rules for a hand-over
// without a failed request: Silence lets a machine have an address without anybody on the link learning so, and Relay sends new connections on to that
// machine while those that are there stay.
//
// It does not decide anything: when to hold is the caller's business (vip), and Watch tells, but does not act.
//
// All of it needs CAP_NET_ADMIN and CAP_NET_RAW, and nothing else. Silence and Relay need nftables. Methods may be called by any goroutine, all in the
// network namespace in which Open was called. On other systems than Linux Open says what works there.
package kernel

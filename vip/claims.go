package vip

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

const (
	// conflictShown is how long a conflict is shown in the status after its last sign.
	conflictShown = time.Minute
	// claimsKept bounds how many are remembered: whoever is on the link may claim by any number of names.
	claimsKept = 16
)

// claims are the conflicts of the last time: who else says that an address is his.
type claims []seenClaim

type seenClaim struct {
	ip       netip.Addr
	hardware string // empty: this machine itself
	at       Deadline
}

// note remembers a claim. When there are too many the one whose last sign is the longest ago goes.
func (l *claims) note(c Claim, now Deadline) {
	seen := seenClaim{ip: c.Address.IP(), hardware: c.Hardware, at: now}
	*l = slices.DeleteFunc(*l, func(o seenClaim) bool {
		return o.ip == seen.ip && o.hardware == seen.hardware || now.Sub(o.at) >= conflictShown
	})
	if len(*l) == claimsKept { // in the order of their last signs
		*l = slices.Delete(*l, 0, 1)
	}
	*l = append(*l, seen)
}

// text names all that are live, address by address; nothing when there is none.
func (l claims) text(now Deadline) string {
	live := slices.DeleteFunc(slices.Clone(l), func(c seenClaim) bool { return now.Sub(c.at) >= conflictShown })
	slices.SortFunc(live, func(a, b seenClaim) int {
		return cmp.Or(a.ip.Compare(b.ip), strings.Compare(a.hardware, b.hardware))
	})
	var parts []string
	for len(live) > 0 {
		ip := live[0].ip
		var who []string
		for len(live) > 0 && live[0].ip == ip {
			who = append(who, cmp.Or(live[0].hardware, "another program on this machine"))
			live = live[1:]
		}
		parts = append(parts, fmt.Sprintf("%s is also claimed by %s", ip, strings.Join(who, " and ")))
	}
	return strings.Join(parts, "; ")
}

package server

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/certs"
)

// ticketLife is how long one key seals the tickets of TLS sessions. The two before it open theirs, so that a ticket is good for one to one and a half days.
const ticketLife = 12 * time.Hour

// ticketDuty gives the group a new ticket key in turn, while a listener speaks TLS.
type ticketDuty struct {
	*term
	group func() *fsm.Group
}

func (ticketDuty) name() string { return "tickets" }

func (d ticketDuty) look(ctx context.Context) (time.Duration, error) {
	o, group := d.state.Operating(), d.group()
	if group == nil || !speaksTLS(o) {
		return never, nil
	}
	put := &fsm.TicketKeyPut{}
	if len(o.TicketKeys) > 0 {
		newest := &o.TicketKeys[0]
		if left := newest.Since.Add(ticketLife).Sub(d.now()); left > 0 {
			return min(left, never), nil
		}
		put.Expect = newest.ID
	}
	var random, key [32]byte
	rand.Read(random[:])
	rand.Read(key[:])
	sealed, err := certs.SealTicketKey(group.Secret, random, key)
	if err != nil {
		return 0, err
	}
	put.Key = sealed
	// A refusal is no failure: a leader before has been faster than its end.
	_, err = d.do(ctx, put)
	return refusedPause, err
}

// speaksTLS reports whether a listener does.
func speaksTLS(o *fsm.Operating) bool {
	for i := range o.Config.Listeners {
		if o.Config.Listeners[i].Protocol == "https" {
			return true
		}
	}
	return false
}

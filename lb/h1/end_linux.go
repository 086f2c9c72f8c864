package h1

import (
	"errors"
	"sync/atomic"
)

var errEnded = errors.New("h1: the request was ended")

func (e *Engine) end(chosen func(*Trip) bool) (int, error) {
	var n atomic.Int64
	err := e.everyLoop(command{kind: cmdEnd, chosen: func(t *Trip) bool {
		if !chosen(t) {
			return false
		}
		n.Add(1)
		return true
	}})
	return int(n.Load()), err
}

// endTrips ends the trips that are chosen. It looks at every connection of the loop, so that a request costs nothing for it.
func (l *loop) endTrips(chosen func(*Trip) bool) {
	var list []*Conn // slots change while trips end
	for i := range l.slots {
		s := &l.slots[i]
		if s.kind != slotConn {
			continue
		}
		if s.conn.endable() && chosen(&s.conn.x.Trip) {
			list = append(list, s.conn)
		}
		if m := s.conn.mux; m != nil {
			for _, c := range m.streams {
				if c.endable() && chosen(&c.x.Trip) {
					list = append(list, c)
				}
			}
		}
	}
	for _, c := range list {
		if !c.endable() {
			continue
		}
		l.endTrip(c)
		l.settle(c)
	}
}

// endable reports whether a request is under way that an instance has, or whose response the client has not taken yet.
func (c *Conn) endable() bool {
	return (c.phase == phaseTrip || c.phase == phaseFlush) && c.x != nil && c.x.counted && (c.x.up != nil || c.x.replied)
}

func (l *loop) endTrip(c *Conn) {
	x := c.x
	if x.replied {
		l.fail(c, FailEnded, errEnded)
		return
	}
	l.dropOf(x)
	x.waiting, x.last, x.Status = waitsForNothing, true, 0
	x.Failure, x.Err = FailEnded, errEnded
	l.e.director.Failed(&x.Trip, FailEnded, errEnded)
	if x.Status == 0 {
		x.Status = 503
	}
	l.refuse(c)
}

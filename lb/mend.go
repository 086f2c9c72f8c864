package lb

import (
	"errors"
	"math"

	"github.com/holdfast-lb/holdfast/fsm"
)

// lostInstance stands for an instance that the group knew before a disaster and knows no more: its id may be another one's now. No group gives it out.
const lostInstance = fsm.InstanceID(math.MaxUint32)

// lost tells whether an id in a cookie was given out behind what the group began the epoch next with.
func lost(next fsm.EpochStart, id fsm.InstanceID) bool {
	return next.Epoch != 0 && uint64(id) > uint64(next.Instances)
}

// foreign tells whether the cookie names an instance of another history of the group, or one that this one has lost: the id may be another one's here. The id in a cookie of a later
// epoch may be one that this node has yet to hear of.
func (q *inquiry) foreign(group *fsm.Group, c *Cookie, m *module) bool {
	if c.Epoch > group.Epoch {
		return m.cluster.byID[c.Instance] != nil && !group.Means(c.Instance, c.Born)
	}
	next, _ := group.Missed(c.Epoch, c.Line, c.Index)
	return lost(next, c.Instance) || !group.Means(c.Instance, c.Born)
}

// mend brings the record of a session to where the client's cookie says that it is: the cookie is newer than what the group began again with, and the
// record is from before. It reports whether x.in is chosen. When the instance takes no requests, the record is as good as the cookie.
func (x *exchange) mend() (bool, error) {
	in := x.resolve(x.s.mend)
	if x.mod.stopped() || !in.takesAssigned() {
		return false, nil
	}
	out, err := x.b.begin(x.moveTo(in, fsm.ReasonCookie), x.mod.cluster).wait(x.r.Context())
	switch {
	case errors.Is(err, errRefused): // it cannot be recorded now; where the session is does not depend on that
		x.s.instance, x.in = in.id, in
		return true, nil
	case err != nil:
		return false, err
	case x.moveEnded(in, out):
		return true, nil
	case !x.s.recorded: // it ended meanwhile: it is as if the group had never had it
		x.s.instance, x.s.reason = in.id, fsm.ReasonCookie
	}
	return false, nil
}

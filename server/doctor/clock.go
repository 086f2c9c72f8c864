package doctor

import "time"

// syncFix is what to do about a clock.
const syncFix = "synchronise this machine's clock, and those of the other nodes: chronyc tracking, timedatectl"

// clock looks at this machine's clock, and holds it against the group's time and the other nodes' clocks. Deadlines are the group's own time; a clock that is off makes logs unreadable and keeps a node from joining.
func (v *visit) clock() {
	v.ownClock()
	if i := v.inspection; i != nil && i.State != nil {
		if behind := i.State.Now().Sub(v.now()); behind > skewRefused {
			v.find("clock", "group's time", Warning, syncFix, "the newest entry on this disk is of a time that this clock reaches in %v", behind.Round(time.Millisecond))
		}
	}
	for i := range v.peers {
		p := &v.peers[i]
		if p.err != nil || !p.asked {
			continue
		}
		off := p.skew.Round(time.Millisecond)
		switch {
		case p.skew.Abs() > skewRefused:
			v.find("clock", "skew", Fault, syncFix, "the clock of node %s is %v off this one: above %v a node is not let in", p.info.Name, off, skewRefused)
		case p.skew.Abs() > skewWarned:
			v.find("clock", "skew", Warning, syncFix, "the clock of node %s is %v off this one: above %v the group warns", p.info.Name, off, skewWarned)
		default:
			v.find("clock", "skew", OK, "", "the clock of node %s is %v off this one", p.info.Name, off)
		}
	}
}

package ledger

import "time"

// SetKey notes the session's key in the tables of the nodes.
func (l *Ledger) SetKey(e *Entry, key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e.Key = key
}

// Place is where a table has a session.
type Place struct{ Cluster, Instance string }

// CheckTable holds a node's whole table, by key, against every session; the kind of a session must be the name of its
// cluster. It returns how many were found there as their clients were told, and how many others are excused: they may be missing, or be where their clients
// may be told next. Two sessions with one key are a violation too: one of the clients has the other's.
func (l *Ledger) CheckTable(node string, table map[string]Place) (found, excused int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	owner := make(map[string]*Entry, len(l.entries))
	for _, e := range l.entries {
		if other := owner[e.Key]; other != nil && e.Key != "" {
			l.violate(Crossed, e, e.Last, "has the key of another session")
			continue
		}
		owner[e.Key] = e
		switch place, ok := table[e.Key]; {
		case ok && e.Key != "" && place == Place{e.Kind, e.Instance}:
			found++
		case !ok && (e.provisional || l.mayBeLost(e, e.Last)), ok && l.mayBeAt(e, place):
			excused++
		case e.Key == "" || !ok:
			l.violate(Missing, e, e.Last, "told "+e.Instance+" by node "+e.Node+", not in the table of node "+node)
		default:
			l.violate(Differs, e, e.Last, "told "+e.Instance+", the table of node "+node+" says "+place.Cluster+"/"+place.Instance)
		}
	}
	return found, excused
}

// mayBeAt says whether a table may have the session at another place than its client was told. The caller has the lock.
func (l *Ledger) mayBeAt(e *Entry, place Place) bool {
	return place.Cluster == e.Kind && (l.mayLeave(e, e.Last) || l.mayBePinned(e, e.Last))
}

// Returned gives the sessions that no majority had recorded as far as their clients knew (Provisional), and whose clients have had an answer since: whoever answered them had a majority again, and has recorded them.
func (l *Ledger) Returned(since time.Time) (list []*Entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.entries {
		if e.provisional && e.Last.After(since) {
			list = append(list, e)
		}
	}
	return list
}

// CheckReturned holds a node's table against such sessions and says, in a sentence each, which it does not have as it must; it notes nothing.
func (l *Ledger) CheckReturned(node string, table map[string]Place, sessions []*Entry) (list []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range sessions {
		switch place, ok := table[e.Key]; {
		case !ok || e.Key == "":
			list = append(list, l.violation(Missing, e, e.Last, "it began without a majority, its client has come back since, and it is not in the table of node "+node).String())
		case place != Place{e.Kind, e.Instance} && !l.mayBeAt(e, place):
			list = append(list, l.violation(Differs, e, e.Last, "it began without a majority, told "+e.Instance+", the table of node "+node+" says "+place.Cluster+"/"+place.Instance).String())
		}
	}
	return list
}

// Lacks counts the sessions that a table does not have yet; unlike CheckTable it notes nothing.
func (l *Ledger) Lacks(table map[string]Place) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	lacks := 0
	for _, e := range l.entries {
		if _, ok := table[e.Key]; !ok && !e.provisional && !l.mayBeLost(e, e.Last) {
			lacks++
		}
	}
	return lacks
}

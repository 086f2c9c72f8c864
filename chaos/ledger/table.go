package ledger

// SetKey notes the session's key in the tables of the nodes.
func (l *Ledger) SetKey(e *Entry, key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e.Key = key
}

// Place is where a table has a session.
type Place struct{ Cluster, Instance string }

// CheckTable holds a node's whole table, by key, against every session; the kind of a session must be the name of its
// cluster. It returns how many were found there as their clients were told, or as they may be told next. Two sessions with one key are a violation too:
// one of the clients has the other's.
func (l *Ledger) CheckTable(node string, table map[string]Place) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	found := 0
	owner := make(map[string]*Entry, len(l.entries))
	for _, e := range l.entries {
		if other := owner[e.Key]; other != nil && e.Key != "" {
			l.violate(Crossed, e, e.Last, "has the key of another session")
			continue
		}
		owner[e.Key] = e
		switch place, ok := table[e.Key]; {
		case !ok && (e.provisional || l.mayBeLost(e, e.Last)), ok && place.Cluster == e.Kind && (l.mayLeave(e, e.Last) || l.mayBePinned(e, e.Last)):
			found++
		case e.Key == "" || !ok:
			l.violate(Missing, e, e.Last, "told "+e.Instance+" by node "+e.Node+", not in the table of node "+node)
		case place != Place{e.Kind, e.Instance}:
			l.violate(Differs, e, e.Last, "told "+e.Instance+", the table of node "+node+" says "+place.Cluster+"/"+place.Instance)
		default:
			found++
		}
	}
	return found
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

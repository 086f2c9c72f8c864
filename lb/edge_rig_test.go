package lb

import "github.com/holdfast-lb/holdfast/fsm/config"

// plainEdge is that of a configuration which says nothing about it.
func plainEdge() *edge { return newEdge(newSettings(&config.Proxy{}), nil, nil) }

// accessLog gives what the access log holds once every line is written.
func (r *rig) accessLog() string {
	r.t.Helper()
	r.wait("the access log is written", func() bool { return r.b.access.waiting.Load() == 0 })
	return r.access.String()
}

package server

import "github.com/prometheus/client_golang/prometheus"

// addressMetrics count what becomes of the virtual addresses on this node.
type addressMetrics struct{ taken, lost prometheus.Counter }

// registerAddress registers what there is to say of this node and the virtual addresses, of which it has some.
func (s *Server) registerAddress(r prometheus.Registerer) (m addressMetrics, err error) {
	of := func(name, help string, value func(*addressReport) bool) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 {
			if report := s.addressReport(); report != nil && value(report) {
				return 1
			}
			return 0
		})
	}
	m.taken = prometheus.NewCounter(prometheus.CounterOpts{Name: "holdfast_virtual_address_taken_total", Help: "How many times this node has taken the virtual addresses."})
	m.lost = prometheus.NewCounter(prometheus.CounterOpts{Name: "holdfast_virtual_address_lost_total",
		Help: "How many times this node has lost the virtual addresses while it led: its lease ran out, its guard ended, its hook failed, it could not serve."})
	for _, c := range []prometheus.Collector{
		of("holdfast_virtual_address_held", "1 while this node holds the virtual addresses.", func(r *addressReport) bool { return r.Holds }),
		of("holdfast_virtual_address_eligible", "1 while this node could hold the virtual addresses.", func(r *addressReport) bool { return r.Eligible }),
		of("holdfast_virtual_address_conflict", "1 while somebody else on the network has claimed a virtual address within the last minute.", func(r *addressReport) bool { return r.Conflict != "" }),
		m.taken, m.lost,
	} {
		if err := r.Register(c); err != nil {
			return m, err
		}
	}
	return m, nil
}

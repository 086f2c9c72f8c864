package config

// validateHolder checks which node is to hold the virtual addresses. A settle of nothing would move them to and fro with a node that comes and goes.
func validateHolder(p *problems, at *path, h *Holder) {
	p.nameList(at.child("prefer"), "node", h.Prefer)
	p.label(at.child("zone"), h.Zone)
	p.within(at.child("settle"), h.Settle, second, 24*hour)
}

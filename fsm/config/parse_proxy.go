package config

func (d decoder) proxy(x *Proxy) func(n *node, at *path) {
	return func(n *node, at *path) {
		d.object(n, at, []field{
			{"trustedProxies", d.texts(&x.TrustedProxies)},
			{"forwarded", d.forwarded(&x.Forwarded)},
			{"requestId", d.requestID(&x.RequestID)},
			{"limits", d.headLimits(&x.Limits)},
			{"timeouts", d.timeouts(&x.Timeouts)},
			{"accessLog", d.accessLog(&x.AccessLog)},
			{"filesPath", d.text(&x.FilesPath)},
			{"errorPages", d.list(func(n *node, at *path) { x.ErrorPages = append(x.ErrorPages, d.errorPage(n, at)) })},
		})
	}
}

func (d decoder) forwarded(f *Forwarded) func(n *node, at *path) {
	return func(n *node, at *path) {
		d.object(n, at, []field{{"mode", d.text(&f.Mode)}, {"read", d.text(&f.Read)}, {"write", d.text(&f.Write)}})
	}
}

func (d decoder) requestID(r *RequestID) func(n *node, at *path) {
	return func(n *node, at *path) {
		d.object(n, at, []field{{"header", d.text(&r.Header)}, {"trust", d.text(&r.Trust)}, {"respond", d.boolean(&r.Respond)}})
	}
}

func (d decoder) headLimits(l *HeadLimits) func(n *node, at *path) {
	return func(n *node, at *path) {
		d.object(n, at, []field{
			{"head", d.size(&l.Head)},
			{"target", d.size(&l.Target)},
			{"lines", d.integer(&l.Lines)},
			{"body", d.size(&l.Body)},
		})
	}
}

func (d decoder) timeouts(t *Timeouts) func(n *node, at *path) {
	return func(n *node, at *path) {
		d.object(n, at, []field{
			{"connect", d.duration(&t.Connect)},
			{"head", d.duration(&t.Head)},
			{"requestBody", d.duration(&t.RequestBody)},
			{"responseBody", d.duration(&t.ResponseBody)},
			{"send", d.duration(&t.Send)},
			{"idle", d.duration(&t.Idle)},
			{"tunnel", d.duration(&t.Tunnel)},
		})
	}
}

func (d decoder) accessLog(l *AccessLog) func(n *node, at *path) {
	return func(n *node, at *path) {
		d.object(n, at, []field{{"format", d.text(&l.Format)}, {"fields", d.texts(&l.Fields)}, {"sample", d.integer(&l.Sample)}})
	}
}

func (d decoder) errorPage(n *node, at *path) ErrorPage {
	var e ErrorPage
	d.object(n, at, []field{
		{"status", d.statuses(&e.Status)},
		{"html", d.text(&e.HTML)},
		{"json", d.text(&e.JSON)},
		{"text", d.text(&e.Text)},
		{"file", d.text(&e.File)},
		{"retryAfter", d.duration(&e.RetryAfter)},
	})
	return e
}

// statuses reads a list of status codes; a single one may be written as a number.
func (d decoder) statuses(dst *string) func(n *node, at *path) {
	return func(n *node, at *path) {
		if n.kind == kindNumber && len(n.text) <= 3 {
			*dst = n.text
			return
		}
		d.text(dst)(n, at)
	}
}

func (d decoder) listenerLimits(l *ListenerLimits) func(n *node, at *path) {
	return func(n *node, at *path) {
		d.object(n, at, []field{
			{"requestsPerSecond", d.integer(&l.RequestsPerSecond)},
			{"burst", d.integer(&l.Burst)},
			{"connections", d.integer(&l.Connections)},
			{"perClient", d.rates(&l.PerClient)},
		})
	}
}

func (d decoder) moduleLimits(l *ModuleLimits) func(n *node, at *path) {
	return func(n *node, at *path) {
		d.object(n, at, []field{
			{"requestsPerSecond", d.integer(&l.RequestsPerSecond)},
			{"burst", d.integer(&l.Burst)},
			{"connections", d.integer(&l.Connections)},
			{"body", d.size(&l.Body)},
			{"perClient", d.rates(&l.PerClient)},
		})
	}
}

func (d decoder) rates(r *Rates) func(n *node, at *path) {
	return func(n *node, at *path) {
		d.object(n, at, []field{
			{"requestsPerSecond", d.integer(&r.RequestsPerSecond)},
			{"burst", d.integer(&r.Burst)},
			{"connections", d.integer(&r.Connections)},
		})
	}
}

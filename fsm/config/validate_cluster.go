package config

import (
	"slices"
	"strings"
	"time"
)

var policies = []string{"round-robin", "weighted-round-robin", "least-sessions", "least-requests", "power-of-two", "peak-ewma"}

// maxBodyBuffer bounds what one request may take of a node's memory.
const maxBodyBuffer = Size(16 << 20)

func validateCluster(p *problems, at *path, c *Cluster) {
	p.oneOf(at.child("policy"), c.Policy, policies, nil)
	validateAffinity(p, at.child("affinity"), &c.Affinity)
	validateHealth(p, at.child("health"), &c.Health)
	p.within(at.child("quiesceTimeout"), c.QuiesceTimeout, second, year)
	p.within(at.child("hardTimeout"), c.HardTimeout, 0, year)
	p.oneOf(at.child("locality"), c.Locality, []string{"none", "host", "zone"}, nil)
	if c.FailBack != "" {
		p.oneOf(at.child("failBack"), c.FailBack, []string{"immediate", "session"}, nil)
		if !hasBackup(c) {
			p.add(at.child("failBack"), "remove it, or name backup clusters or mark instances as backup", "cluster %q has no backup to come back from", clip(c.Name))
		}
	}
	if c.OnQuorumLoss != "" {
		p.oneOf(at.child("onQuorumLoss"), c.OnQuorumLoss, []string{"provisional", "refuse"}, nil)
	}
	p.within(at.child("slowStart"), c.SlowStart, 0, hour)
	p.oneOf(at.child("onAllQuiescing"), c.OnAllQuiescing, []string{"refuse", "serve"}, nil)
	p.within(at.child("responseTimeout"), c.ResponseTimeout, 0, hour)
	p.oneOf(at.child("protocol"), c.Protocol, []string{"http1", "h2"}, nil)
	if c.BodyBuffer < 0 || c.BodyBuffer > maxBodyBuffer {
		p.add(at.child("bodyBuffer"), "", "%v is out of range, must be from 0 to %v", c.BodyBuffer, maxBodyBuffer)
	}
	validateInstanceTLS(p, at, c.InstanceTLS)
	validateRegistration(p, at.child("registration"), &c.Registration)
	if t := c.InstanceTemplate; t != nil {
		validateTemplate(p, at.child("instanceTemplate"), t, c)
	}
	validateStreamCluster(p, at, c)
	validateModules(p, at.child("modules"), c)
	validateInstances(p, at.child("instances"), c)
}

func validateRegistration(p *problems, at *path, r *Registration) {
	p.within(at.child("heartbeat"), r.Heartbeat, Duration(50*time.Millisecond), Duration(time.Minute))
	if r.DropAfter <= r.Heartbeat || r.DropAfter > hour {
		p.add(at.child("dropAfter"), "six times the heartbeat is usual", "%v is out of range, must be longer than the heartbeat of %v and at most %v", r.DropAfter, r.Heartbeat, hour)
	}
}

func validateAffinity(p *problems, at *path, a *Affinity) {
	p.oneOf(at.child("type"), a.Type, []string{"insert", "learn", "header", "source", "sni", "none"}, nil)
	p.within(at.child("idleTimeout"), a.IdleTimeout, second, year)
	if a.Type != "learn" {
		if len(a.Names) > 0 {
			p.add(at.child("names"), "remove it, or write type: learn", "names belongs to affinity of type learn")
		}
		if len(a.Routes) > 0 {
			p.add(at.child("routes"), "remove it, or write type: learn", "routes belongs to affinity of type learn")
		}
	}
	where := at.child("name")
	switch {
	case a.Type == "header" && a.Name == "":
		p.add(where, "write name: X-Session-Id", "affinity of type header needs the name of the header field")
	case a.Type == "header":
		p.headerName(where, a.Name)
	case (a.Type == "none" || a.Type == "source" || a.Type == "sni") && a.Name != "":
		p.add(where, "remove it", "affinity of type %s has no cookie", a.Type)
	case a.Name != "":
		p.cookieName(where, a.Name)
	}
	if a.Type == "learn" {
		validateLearned(p, at, a)
	}
}

// validateLearned checks the cookies of the application: those of sessions and those of routes.
func validateLearned(p *problems, at *path, a *Affinity) {
	seen := map[string]string{a.Name: ""}
	for _, list := range []struct {
		key   string
		names []string
	}{{"names", a.Names}, {"routes", a.Routes}} {
		at := at.child(list.key)
		if !p.fits(at, "names", len(list.names)) {
			continue
		}
		for i, name := range list.names {
			at := at.item(i)
			p.cookieName(at, name)
			switch other, dup := seen[name]; {
			case dup && other == "":
				p.add(at, "give Holdfast's cookie (affinity.name) another name", "%q is the name of Holdfast's own cookie", clip(name))
			case dup && other != list.key:
				p.add(at, "a cookie holds either the session or the route; remove one of them", "%q is in %s already", clip(name), other)
			case dup:
				p.add(at, "remove one of them", "%q is there twice", clip(name))
			}
			seen[name] = list.key
		}
	}
}

// hopByHop are header fields that cannot carry a session: they concern one connection (RFC 9110 7.6.1), or Holdfast sets them itself.
var hopByHop = []string{"Connection", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Host", "Content-Length"}

// headerName wants the name of a header field that is the same in all requests of a session.
func (p *problems) headerName(at *path, name string) {
	switch {
	case !isToken(name) || len(name) > maxName:
		p.add(at, "use letters, digits and '-'", "%q cannot be the name of a header field", clip(name))
	case name == "Cookie" || name == "Set-Cookie":
		p.add(at, "write type: learn, with the cookie's name in names", "%s holds many cookies", name)
	case slices.Contains(hopByHop, name) || strings.HasPrefix(name, "X-Holdfast-"):
		p.add(at, "choose the field in which the clients send their session", "header field %s cannot carry a session", name)
	}
}

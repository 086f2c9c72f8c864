package config

import (
	"fmt"
	"slices"
	"time"
)

// passiveSigns are what may take a listener out of service when requests meet it.
var passiveSigns = []string{"connect", "timeout", "reset", "5xx"}

func validateHealth(p *problems, at *path, h *Health) {
	p.oneOf(at.child("type"), h.Type, []string{"http", "tcp", "grpc", "agent", "none"}, nil)
	if err := checkHealthPath(h.Path); err != nil {
		p.add(at.child("path"), "", "%q: %v", clip(h.Path), err)
	}
	const shortest = Duration(10 * time.Millisecond)
	p.within(at.child("interval"), h.Interval, shortest, 24*hour)
	p.within(at.child("timeout"), h.Timeout, Duration(time.Millisecond), hour)
	p.between(at.child("rise"), h.Rise, 1, 1000)
	p.between(at.child("fall"), h.Fall, 1, 1000)
	if _, err := ParseExpect(h.Expect); err != nil {
		p.add(at.child("expect"), `write "100-500" or "200,204,300-399"`, "%v", err)
	}
	p.oneOf(at.child("mode"), h.Mode, []string{"active", "recover-only"}, nil)
	if h.RetryInterval != 0 {
		p.within(at.child("retryInterval"), h.RetryInterval, shortest, 24*hour)
	}
	p.label(at.child("grpcService"), h.GRPCService)
	if h.GRPCService != "" && h.Type != "grpc" {
		p.add(at.child("grpcService"), "remove it, or write type: grpc", "grpcService belongs to health of type grpc")
	}
	p.between(at.child("agentPort"), h.AgentPort, 0, 65535)
	if h.Type == "agent" && h.AgentPort == 0 {
		p.add(at.child("agentPort"), "write the port on which the agents of the instances' hosts listen", "health of type agent needs agentPort")
	}
	validatePassive(p, at, h)
}

func validatePassive(p *problems, at *path, h *Health) {
	p.between(at.child("passiveFails"), h.PassiveFails, 1, 1000)
	at = at.child("passive")
	for i, sign := range h.Passive {
		if p.full() {
			p.more = true
			return
		}
		p.oneOf(at.item(i), sign, passiveSigns, nil)
		if i <= len(passiveSigns) && slices.Contains(h.Passive[:i], sign) { // behind the first few there is nothing but doubles
			p.add(at.item(i), "remove one of them", "%q is there twice", clip(sign))
		}
		if i > len(passiveSigns) {
			p.add(at, fmt.Sprintf("write some of %s", orList(passiveSigns)), "%d values are too many", len(h.Passive))
			return
		}
	}
}

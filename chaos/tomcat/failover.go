package main

import (
	"context"
	"fmt"

	"github.com/holdfast-lb/holdfast/chaos/ledger"
)

// killTomcat kills the instance with the most sessions. They must move once each, and nobody else's.
func (s *scenario) killTomcat(ctx context.Context) error {
	on := map[string]int{}
	for _, u := range s.users {
		on[s.ledger.Instance(u.entry)]++
	}
	victim := s.tomcats[0]
	for _, t := range s.tomcats {
		if on[t.name] > on[victim.name] {
			victim = t
		}
	}
	if len(on) != len(s.tomcats) {
		return fmt.Errorf("the sessions are on %d instances, not on %d: %v", len(on), len(s.tomcats), on)
	}
	s.ledger.Fallen(victim.name)
	victim.process.Kill()
	if err := s.round(ctx, "one Tomcat killed", 3, nil); err != nil {
		return err
	}
	moved := 0
	for _, u := range s.users {
		if s.ledger.Moved(u.entry) != "" {
			moved++
		}
	}
	if moved != on[victim.name] {
		s.ledger.Violate(ledger.Moved, nil, "%s had %d sessions, %d moved", victim.name, on[victim.name], moved)
	}
	s.say("%-18s its %d sessions moved once each", victim.name+" is dead:", moved)
	// What the moved sessions keep from now on must stay, too.
	if err := s.fill(ctx); err != nil {
		return err
	}
	return s.round(ctx, "after the failover", 3, nil)
}

// agree asks every node's table for every session.
func (s *scenario) agree(ctx context.Context) error {
	for _, n := range s.group.Nodes {
		for _, u := range s.users {
			found, instance, err := n.LookupSession(ctx, cluster, contextRoot, u.id)
			if err != nil {
				return err
			}
			switch told := s.ledger.Instance(u.entry); {
			case !found:
				s.ledger.Violate(ledger.Missing, u.entry, "node %s does not know it", n.Name)
			case instance != told:
				s.ledger.Violate(ledger.Differs, u.entry, "told %s, the table of node %s says %s", told, n.Name, instance)
			}
		}
	}
	if _, err := s.group.Equal(ctx); err != nil {
		return err
	}
	s.say("%-18s the tables of all nodes name what %d clients were told", "agreement:", len(s.users))
	return nil
}

// accessLogs asks the Tomcats themselves: no session was served by two of them.
func (s *scenario) accessLogs(context.Context) error {
	servedBy := map[string]string{}
	for _, t := range s.tomcats {
		ids, err := t.served()
		if err != nil {
			return err
		}
		for id := range ids {
			if other, ok := servedBy[id]; ok {
				s.ledger.Violate(ledger.Moved, nil, "%s and %s both served session %s", other, t.name, id)
			}
			servedBy[id] = t.name
		}
	}
	for _, u := range s.users {
		if servedBy[u.id] != s.ledger.Instance(u.entry) {
			s.ledger.Violate(ledger.Moved, u.entry, "told %s, the access log says %q", s.ledger.Instance(u.entry), servedBy[u.id])
		}
	}
	s.say("%-18s %d sessions, each served by one Tomcat only", "access logs:", len(servedBy))
	return nil
}
